"""Average precision as WIDER FACE's own toolbox computes it (Yang et al., 2016; ``eval_tools``, MATLAB).

The toolbox keeps ground truth as int32, and MATLAB's arithmetic on mixed numbers then rounds to whole ones: corners of
overlaps are rounded, and the intersection over union becomes 0 or 1. A detection is therefore matched with the *first*
box that it overlaps by half or more. Ports that compute in floating point differ by up to 0.1 points; ``exact=False``
gives theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rfapp.evaluation.ground_truth import LEVELS, GroundTruth, Picture
from rfapp.evaluation.results import Boxes

THRESHOLDS = 1000
MIN_OVERLAP = 0.5

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall at the protocol's 1000 thresholds, and the area under them in percent."""

    precision: Array
    recall: Array
    average_precision: float


def evaluate(truth: GroundTruth, boxes: Mapping[str, Boxes], *, exact: bool = True) -> dict[str, Curve]:
    """A curve for each of the levels.

    *boxes*: ``Picture.key`` → N×5 (x, y, width, height, score), falling scores; a picture that is missing counts as
    one without detections. Scores are scaled to 0 … 1 over all detections, as the protocol wants.
    """
    scores = [rows[:, 4] for key in (p.key for p in truth.pictures) if len(rows := boxes.get(key, _NONE))]
    low = min((float(s.min()) for s in scores), default=0.0)
    high = max((float(s.max()) for s in scores), default=1.0)
    span = high - low if high > low else 1.0
    found = {level: np.zeros(THRESHOLDS) for level in LEVELS}
    proposed = {level: np.zeros(THRESHOLDS) for level in LEVELS}
    for picture in truth.pictures:
        rows = boxes.get(picture.key, _NONE)
        if not len(rows) or not len(picture.boxes):
            # As the toolbox does: a picture without faces to find adds no false alarm either.
            continue
        last = _last_at_thresholds((rows[:, 4] - low) / span)
        matches = _matches(picture.boxes, rows[:, :4], exact=exact)
        for level in LEVELS:
            hits, counted = _walk(matches, picture, level)
            take = last >= 0
            found[level][take] += hits[last[take]]
            proposed[level][take] += counted[last[take]]
    return {level: _curve(found[level], proposed[level], truth.faces(level)) for level in LEVELS}


_NONE: Boxes = np.zeros((0, 5), np.float64)


def _last_at_thresholds(scores: Array) -> npt.NDArray[np.int64]:
    """For each threshold 1 − k/1000 the index of the last detection that reaches it, −1 for none."""
    thresholds = 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS
    # The last index among all that reach it, also should scores not be sorted.
    reached = np.maximum.accumulate(scores[::-1])[::-1]
    last: npt.NDArray[np.int64] = np.searchsorted(-reached, -thresholds, side="right") - 1
    return last


def _matches(truth: npt.NDArray[np.int32], boxes: Array, *, exact: bool) -> npt.NDArray[np.int64]:
    """For each detection the index of the face that it overlaps by half or more, −1 for none.

    Areas are those of whole pixels: a box from x to x + w is w + 1 pixels wide.
    """
    faces = truth.astype(np.float64)
    x1, y1 = faces[:, 0], faces[:, 1]
    x2, y2 = x1 + faces[:, 2], y1 + faces[:, 3]
    face_area = (x2 - x1 + 1) * (y2 - y1 + 1)
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    area = (right - left + 1) * (bottom - top + 1)
    rounded = _round if exact else _same
    width = rounded(np.minimum(x2, right[:, None])) - rounded(np.maximum(x1, left[:, None])) + 1
    height = rounded(np.minimum(y2, bottom[:, None])) - rounded(np.maximum(y1, top[:, None])) + 1
    inter = width * height
    union = rounded(rounded(face_area + area[:, None]) - inter)
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap = np.where((width > 0) & (height > 0), inter / union, 0.0)
    if exact:
        overlap = _round(overlap)
    best: npt.NDArray[np.int64] = overlap.argmax(axis=1)
    best[overlap[np.arange(len(boxes)), best] < MIN_OVERLAP] = -1
    return best


def _round(values: Array) -> Array:
    """MATLAB's rounding: half away from zero."""
    return np.trunc(values + np.copysign(0.5, values))


def _same(values: Array) -> Array:
    return values


def _walk(matches: npt.NDArray[np.int64], picture: Picture, level: str) -> tuple[Array, Array]:
    """How many faces are found and how many detections count, up to and with each detection."""
    counts = np.zeros(len(picture.boxes), bool)
    counts[picture.counted[level]] = True
    met = matches >= 0
    relevant = met & counts[matches]
    # A face is found by the first detection that meets it; the later ones are false alarms.
    first = np.zeros(len(matches), bool)
    where = np.flatnonzero(relevant)
    first[where[np.unique(matches[where], return_index=True)[1]]] = True
    ignored = met & ~counts[matches]
    return np.cumsum(first).astype(np.float64), np.cumsum(~ignored).astype(np.float64)


def _curve(found: Array, proposed: Array, faces: int) -> Curve:
    precision = np.divide(found, proposed, out=np.zeros_like(found), where=proposed > 0)
    recall = found / faces if faces else np.zeros_like(found)
    return Curve(precision, recall, 100 * _area(precision, recall))


def _area(precision: Array, recall: Array) -> float:
    """The area under the falling envelope of *precision* over *recall*, as PASCAL VOC has it."""
    steps = np.concatenate([[0.0], recall, [1.0]])
    envelope = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    rises = np.flatnonzero(steps[1:] != steps[:-1])
    return float(np.sum((steps[rises + 1] - steps[rises]) * envelope[rises + 1]))
