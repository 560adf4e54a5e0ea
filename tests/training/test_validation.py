"""What is held out, and what average precision is measured on it."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets import Sample, clean, open_dataset  # noqa: E402
from rfapp.evaluation import evaluate, read_ground_truth  # noqa: E402
from rfapp.evaluation.results import from_detections  # noqa: E402
from rfapp.training.gathering import gather  # noqa: E402
from rfapp.training.validation import average_precision, held_out_of, read_held_out, split  # noqa: E402
from rfapp.weights import find  # noqa: E402


def sample(name, *heights):
    boxes = np.array([(10.0, 10.0, 10.0 + height / 2, 10.0 + height) for height in heights], np.float32).reshape(-1, 4)
    count = len(heights)
    none = np.zeros(count, np.bool_)
    return Sample(name, boxes, np.zeros((count, 5, 2), np.float32), none, none.copy(), np.zeros(count, np.int32))


def test_levels_by_height(tmp_path):
    held = held_out_of([sample(tmp_path / "a.jpg", 60, 40, 12, 5)])
    [picture] = held.truth.pictures
    assert {level: indices.tolist() for level, indices in picture.counted.items()} == {
        "easy": [0], "medium": [0, 1], "hard": [0, 1, 2],
    }  # fmt: skip
    assert picture.boxes[0].tolist() == [10, 10, 30, 60]


def test_one_in_twenty_is_held_out_the_same_for_a_seed(tmp_path):
    samples = [sample(tmp_path / f"{n}.jpg", 20) for n in range(60)] + [sample(tmp_path / "none.jpg")]
    training, held = split(samples, seed=1)
    assert len(held) == 3
    assert len(training) == 58
    assert not {s.picture for s in training} & {s.picture for s in held}
    assert [s.picture for s in split(samples, seed=1)[1]] == [s.picture for s in held]
    assert [s.picture for s in split(samples, seed=2)[1]] != [s.picture for s in held]
    assert len(split(samples * 100, seed=1)[1]) == 200


def test_pictures_are_gathered_and_divided(plan, changed, discs, two_discs, tmp_path):
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "empty" / "wall.png"), np.full((64, 64, 3), 90, np.uint8))
    said = []
    given = changed(plan, data=(discs, two_discs), negatives=(tmp_path / "empty",), validation="")
    pictures = gather(given, said.append)
    assert len(pictures.training) == 13
    assert pictures.held_out is None
    assert any("too few" in line for line in said)
    assert any("10 pictures, 14 faces" in line for line in said)
    assert len(gather(changed(given, validation=str(two_discs)), said.append).held_out) == 2


def test_official_ground_truth_keeps_its_levels(test_data):
    held = read_held_out(test_data / "wider_dev" / "ground_truth.jsonl")
    assert len(held) == 355
    assert held.truth.faces("easy") == 724


def test_the_precision_is_that_of_the_evaluation(test_data, tmp_path):
    # Six pictures of WIDER FACE: what the validation gives is what the protocol gives for the same detector.
    from rfapp import FaceDetector
    from rfapp.sources import read_picture

    source = test_data / "wider_dev"
    lines = (source / "ground_truth.jsonl").read_text().splitlines()[:60:10]
    (tmp_path / "truth.jsonl").write_text("\n".join(lines) + "\n")
    held = read_held_out(tmp_path / "truth.jsonl")
    for picture in held.truth.pictures:
        found = next(source.rglob(picture.file.split("/")[-1]))
        (tmp_path / picture.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, tmp_path / picture.file)
    model = find("mobilenet0.25-imported")
    shown = {}
    measured = average_precision(model, held, "cpu", show=lambda number, image, faces: shown.update({number: faces}))
    assert sorted(shown) == list(range(len(held)))
    assert max(len(faces) for faces in shown.values()) > 0
    with FaceDetector(model, engine="torch", device="cpu", precision="float32", size=640, score=0.02) as detector:
        boxes = {
            picture.key: from_detections(detector(read_picture(tmp_path / picture.file)))
            for picture in held.truth.pictures
        }
    curves = evaluate(read_ground_truth(tmp_path / "truth.jsonl"), boxes)
    assert measured == {level: round(curve.average_precision, 3) for level, curve in curves.items()}
    assert measured["easy"] > 50


def test_a_picture_that_went_away_counts_as_one_without_faces_found(two_discs, tmp_path):
    shutil.copytree(two_discs, tmp_path / "copy")
    held = held_out_of(clean(open_dataset(tmp_path / "copy")).samples)
    (tmp_path / "copy" / "images" / "0.png").write_bytes(b"")
    assert average_precision(find("mobilenet0.25-imported"), held, "cpu") is not None


def test_it_can_be_given_up(two_discs):
    held = read_held_out(two_discs)
    assert average_precision(find("mobilenet0.25-imported"), held, "cpu", given_up=lambda: True) is None
