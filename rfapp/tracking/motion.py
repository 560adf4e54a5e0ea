"""Where faces will be: a Kalman filter for each, all of them at once."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

#: The error of a found box, and of its speed when it was seen once, in sizes of the face (and a second).
_ERROR, _FIRST_SPEED = 0.05, 1.5
#: How strongly faces change their speed: the spectral density of the acceleration, in sizes² a second³.
_RESTLESS = 6.0
#: The speed of a face that is not found fades by 1/e in so many seconds: people stop and turn more than they fly on.
_FADING_S = 0.4


class Motion:
    """Position and speed of N boxes, as centre x, centre y, width and height in pixels, and their uncertainty.

    Constant speed with white noise for acceleration (Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to
    Tracking and Navigation", 2001, section 6.2). All errors are in proportion to the face, so that the four numbers
    of a box share one covariance: of place, of place and speed, of speed, in sizes of the face.
    """

    def __init__(self, boxes: npt.NDArray[np.float32]) -> None:
        self.place = centred(boxes)
        self.speed = np.zeros_like(self.place)
        self._covariance = np.tile(np.array([_ERROR**2, 0.0, _FIRST_SPEED**2]), (len(boxes), 1))

    def predict(self, seconds: float, missed: npt.NDArray[np.bool_]) -> None:
        """Go on by *seconds*; the faces *missed* were not found in the frame before."""
        self.place += self.speed * seconds
        self.place[:, 2:] = np.maximum(self.place[:, 2:], 1.0)
        self.speed[missed] *= np.exp(-seconds / _FADING_S)
        place, both, speed = self._covariance.T
        self._covariance = np.stack(
            [
                place + 2 * seconds * both + seconds**2 * speed + _RESTLESS * seconds**3 / 3,
                both + seconds * speed + _RESTLESS * seconds**2 / 2,
                speed + _RESTLESS * seconds,
            ],
            axis=1,
        )

    def correct(self, rows: npt.NDArray[np.intp], boxes: npt.NDArray[np.float32]) -> None:
        """The faces *rows* were found at *boxes*."""
        place, both, speed = self._covariance[rows].T
        whole = place + _ERROR**2
        gain, gain_speed = place / whole, both / whole
        off = centred(boxes) - self.place[rows]
        self.place[rows] += gain[:, None] * off
        self.speed[rows] += gain_speed[:, None] * off
        self._covariance[rows] = np.stack([(1 - gain) * place, (1 - gain) * both, speed - gain_speed * both], axis=1)

    def boxes(self, seconds: float) -> npt.NDArray[np.float32]:
        """N×4 (x1, y1, x2, y2), where they should be in so many *seconds*."""
        middle, half = self.place[:, :2] + self.speed[:, :2] * seconds, self.place[:, 2:] / 2
        return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)

    def picked(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Only these."""
        self.place, self.speed, self._covariance = self.place[rows], self.speed[rows], self._covariance[rows]
        return self

    def joined(self, other: Motion) -> Self:
        """These and then those of *other*."""
        self.place = np.concatenate([self.place, other.place])
        self.speed = np.concatenate([self.speed, other.speed])
        self._covariance = np.concatenate([self._covariance, other._covariance])
        return self


def centred(boxes: npt.NDArray[np.float32]) -> Numbers:
    """Boxes N×4 (x1, y1, x2, y2) as centre x, centre y, width, height."""
    wide = boxes.astype(np.float64)
    return np.concatenate([(wide[:, :2] + wide[:, 2:]) / 2, wide[:, 2:] - wide[:, :2]], axis=1)
