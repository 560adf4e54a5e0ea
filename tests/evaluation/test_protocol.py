"""The protocol against a slow, obviously right version, and against the toolbox's own figures."""

import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfapp.evaluation import LEVELS, GroundTruth, Picture, evaluate, read_ground_truth, read_results

# Python before 3.11.4 has no filters; what is unpacked here is our own reference data.
SAFE = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}

EXPECTED = {
    "mnet": (83.290, 77.025, 39.533),
    "r50": (92.251, 88.864, 64.024),
    "mobilenet025": (90.702, 88.154, 73.826),
}


@pytest.fixture(scope="session")
def official(test_data):
    pytest.importorskip("scipy", reason="the official ground truth is MATLAB's")
    return read_ground_truth(test_data / "evaluator_check" / "ground_truth")


@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_toolbox_s_own_figures(test_data, tmp_path, official, name):
    with tarfile.open(test_data / "evaluator_check" / f"results_{name}.tar.xz") as archive:
        archive.extractall(tmp_path, **SAFE)
    (folder,) = tmp_path.iterdir()
    curves = evaluate(official, read_results(folder, official))
    assert [curves[level].average_precision for level in LEVELS] == pytest.approx(EXPECTED[name], abs=0.02)


def test_counts_of_faces_are_the_published_ones(official):
    assert len(official.pictures) == 3226
    assert [official.faces(level) for level in LEVELS] == [7211, 13319, 31958]


def test_the_jsonl_tells_the_same_as_the_mat_files(test_data, official):
    subset = read_ground_truth(test_data / "wider_dev" / "ground_truth.jsonl")
    whole = {picture.key: picture for picture in official.pictures}
    for picture in subset.pictures:
        same = whole[picture.key]
        assert (picture.boxes == same.boxes).all()
        for level in LEVELS:
            assert sorted(picture.counted[level]) == sorted(same.counted[level])


def slow_average_precision(picture: Picture, rows: np.ndarray, level: str) -> float:
    """One picture, floating point, one step at a time as the protocol is told."""
    counted = set(picture.counted[level].tolist())
    if not len(rows) or not len(picture.boxes):
        return 0.0
    scores = rows[:, 4]
    span = scores.max() - scores.min() or 1.0
    events = []
    found: set[int] = set()
    for x, y, w, h, _ in rows:
        best, where = 0.0, -1
        for index, (gx, gy, gw, gh) in enumerate(picture.boxes.tolist()):
            iw = min(x + w, gx + gw) - max(x, gx) + 1
            ih = min(y + h, gy + gh) - max(y, gy) + 1
            if iw > 0 and ih > 0:
                overlap = iw * ih / ((w + 1) * (h + 1) + (gw + 1) * (gh + 1) - iw * ih)
                if overlap > best:
                    best, where = overlap, index
        if best >= 0.5 and where not in counted:
            events.append("ignored")
        elif best >= 0.5 and where not in found:
            found.add(where)
            events.append("hit")
        else:
            events.append("false")
    points = []
    for k in range(1, 1001):
        reach = [i for i, s in enumerate(scores) if (s - scores.min()) / span >= 1 - k / 1000]
        seen = events[: max(reach) + 1] if reach else []
        hits, wrong = seen.count("hit"), seen.count("false")
        points.append((hits / len(counted) if counted else 0.0, hits / (hits + wrong) if hits + wrong else 0.0))
    area, before = 0.0, 0.0
    for index, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[index:])
        before = recall
    return 100 * area


boxes = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(4, 30), st.integers(4, 30)), min_size=1, max_size=6
)


@settings(max_examples=30)
@given(boxes, boxes, st.integers(0, 2**32 - 1))
def test_agrees_with_a_slow_version(truth, proposals, seed):
    rng = np.random.default_rng(seed)
    faces = np.array(truth, np.int32)
    near = faces[rng.integers(0, len(faces), 6)] + rng.integers(-4, 5, (6, 4))
    rows = np.vstack([np.array(proposals, float), np.maximum(near, 1)])
    rows = np.column_stack([rows, np.sort(rng.random(len(rows)))[::-1]])
    counted = {level: np.flatnonzero(rng.random(len(faces)) < 0.7) for level in LEVELS}
    picture = Picture("e", "p", "e/p.jpg", faces, counted)
    curves = evaluate(GroundTruth((picture,), None), {picture.key: rows}, exact=False)
    for level in LEVELS:
        assert curves[level].average_precision == pytest.approx(slow_average_precision(picture, rows, level), abs=1e-9)


def test_perfect_detections_have_an_average_precision_of_one_hundred():
    faces = np.array([[10, 10, 20, 20], [50, 50, 30, 30]], np.int32)
    picture = Picture("e", "p", "e/p.jpg", faces, dict.fromkeys(LEVELS, np.array([0, 1])))
    rows = np.column_stack([faces.astype(float), [0.9, 0.8]])
    for exact in (True, False):
        curves = evaluate(GroundTruth((picture,), None), {picture.key: rows}, exact=exact)
        assert curves["hard"].average_precision == pytest.approx(100)


def test_nothing_found_is_zero_and_no_error():
    picture = Picture("e", "p", "e/p.jpg", np.array([[1, 1, 9, 9]], np.int32), dict.fromkeys(LEVELS, np.array([0])))
    assert evaluate(GroundTruth((picture,), None), {})["easy"].average_precision == 0
