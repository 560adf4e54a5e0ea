"""One look at a picture: what comes before the network and behind it, and how two looks become one."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np

from rfapp.engines import Candidates
from rfapp.errors import EngineFailed, UsageError
from rfapp.frames import ByteImage, Detections
from rfapp.models.config import ModelConfig
from rfapp.places import resources
from rfapp.postprocess import decode_boxes, decode_landmarks, nms, priors_for
from rfapp.settings import DetectorSettings, Size
from rfapp.text import mark

#: Pictures are padded to multiples of this: the stride of the network's coarsest level.
STRIDE = 32
#: What a second look is for, in pixels of the picture that the network gets: at half size the larger faces, at the
#: picture's own size the smaller ones. The others were seen better the first time.
_LEAST_AT_HALF = 32.0
_MOST_AT_ORIGINAL = 256.0


def valid(image: Any) -> ByteImage:
    """*image* if it is one: uint8 BGR, height × width × 3. Raises UsageError that tells what it is instead."""
    if not isinstance(image, np.ndarray):
        raise UsageError(
            mark("A picture is a numpy array, not {kind}."),
            mark("Read files with rfapp.read_picture."),
            kind=type(image).__name__,
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(
            mark(
                "A picture is uint8, height × width × 3 in the order blue, green, red; this array is {dtype} {shape}."
            ),
            mark("Read files with rfapp.read_picture, or convert grey pictures with cv2.cvtColor."),
            dtype=image.dtype,
            shape="×".join(map(str, image.shape)),
        )
    if 0 in image.shape:
        raise UsageError(mark("The picture has no pixels."))
    return image


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A picture as the network takes it.

    ``image``: uint8, height and width multiples of 32. ``scale_x`` and ``scale_y``: pixels of the given picture per
    pixel of this one.
    """

    image: ByteImage
    scale_x: float
    scale_y: float


def prepare(image: ByteImage, size: Size, config: ModelConfig) -> Prepared:
    """Scale the long side of *image* to *size*, and fill up right and bottom with the network's mean colour."""
    scaled: ByteImage = image
    scale_x = scale_y = 1.0
    if size != "original" and max(image.shape[:2]) != size:
        scaled, scale_x, scale_y = _scaled(image, size)
    rows, columns = scaled.shape[:2]
    padded = ceil(rows / STRIDE) * STRIDE, ceil(columns / STRIDE) * STRIDE
    if padded != (rows, columns):
        means = config.means[::-1] if config.channel_order == "RGB" else config.means
        filled = np.empty((*padded, 3), np.uint8)
        filled[:rows, :columns] = scaled
        filled[rows:] = filled[:rows, columns:] = np.round(means).astype(np.uint8)
        scaled = filled
    return Prepared(np.ascontiguousarray(scaled), scale_x, scale_y)


def _scaled(image: ByteImage, size: int) -> tuple[ByteImage, float, float]:
    """*image* with its long side scaled to *size*, and pixels of it per pixel of the result, across and down."""
    height, width = image.shape[:2]
    factor = size / max(height, width)
    if min(height, width) * factor < 1:  # a strip of one pixel keeps one pixel
        wanted = max(1, round(width * factor)), max(1, round(height * factor))
        scaled = cv2.resize(image, wanted, interpolation=cv2.INTER_LINEAR)
        return scaled.astype(np.uint8, copy=False), width / wanted[0], height / wanted[1]
    # One factor for both sides: scaled to whole pixels, the short one would be drawn out or squeezed by up to half a
    # pixel, and faces of a few pixels with it.
    scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return scaled.astype(np.uint8, copy=False), 1 / factor, 1 / factor


def built_in_picture() -> ByteImage:
    """The picture on which every model and precision is tried: uint8 BGR 512×512, one frontal face."""
    content = np.fromfile(resources() / "astronaut.png", np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if image is None:
        raise EngineFailed(mark("The built-in picture is damaged."), mark("Install rfapp again."))
    return image.astype(np.uint8, copy=False)


def decode(rows: Candidates, picture: Prepared, config: ModelConfig, settings: DetectorSettings) -> Detections:
    """Faces in pixels of the given picture, out of the rows that the network left above the threshold."""
    height, width = picture.image.shape[:2]
    anchors = priors_for(height, width, config)[rows.priors] if rows.anchors is None else rows.anchors
    scale = np.array([width * picture.scale_x, height * picture.scale_y] * 2, np.float32)
    boxes = decode_boxes(rows.boxes, anchors, config.variance)
    if config.inclusive:
        # The width counts the last pixel: from the first to the last it is half a pixel less to each side.
        half = np.array([0.5 / width, 0.5 / height], np.float32)
        boxes += np.concatenate([half, -half])
    boxes *= scale
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = boxes[:, 2:] - boxes[:, :2]
    if sizes.min(initial=1) > 0 and sizes.max(initial=1) < np.inf:
        kept = nms(boxes, rows.scores, settings.nms)
    else:  # Broken numbers in a network must not become boxes.
        sound = np.flatnonzero(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        kept = sound[nms(boxes[sound], rows.scores[sound], settings.nms)]
    if settings.min_face:
        kept = kept[(boxes[kept, 2:] - boxes[kept, :2]).max(axis=1, initial=0) >= settings.min_face]
    landmarks = None
    if rows.landmarks is not None:
        landmarks = decode_landmarks(rows.landmarks[kept], anchors[kept], config.variance) * scale[:2]
    return Detections(boxes[kept], rows.scores[kept], landmarks)


def second_size(image: ByteImage, settings: DetectorSettings) -> Size | None:
    """The size of the second look at *image*; None when there is none, or when it would be the first one again."""
    longest = max(image.shape[:2])
    first = longest if settings.size == "original" else settings.size
    if settings.second_pass == "half":
        half = max(STRIDE, first // 2)
        return half if half != first else None
    if settings.second_pass == "original" and first != longest:
        return "original"
    return None


def joined(
    first: Detections, second: Detections, image: ByteImage, size: Size, settings: DetectorSettings
) -> Detections:
    """The faces of both looks, each once; *size* is that of the second one."""
    sides = (second.boxes[:, 2:] - second.boxes[:, :2]).max(axis=1, initial=0)
    low, high = (
        (0.0, _MOST_AT_ORIGINAL) if size == "original" else (_LEAST_AT_HALF * max(image.shape[:2]) / size, np.inf)
    )
    fits = (sides >= low) & (sides <= high)
    boxes = np.concatenate([first.boxes, second.boxes[fits]])
    scores = np.concatenate([first.scores, second.scores[fits]])
    kept = nms(boxes, scores, settings.nms)
    landmarks = None
    if first.landmarks is not None and second.landmarks is not None:
        landmarks = np.concatenate([first.landmarks, second.landmarks[fits]])[kept]
    return Detections(boxes[kept], scores[kept], landmarks)
