"""Boxes and landmarks that stand still when the face does, and follow at once when it moves."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

#: Of a face that stands still, changes faster than this are smoothed away (Hz).
_STILL_HZ = 0.7
#: So much is added for each size of the face that a point moves a second (Hz).
_PER_SPEED_HZ = 20.0
#: Slower than this a point counts as standing still, in sizes of the face a second: so fast noise seems to move.
_NOISE = 0.15
#: Changes of speed faster than this are taken for noise (Hz).
_SPEED_HZ = 1.5


class Smoothing:
    """The One Euro filter for the points of N faces: a low-pass whose cutoff rises with the speed.

    Casiez, Roussel, Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
    CHI 2012. Speeds are in sizes of the face, so that near and far faces, small and large pictures behave alike. No
    point is taken for slower than its face as a whole. *points*: N×P×2 in pixels, the first two of which are the
    centre of the box and its width and height.
    """

    def __init__(self, points: Numbers) -> None:
        self.points = points.copy()
        self._raw = points.copy()
        self._speed = np.zeros_like(points)

    def follow(self, rows: npt.NDArray[np.intp], points: Numbers, seconds: Numbers) -> None:
        """The faces *rows* are at *points* now, *seconds* (one for each, above 0) after they were seen last."""
        size = np.maximum(np.sqrt(points[:, 1].prod(axis=1)), 1.0)[:, None, None]
        passed = seconds[:, None, None]
        speed = (points - self._raw[rows]) / passed
        old = self._speed[rows]
        new = old + _share(np.full_like(passed, _SPEED_HZ), passed) * (speed - old)
        quick = np.linalg.norm(new / size, axis=2, keepdims=True)
        quick = np.maximum(quick, quick[:, :1])
        quick = np.maximum(quick - _NOISE, 0.0)
        before = self.points[rows]
        self.points[rows] = before + _share(_STILL_HZ + _PER_SPEED_HZ * quick, passed) * (points - before)
        self._raw[rows], self._speed[rows] = points, new

    def jump(self, rows: npt.NDArray[np.intp], points: Numbers) -> None:
        """The faces *rows* are at *points*, whatever was before."""
        self.points[rows] = self._raw[rows] = points
        self._speed[rows] = 0.0

    def last_boxes(self) -> Numbers:
        """N×4 (x1, y1, x2, y2): where the faces were found last, as they were found."""
        half = self._raw[:, 1] / 2
        return np.concatenate([self._raw[:, 0] - half, self._raw[:, 0] + half], axis=1)

    def picked(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Only these."""
        self.points, self._raw, self._speed = self.points[rows], self._raw[rows], self._speed[rows]
        return self

    def joined(self, other: Smoothing) -> Self:
        """These and then those of *other*."""
        self.points = np.concatenate([self.points, other.points])
        self._raw = np.concatenate([self._raw, other._raw])
        self._speed = np.concatenate([self._speed, other._speed])
        return self


def _share(cutoff_hz: Numbers, seconds: Numbers) -> Numbers:
    """How much of the new value goes into the smoothed one."""
    constant = 1 / (2 * np.pi * cutoff_hz)
    return np.asarray(1 / (1 + constant / seconds))
