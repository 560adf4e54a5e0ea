"""NMS against a slow one that is obviously right."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from rfapp.postprocess import nms


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def slow(boxes, scores, limit):
    left, kept = sorted(range(len(scores)), key=lambda row: -scores[row]), []
    while left:
        best, *left = left
        kept.append(best)
        left = [row for row in left if overlap(boxes[best], boxes[row]) <= limit]
    return kept


whole = st.integers(0, 40)
rows = st.lists(st.tuples(whole, whole, st.integers(1, 30), st.integers(1, 30)), max_size=30)


# A limit that no ratio of small whole areas equals: there float32 and float64 may round to different sides.
@given(rows, st.sampled_from([0.0501, 0.3001, 0.4003, 0.7001]), st.randoms(use_true_random=False))
def test_like_the_slow_one(rows, limit, random):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)
    scores = np.array(random.sample(range(1, 1000), len(rows)), np.float32) / 1000  # all different: no ties
    assert nms(boxes, scores, limit).tolist() == slow(boxes.tolist(), scores.tolist(), limit)


@pytest.mark.parametrize("limit", [0.0501, 0.3001, 0.4003, 0.7001])
def test_many_in_parts_like_all_at_once(limit):
    """Above a count boxes that can't meet are told apart first; the answer is that of the plain loop."""
    random = np.random.default_rng(7)
    centres = random.uniform(0, 1500, (300, 1, 2)) + random.normal(0, 4, (300, 8, 2))
    sizes = random.uniform(8, 200, (300, 1, 2)) * random.uniform(0.8, 1.25, (300, 8, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=2).reshape(-1, 4)
    boxes[:5] += 40_000  # a few far off make the grid coarse
    scores = random.permutation(len(boxes)).astype(np.float32) / len(boxes) + 0.01
    boxes = boxes.astype(np.float32)
    kept = nms(boxes, scores, limit)
    assert len(kept) >= 100
    assert kept.tolist() == slow(boxes.astype(float).tolist(), scores.tolist(), limit)


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_many_at_the_ends_of_the_scale(limit):
    boxes = np.tile(np.array([[5, 5, 9, 9], [8, 5, 12, 9]], np.float32), (500, 1))
    scores = np.linspace(0.9, 0.1, 1000, dtype=np.float32)
    assert nms(boxes, scores, limit).tolist() == (list(range(1000)) if limit else [0])


def test_no_extra_pixel():
    """Two 10×10 boxes 4 px apart: 60 / 140 = 0.43. With the old extra pixel it would be 77 / 165 = 0.47."""
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert nms(boxes, scores, 0.42).tolist() == [0]
    assert nms(boxes, scores, 0.44).tolist() == [0, 1]


def test_nothing():
    kept = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.4)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_boxes_outside_the_picture_count_the_same():
    boxes = np.array([[-20, -20, -10, -10], [-20, -20, -10, -10.5], [500, 500, 600, 600]], np.float32)
    assert nms(boxes, np.array([0.7, 0.9, 0.8], np.float32), 0.4).tolist() == [1, 2]
