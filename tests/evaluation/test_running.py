"""Running a detector over pictures: one process and several, interrupted, in several sizes."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rfapp.cli import main
from rfapp.errors import SourceNotFound, UnknownModel
from rfapp.evaluation import read_ground_truth
from rfapp.evaluation.multiscale import SCALES, detect_multiscale, vote
from rfapp.evaluation.running import Job, run_detector
from rfapp.frames import Detections
from rfapp.places import resources
from rfapp.postprocess import overlaps
from rfapp.settings import DetectorSettings


@pytest.fixture
def few(tmp_path):
    """Five copies of the built-in picture in different sizes, with the face that every detector finds."""
    picture = cv2.imread(str(resources() / "astronaut.png"))
    (tmp_path / "e").mkdir()
    lines = []
    for number, side in enumerate((512, 400, 300, 260, 220)):
        cv2.imwrite(str(tmp_path / "e" / f"{number}.png"), cv2.resize(picture, (side, side)))
        box = [round(v * side / 512) for v in (178, 67, 92, 120)]
        levels = {level: [0] for level in ("easy", "medium", "hard")}
        lines.append(json.dumps({"file": f"e/{number}.png", "event": "e", "boxes": [box], **levels}))
    path = tmp_path / "truth.jsonl"
    path.write_text("\n".join(lines))
    return path


SETTINGS = DetectorSettings(score=0.3, size=320, precision="float32", threads=1)


def test_several_processes_find_what_one_finds_and_a_second_run_does_nothing(few, tmp_path):
    truth = read_ground_truth(few)
    counts = []
    one = run_detector(Job(SETTINGS, few.parent), truth, progress=counts.append)
    assert counts == [0, 1, 2, 3, 4, 5]
    job = Job(SETTINGS, few.parent, save=tmp_path / "out")
    several = run_detector(job, truth, processes=2)
    for key, rows in one.items():
        assert several[key] == pytest.approx(rows, abs=1e-3)
    unreadable = replace(job, detector=replace(SETTINGS, model="there is no such model"))
    again = run_detector(unreadable, replace(truth, pictures=truth.pictures[:1]), processes=1)  # nothing is run
    assert again["e/0"] == pytest.approx(one["e/0"], abs=1e-3)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_model_that_is_missing_is_named(few, processes):
    job = Job(replace(SETTINGS, model="no such model"), few.parent)
    with pytest.raises(UnknownModel, match="no such model"):
        run_detector(job, read_ground_truth(few), processes=processes)


def test_a_missing_picture_is_named_before_anything_is_run(few):
    (few.parent / "e" / "3.png").unlink()
    with pytest.raises(SourceNotFound, match=r"e/3\.png"):
        run_detector(Job(SETTINGS, few.parent), read_ground_truth(few))


@pytest.mark.parametrize("extra", [[], ["--multi-scale"]])
def test_the_command_tells_average_precision(few, capsys, extra):
    code = main(
        ["evaluate", "wider", "--ground-truth", str(few), "--size", "320", "--json", "--processes", "1", *extra]
    )
    assert code == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer == {"easy": 100.0, "medium": 100.0, "hard": 100.0}


def test_the_command_draws_the_curves(few, tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plots" / "curve.svg"
    common = ["evaluate", "wider", "--ground-truth", str(few), "--size", "320", "--quiet", "--processes", "1"]
    assert main([*common, "--save-detections", str(tmp_path / "d")]) == 0
    assert main([*common[:4], "--detections", str(tmp_path / "d"), "--plot", str(plot), "--quiet"]) == 0
    assert "<svg" in plot.read_text()


def test_the_report_tells_what_ran_where_and_how_well(few, tmp_path, capsys):
    with few.open("a") as file:  # a second event, of which no face counts at hard
        file.write(
            "\n"
            + few.read_text()
            .splitlines()[0]
            .replace('"event": "e"', '"event": "f"')
            .replace('"hard": [0]', '"hard": []')
        )
    report = tmp_path / "report.json"
    words = ["evaluate", "wider", "--ground-truth", str(few), "--size", "320", "--processes", "1", "--threads", "1"]
    assert main([*words, "--precision", "float32", "--engine", "openvino", "--report", str(report), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["ap"] == printed
    assert (told["pictures"], told["faces"]) == (6, {"easy": 6, "medium": 6, "hard": 5})
    source = told["source"]
    assert (source["model"], source["engine"], source["precision"]) == ("mobilenet0.25", "openvino", "float32")
    assert (source["size"], source["score"], len(source["sha256"])) == (320, 0.02, 64)
    assert told["seconds"] > 0
    assert "processor" in told["computer"]
    assert set(told["events"]["e"]) == {"pictures", "easy", "medium", "hard"}
    assert told["events"]["f"] == {"pictures": 1, "easy": 100.0, "medium": 100.0}


def test_a_report_of_result_files_names_them(few, tmp_path, capsys):
    files, report = tmp_path / "files", tmp_path / "report.json"
    words = ["evaluate", "wider", "--ground-truth", str(few), "--quiet"]
    more = ["--size", "320", "--processes", "1", "--threads", "1"]
    assert main([*words, *more, "--save-detections", str(files)]) == 0
    assert main([*words, "--detections", str(files), "--report", str(report)]) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["source"] == {"files": str(files)}
    assert main([*words, "--detections", str(files), "--report", str(tmp_path / "none" / ".." / "e")]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_wrong_usage_is_told(few, tmp_path, capsys):
    code = main(["evaluate", "wider", "--ground-truth", str(few), "--detections", str(tmp_path), "--multi-scale"])
    assert code == 2
    assert "Leave one of them out" in capsys.readouterr().err


def test_voting_takes_the_mean_weighted_by_score_and_the_highest_score():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    faces = vote(boxes, np.array([0.9, 0.3, 0.5], np.float32))
    assert faces.scores.tolist() == pytest.approx([0.9, 0.5])
    assert faces.boxes[0].tolist() == pytest.approx([0.25, 0, 10.25, 10])
    assert len(vote(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))) == 0


def test_voting_among_many_boxes_is_that_of_each_against_each():
    rng = np.random.default_rng(5)
    centres, sides = rng.uniform(0, 900, (60, 2)), rng.uniform(4, 200, (60, 1))
    face = rng.integers(0, 60, 2000)
    corner = centres[face] + rng.normal(0, 0.15, (2000, 2)) * sides[face]
    boxes = np.hstack([corner, corner + sides[face] * rng.uniform(0.7, 1.4, (2000, 2))]).astype(np.float32)
    boxes[::100, 2:] = boxes[::100, :2]  # without a size
    boxes[1::100] = boxes[2::100]  # one as the other
    scores = np.round(rng.uniform(0.02, 1, 2000), 2).astype(np.float32)  # with ties
    expected = []
    left = list(np.argsort(-scores, kind="stable"))
    while left:
        same = [row for row in left if row == left[0] or overlaps(boxes[left[0]], boxes[row][None])[0] >= 0.5]
        expected.append([*np.average(boxes[same].astype(float), axis=0, weights=scores[same]), scores[left[0]]])
        left = [row for row in left if row not in same]
    faces = vote(boxes, scores)
    assert len(faces) == len(expected) > 100
    assert np.column_stack([faces.boxes, faces.scores]) == pytest.approx(np.array(expected), abs=1e-3)


def test_every_size_is_tried_as_it_is_and_mirrored_and_boxes_are_turned_back():
    seen = []

    def detect(image, size):
        # The face is where the bright column is.
        seen.append((size, bool(image[0, 0, 0])))
        x = float(image[0, :, 0].argmax())
        return Detections(np.array([[x, 10, x + 100, 110]], np.float32), np.array([0.8], np.float32))

    image = np.zeros((120, 400, 3), np.uint8)
    image[:, 0] = 255
    faces = detect_multiscale(lambda picture, size: _shifted(detect(picture, size), picture), image)
    assert len(seen) == 2 * len(SCALES)
    assert len(faces) == 1
    assert faces.boxes[0] == pytest.approx([0, 10, 100, 110], abs=1.5)


def _shifted(faces, picture):
    # In the mirrored picture the bright column is the right edge of the face.
    if picture[0, -1, 0]:
        faces.boxes[:, [0, 2]] -= 99
    return faces
