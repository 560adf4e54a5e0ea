"""Boxes, landmarks, scores and numbers painted into a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage, Detections
from rfapp.settings import ViewSettings
from rfapp.sinks.hiding import Hidden, copied

# BGR; the window paints with the same colours.
BOX = (197, 224, 59)
SHADOW = (20, 18, 11)
TEXT = (28, 33, 4)
#: Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture.
LANDMARKS = ((102, 209, 255), (255, 178, 92), (105, 140, 255), (251, 247, 244), (214, 128, 255))

_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Positions are handed to OpenCV in sixteenths of a pixel.
_SHIFT = 4


def draw(
    image: ByteImage,
    faces: Detections,
    *,
    boxes: bool = True,
    landmarks: bool = True,
    scores: bool = True,
    numbers: bool = True,
    into: ByteImage | None = None,
) -> ByteImage:
    """A copy of *image* (uint8 BGR H×W×3) with *faces* painted in; lines and letters grow with the picture.

    *numbers*: those of the tracks, where there are any. Overlapping faces are painted worst first, so that the best
    is whole. *into*: an array of the same shape that takes the copy, or *image* itself, which is then painted over.
    """
    result = copied(image, into)
    line = line_width(image.shape[1], image.shape[0])
    for row in reversed(range(len(faces))):
        box = faces.boxes[row]
        if not np.isfinite(box).all():
            continue
        if boxes:
            _draw_box(result, box, line)
        if landmarks and faces.landmarks is not None:
            _draw_landmarks(result, faces.landmarks[row], box, line)
    for row in reversed(range(len(faces))):
        text = label(faces, row, scores=scores, numbers=numbers)
        if text and np.isfinite(faces.boxes[row]).all():
            _draw_label(result, text, faces.boxes[row], line)
    return result


def draw_view(
    image: ByteImage, faces: Detections, view: ViewSettings, hidden: Hidden | None, into: ByteImage | None = None
) -> ByteImage:
    """A copy of *image* as the window shows it: without what is *hidden*, with what *view* wants drawn. *into* as in
    :func:`draw`."""
    result = copied(image, into)
    if hidden is not None:
        hidden.over(result)
        faces = hidden.veiled(faces)
    return draw(
        result,
        faces,
        boxes=view.boxes,
        landmarks=view.landmarks,
        scores=view.scores,
        numbers=view.numbers,
        into=result,
    )


def label(faces: Detections, row: int, *, scores: bool, numbers: bool) -> str:
    """What stands beside a face: its number, its score, both or nothing."""
    parts = []
    if numbers and faces.tracks is not None:
        parts.append(f"#{faces.tracks[row]}")
    if scores:
        parts.append(f"{faces.scores[row]:.2f}")
    return " ".join(parts)


def line_width(width: int, height: int) -> int:
    """The width of a box's line in a picture of that size, in pixels."""
    return max(1, round(max(width, height) / 550))


def _draw_box(image: ByteImage, box: npt.NDArray[Any], line: int) -> None:
    corners = tuple(_fixed(v) for v in _clipped(box, image))
    first, second = corners[:2], corners[2:]
    cv2.rectangle(image, first, second, SHADOW, line + max(1, line), cv2.LINE_AA, _SHIFT)
    cv2.rectangle(image, first, second, BOX, line, cv2.LINE_AA, _SHIFT)


def _draw_landmarks(image: ByteImage, points: npt.NDArray[Any], box: npt.NDArray[Any], line: int) -> None:
    if not np.isfinite(points).all():
        return
    face = max(float(box[2] - box[0]), float(box[3] - box[1]))
    radius = min(max(face / 45, 1.0), line * 2.5)
    edge = max(0.6, radius * 0.35)
    for (x, y), colour in zip(points, LANDMARKS, strict=True):
        if not (-radius <= x <= image.shape[1] + radius and -radius <= y <= image.shape[0] + radius):
            continue
        middle = _fixed(x), _fixed(y)
        cv2.circle(image, middle, _fixed(radius + edge), SHADOW, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, middle, _fixed(radius), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_label(image: ByteImage, text: str, box: npt.NDArray[Any], line: int) -> None:
    height, width = image.shape[:2]
    scale = max(0.38, 0.26 * line)
    weight = max(1, round(scale * 1.6))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, weight)
    pad = max(2, round(text_height * 0.35))
    label_width, label_height = text_width + 2 * pad, text_height + 2 * pad
    left, top, right, bottom = (float(v) for v in _clipped(box, image))
    if label_width > width or label_height > height or right - left < text_width / 2:
        return  # it would hide the face
    x = round(min(max(left - line / 2, 0), width - label_width))
    y = round(top - line / 2 - label_height)
    if y < 0:  # no room above: below, or else in the box
        y = round(bottom + line / 2)
        if y + label_height > height:
            y = round(top + line / 2)
    y = min(max(y, 0), height - label_height)
    image[y : y + label_height, x : x + label_width] = BOX
    cv2.putText(image, text, (x + pad, y + pad + text_height), _FONT, scale, TEXT, weight, cv2.LINE_AA)


def _clipped(box: npt.NDArray[Any], image: ByteImage) -> npt.NDArray[np.float64]:
    limit = np.array([image.shape[1], image.shape[0]] * 2, np.float64) - 1
    return np.asarray(np.clip(box.astype(np.float64), 0, limit))


def _fixed(value: float) -> int:
    return round(float(value) * (1 << _SHIFT))
