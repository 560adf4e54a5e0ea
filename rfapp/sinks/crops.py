"""Faces cut out upright, as networks that recognise or describe faces take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.errors import UsageError
from rfapp.frames import ByteImage, Detections, Frame
from rfapp.sinks.pictures import write_picture
from rfapp.text import mark

#: The side of a crop in pixels, and where eyes, nose and corners of the mouth come to lie in it: the reference of
#: ArcFace (Deng et al., CVPR 2019; insightface ``python-package/insightface/utils/face_align.py``).
CROP_PX = 112
REFERENCE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)


def aligned_crops(image: ByteImage, faces: Detections, size: int = CROP_PX) -> list[ByteImage]:
    """Each of *faces* cut out of *image* (uint8 BGR H×W×3), turned and scaled so that its landmarks lie as nearly as
    can be where ArcFace has them: uint8 BGR *size*×*size*. What lies beyond the edge is black.

    Raises UsageError when the model that found them tells no landmarks.
    """
    if faces.landmarks is None:
        raise UsageError(
            mark("The faces have no landmarks, without which they can't be cut out upright."),
            mark("Use a model that finds landmarks."),
        )
    return [_cut_out(image, points.astype(np.float64), size) for points in faces.landmarks]


def _cut_out(image: ByteImage, points: npt.NDArray[np.float64], size: int) -> ByteImage:
    matrix = similarity(points, REFERENCE * (size / CROP_PX))
    # A large face is cut out larger by a whole number and then averaged: single pixels would leave most of it out.
    times = max(1, round(1 / max(float(np.hypot(matrix[0, 0], matrix[0, 1])), 1 / 32)))
    flags = cv2.INTER_LINEAR if times > 1 else cv2.INTER_CUBIC
    # In the larger picture, too, the middle of a pixel is half a pixel from its edge.
    shift = np.array([[0, 0, (times - 1) / 2]] * 2)
    crop = cv2.warpAffine(image, matrix * times + shift, (size * times, size * times), flags=flags)
    if times > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def similarity(points: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The 2×3 matrix of the shift, turn and scaling that brings *points* (N×2) nearest to *wanted* (N×2), in the sense
    of least squares (Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991). In the plane, without mirroring, it is a single complex factor."""
    middle, target = points.mean(axis=0), wanted.mean(axis=0)
    a, b = ((p - m) @ np.array([1, 1j]) for p, m in ((points, middle), (wanted, target)))
    factor = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-12)
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (target - turn @ middle)[:, None]], axis=1)


class CropSink:
    """The faces of one picture or video as PNG files in *folder*.

    They are called ``NAME-face0.png`` in the order of their scores, in a film ``NAME-000123-face0.png``, and where
    faces are followed ``NAME/track-0007/000123.png``; *name* is that of the picture or video. *told* is given each
    path.
    """

    def __init__(
        self, folder: Path, name: str, *, film: bool = True, told: Callable[[Path], None] = lambda path: None
    ) -> None:
        self._folder, self._name, self._film, self._told = folder, name, film, told

    def append(self, frame: Frame, faces: Detections) -> None:
        """Cut the *faces* out of *frame*. Raises UsageError without landmarks, OutputError."""
        for row, crop in enumerate(aligned_crops(frame.image, faces)):
            if faces.tracks is not None:
                path = self._folder / self._name / f"track-{faces.tracks[row]:04}" / f"{frame.index:06}.png"
            elif self._film:
                path = self._folder / f"{self._name}-{frame.index:06}-face{row}.png"
            else:
                path = self._folder / f"{self._name}-face{row}.png"
            write_picture(path, crop)
            self._told(path)
