"""From a network's raw numbers to the rows that are worth decoding: numpy, shared by the engines."""

from __future__ import annotations

import math

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


def rows_of(cells: FloatArray, which: IndexArray, anchors: int) -> FloatArray:
    """float32 K×15: logit, 4 box deltas, 10 landmark deltas of anchor *which* in each of *cells*.

    *cells* is K×(A·15): A logits, A·4 box deltas, A·10 landmark deltas.
    """
    rows = np.empty((len(cells), 15), np.float32)
    picked = np.arange(len(cells))
    rows[:, 0] = cells[picked, which]
    rows[:, 1:5] = cells[:, anchors : anchors * 5].reshape(-1, anchors, 4)[picked, which]
    rows[:, 5:] = cells[:, anchors * 5 :].reshape(-1, anchors, 10)[picked, which]
    return rows


def candidates_of(rows: FloatArray, priors: IndexArray) -> Candidates:
    """K×15 *rows*, as :func:`rows_of` gives them, of the priors with these indices."""
    # The exponential of a large negative logit underflows to 0, which is right.
    with np.errstate(over="ignore", under="ignore"):
        scores = np.float32(1) / (np.float32(1) + np.exp(-rows[:, 0]))
    return Candidates(priors.astype(np.int64, copy=False), scores, rows[:, 1:5], rows[:, 5:])
