"""Ground truth and result files, right and wrong."""

import json

import numpy as np
import pytest

from rfapp.errors import RfappError, SourceNotFound, SourceUnreadable
from rfapp.evaluation import read_ground_truth, read_results, write_result
from rfapp.evaluation.results import from_detections
from rfapp.frames import Detections

LINE = {
    "file": "a/1.jpg",
    "event": "a",
    "width": 9,
    "height": 9,
    "boxes": [[1, 2, 3, 4]],
    "easy": [0],
    "medium": [0],
    "hard": [0],
}


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text(json.dumps(LINE) + "\n\n" + json.dumps({**LINE, "file": "a/2.jpg"}) + "\n")
    return read_ground_truth(path)


def test_results_come_back_as_they_were_written(truth, tmp_path):
    faces = Detections(np.array([[1, 2, 4, 6], [0, 0, 2, 2]], np.float32), np.array([0.9, 0.25], np.float32))
    for picture in truth.pictures:
        write_result(tmp_path / "out", picture, from_detections(faces))
    back = read_results(tmp_path / "out", truth)
    assert back["a/1"] == pytest.approx(np.array([[1, 2, 3, 4, 0.9], [0, 0, 2, 2, 0.25]]), abs=1e-6)
    assert (tmp_path / "out" / "a" / "1.txt").read_text().splitlines()[:2] == ["1.jpg", "2"]


def test_a_missing_result_is_named(truth, tmp_path):
    write_result(tmp_path, truth.pictures[0], np.zeros((0, 5)))
    with pytest.raises(SourceNotFound, match=r"a/2\.txt"):
        read_results(tmp_path, truth)


@pytest.mark.parametrize(
    "content", ["", "x", "x\nfour\n", "x\n2\n1 2 3 4 0.5\n", "x\n1\n1 2 3\n", "x\n1\n1 2 3 4 a\n", "\0\0"]
)
def test_broken_result_files_are_named(truth, tmp_path, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text(content)
    with pytest.raises(SourceUnreadable, match=r"1\.txt"):
        read_results(tmp_path, truth)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nonsense",
        "[]",
        '{"file": 3}',
        json.dumps({**LINE, "easy": [7]}),
        json.dumps({**LINE, "easy": [-1]}),
        json.dumps({**LINE, "boxes": [[1, 2, 3]]}),
    ],
)
def test_broken_ground_truth_is_named_with_its_line(tmp_path, content):
    path = tmp_path / "broken.jsonl"
    path.write_text(content)
    with pytest.raises(SourceUnreadable, match=r"broken\.jsonl"):
        read_ground_truth(path)


def test_a_folder_without_the_official_files_says_which_one_is_missing(tmp_path):
    pytest.importorskip("scipy")
    with pytest.raises(SourceNotFound, match=r"wider_face_val\.mat"):
        read_ground_truth(tmp_path)
    for name in ("face", "easy", "medium", "hard"):
        (tmp_path / f"wider_{name}_val.mat").write_bytes(b"no mat file")
    with pytest.raises(RfappError, match="can't be read"):
        read_ground_truth(tmp_path)
