"""Faces made unrecognisable in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage, Detections, FloatArray
from rfapp.settings import HidingSettings

#: So many blocks are left of a face's longer side, and this part of their contrast. People recognise faces of about 16
#: blocks (Bachmann, "Identification of spatially quantised tachistoscopic images of faces", 1991), programs those of
#: fewer (McPherson et al., "Defeating Image Obfuscation with Deep Learning", 2016); of six at full contrast this very
#: network still says in two cases out of three that there is a face, of four at a third of it in one of a hundred.
_BLOCKS, _CONTRAST = 4, 0.3
#: What a filled face becomes (BGR).
_FILL = (66, 60, 54)


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """What of a picture is not to be seen: ``boxes`` (float32 N×4 in pixels of the frame, without the margin), or
    (None) all of it, because nobody knows yet where faces are. ``rows``: which of the frame's faces are hidden; None:
    all of them."""

    boxes: FloatArray | None
    settings: HidingSettings
    rows: npt.NDArray[np.bool_] | None = None

    def over(self, image: npt.NDArray[np.uint8], scale: float = 1.0) -> None:
        """Make it unrecognisable in *image* (uint8 H×W×C, changed in place), which is *scale* times the frame."""
        height, width = image.shape[:2]
        if self.boxes is None:
            _obscure(image, (0, 0, width, height), max(width, height) / 4, self.settings.how, None)
            return
        for box in self.boxes * np.float32(scale):
            if np.isfinite(box).all():
                self._hide(image, box)

    def applied(self, image: ByteImage, into: ByteImage | None = None) -> ByteImage:
        """A copy of *image* without what is hidden; *into*: an array of the same shape that takes it."""
        result = copied(image, into)
        self.over(result)
        return result

    def veiled(self, faces: Detections) -> Detections:
        """*faces* for painting: those that are hidden without landmarks (which become NaN)."""
        if faces.landmarks is None:
            return faces
        landmarks = faces.landmarks.copy()
        landmarks[... if self.rows is None else self.rows] = np.nan
        return Detections(faces.boxes, faces.scores, landmarks, faces.tracks)

    def _hide(self, image: npt.NDArray[np.uint8], box: FloatArray) -> None:
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * (1 + self.settings.margin / 50)
        low = np.floor(middle - half)
        high = np.ceil(middle + half)
        left, top = (max(0, int(value)) for value in low)
        right, bottom = (min(edge, int(value)) for value, edge in zip(high, image.shape[1::-1], strict=True))
        if right <= left or bottom <= top:
            return
        mask = None
        if self.settings.shape == "ellipse":
            mask = np.zeros((bottom - top, right - left), np.uint8)
            axes = max(1, round(float(half[0]))), max(1, round(float(half[1])))
            centre = round(float(middle[0])) - left, round(float(middle[1])) - top
            cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
        _obscure(image, (left, top, right, bottom), float((box[2:] - box[:2]).max()), self.settings.how, mask)


def copied(image: ByteImage, into: ByteImage | None) -> ByteImage:
    """A copy of *image*, in the memory of *into* if it fits: fresh memory for every frame of a film costs more than the
    copying does."""
    if into is image:
        return image
    if into is None or into.shape != image.shape:
        return image.copy()
    np.copyto(into, image)
    return into


def _obscure(image: npt.NDArray[np.uint8], area: tuple[int, int, int, int], face: float, how: str, mask: Any) -> None:
    """Hide *area* (x1, y1, x2, y2) of *image*, or of it what *mask* marks; *face*: the longer side of a face in it."""
    left, top, right, bottom = area
    part = image[top:bottom, left:right]
    if how == "fill":
        hidden = np.empty_like(part)
        hidden[..., :3] = _FILL
        hidden[..., 3:] = 255
    else:
        block = max(2.0, face / _BLOCKS)
        size = max(1, round((right - left) / block)), max(1, round((bottom - top) / block))
        few = _paled(np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8))
        between = cv2.INTER_NEAREST if how == "pixelate" else cv2.INTER_CUBIC
        hidden = np.asarray(cv2.resize(few, part.shape[1::-1], interpolation=between), np.uint8)
    if mask is None:
        part[:] = hidden
    else:
        np.copyto(part, hidden, where=mask[..., None] > 0)


def _paled(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """*blocks* (uint8 H×W×C) with less contrast: dark spots where the eyes were are enough to see a face."""
    mean = blocks.reshape(-1, blocks.shape[-1]).mean(axis=0)
    return np.asarray(np.round(mean + (blocks - mean) * _CONTRAST), np.uint8)
