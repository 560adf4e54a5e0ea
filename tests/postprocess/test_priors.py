"""Priors against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rfapp.models.config import MOBILENET_025
from rfapp.models.prior_box import PriorBox
from rfapp.postprocess import decode_boxes, decode_landmarks, priors_for


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(640, 640, 16_800), (840, 840, 29_126), (480, 640, 12_600), (720, 1280, 37_840), (1080, 1920, 85_200), (1, 1, 6)],
)
def test_count(height, width, count):
    assert priors_for(height, width, MOBILENET_025).shape == (count, 4)


def test_values_by_hand():
    """A picture 20 high and 36 wide: levels of 3×5, 2×3 and 1×2 cells."""
    priors = priors_for(20, 36, MOBILENET_025)
    assert priors.shape == (2 * (15 + 6 + 2), 4)
    assert priors.dtype == np.float32
    expected = {
        0: (4 / 36, 4 / 20, 16 / 36, 16 / 20),
        1: (4 / 36, 4 / 20, 32 / 36, 32 / 20),
        2: (12 / 36, 4 / 20, 16 / 36, 16 / 20),  # the next column comes before the next row
        8: (36 / 36, 4 / 20, 16 / 36, 16 / 20),  # the fifth column's centre lies on the picture's edge
        10: (4 / 36, 12 / 20, 16 / 36, 16 / 20),
        29: (36 / 36, 20 / 20, 32 / 36, 32 / 20),
        30: (8 / 36, 8 / 20, 64 / 36, 64 / 20),  # stride 16
        41: (40 / 36, 24 / 20, 128 / 36, 128 / 20),
        42: (16 / 36, 16 / 20, 256 / 36, 256 / 20),  # stride 32
        45: (48 / 36, 16 / 20, 512 / 36, 512 / 20),
    }
    for row, values in expected.items():
        np.testing.assert_allclose(priors[row], values, rtol=1e-6)


def test_clip_keeps_them_inside():
    from dataclasses import replace

    priors = priors_for(20, 36, replace(MOBILENET_025, clip=True))
    assert priors.min() >= 0
    assert priors.max() == 1


def test_cache_gives_the_same_read_only_array():
    first = priors_for(64, 96, MOBILENET_025)
    assert priors_for(64, 96, MOBILENET_025) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1
    with pytest.raises(ValueError, match="at least one pixel"):
        PriorBox(MOBILENET_025, (0, 5))


def test_decoding_by_hand():
    prior = np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)
    deltas = np.array([[1.0, -2.0, np.log(2) / 0.2, 0.0]], np.float32)
    # centre 0.5 + 1·0.1·0.2, 0.25 − 2·0.1·0.1; size doubled, kept
    np.testing.assert_allclose(
        decode_boxes(deltas, prior, (0.1, 0.2)), [[0.52 - 0.2, 0.23 - 0.05, 0.52 + 0.2, 0.23 + 0.05]], rtol=1e-6
    )
    points = decode_landmarks(np.arange(10, dtype=np.float32)[None], prior, (0.1, 0.2))
    assert points.shape == (1, 5, 2)
    np.testing.assert_allclose(points[0, 3], [0.5 + 6 * 0.02, 0.25 + 7 * 0.01], rtol=1e-6)


def test_decoding_of_nothing_and_of_broken_numbers():
    empty = np.zeros((0, 4), np.float32)
    assert decode_boxes(empty, empty, (0.1, 0.2)).shape == (0, 4)
    assert decode_landmarks(np.zeros((0, 10), np.float32), empty, (0.1, 0.2)).shape == (0, 5, 2)
    broken = decode_boxes(np.full((1, 4), 1e30, np.float32), np.ones((1, 4), np.float32), (0.1, 0.2))
    assert not np.isfinite(broken).all()
