"""From a network's raw numbers to the rows that are worth decoding: numpy, shared by the engines."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rfapp.engines.base import Candidates
from rfapp.frames import FloatArray

IndexArray = npt.NDArray[np.int64]


def logit(score: float) -> float:
    """The logit above which a score is above *score*: the exponential need only be taken of the rows that stay."""
    if score <= 0.0:
        return -math.inf
    return math.log(score / (1.0 - score)) if score < 1.0 else math.inf


def rows_of(cells: FloatArray, priors: IndexArray, anchors: int) -> FloatArray:
    """float32 K×15: logit, 4 box deltas, 10 landmark deltas of the *priors* with these indices (int64 K).

    *cells* is the whole table, …×cells×(A·15): A logits, A·4 box deltas, A·10 landmark deltas. Prior i is anchor
    i mod A of cell i // A. For a network without landmarks both have 5 numbers a prior.
    """
    cell, anchor = np.divmod(priors, anchors)
    places = columns_of(anchors, cells.shape[-1] // anchors)[anchor]
    places += (cell * cells.shape[-1])[:, None]
    return cells.reshape(-1).take(places)


@lru_cache
def columns_of(anchors: int, numbers: int) -> IndexArray:
    """int64 A×*numbers*: where the numbers of each anchor stand in the row of its cell."""
    boxes = anchors + np.arange(anchors * 4).reshape(anchors, 4)
    landmarks = anchors * 5 + np.arange(anchors * (numbers - 5)).reshape(anchors, numbers - 5)
    return np.hstack([np.arange(anchors)[:, None], boxes, landmarks])


def candidates_of(rows: FloatArray, priors: IndexArray) -> Candidates:
    """K×15 or K×5 *rows*, as :func:`rows_of` gives them, of the priors with these indices."""
    # Below -80 every score is 0 for all purposes, and exp(80) is still a number in float32.
    scores: FloatArray = np.float32(1) / (np.float32(1) + np.exp(-np.maximum(rows[:, 0], np.float32(-80))))
    return Candidates(priors, scores, rows[:, 1:5], rows[:, 5:] if rows.shape[1] > 5 else None)
