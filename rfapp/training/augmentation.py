"""Augmentation: from one labelled picture to another one that is as true.

Every function takes an :class:`Example` and gives a new one; arrays that were handed in are never written to. What is
random comes from the ``numpy.random.Generator`` given, so that a sample looks the same under the same seed, whichever
process makes it. Sources: RetinaFace's training code (random square crop, colours, pad, mirror, resize), SCRFD
(larger crops), PyramidBox (data-anchor-sampling), YOLOv4 (mosaic).

Coordinates are those of edges: pixel k reaches from k to k + 1, so that a picture of width w reaches from 0 to w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.datasets import Sample
from rfapp.frames import ByteImage, FloatArray
from rfapp.sources.pictures import read_picture

BoolArray = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]

#: The mean colour (BGR) that RetinaFace subtracts: padding with it is zero for the network.
MEAN: Colour = (104, 117, 123)
#: Sides of square crops over the short side of the picture: RetinaFace's, and SCRFD's with many more small faces.
SCALES = (0.3, 0.45, 0.6, 0.8, 1.0)
WIDE_SCALES = (*SCALES, 1.2, 1.4, 1.6, 1.8, 2.0)
#: The sizes among which data-anchor-sampling moves faces.
ANCHORS = (16, 32, 64, 128, 256, 512)
#: Landmarks of the mirrored face: the eyes change places, and so do the corners of the mouth.
MIRRORED = (1, 0, 2, 4, 3)
_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_LANCZOS4)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture and its faces: ``image`` uint8 BGR H×W×3; ``boxes`` float32 N×4, x1, y1, x2, y2 in pixels;
    ``landmarks`` float32 N×5×2, 0 where not ``known`` (bool N); ``ignore`` bool N: neither face nor background."""

    image: ByteImage
    boxes: FloatArray
    landmarks: FloatArray
    known: BoolArray
    ignore: BoolArray

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])


def load(sample: Sample) -> Example:
    """The picture of a cleaned *sample* with its labels. Raises SourceNotFound or PictureUnreadable."""
    return Example(read_picture(sample.picture), sample.boxes, sample.landmarks, sample.known, sample.ignore)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, in its pixels; it may reach beyond the edges."""

    left: int
    top: int
    width: int
    height: int


def random_square_crop(
    example: Example,
    rng: np.random.Generator,
    size: int,
    *,
    scales: Sequence[float] = SCALES,
    tries: int = 250,
    fill: Colour = MEAN,
) -> Example:
    """A square whose side is one of *scales* times the short side, anywhere, scaled to *size* × *size* by one of five
    interpolations, so that the network relies on none of them; filled with *fill* beyond the picture.

    A crop is taken when one face at least lies wholly in it; after *tries* without one the whole picture is shown. In a
    picture without faces any crop will do. See :func:`cut_out` for what becomes of the faces.
    """
    boxes = example.boxes[~example.ignore]
    side = max(example.width, example.height)
    chosen = Window(0, 0, side, side)
    for _ in range(tries):
        window = _random_square(example, scales, rng)
        if not len(boxes) or _holds(window, boxes).any():
            chosen = window
            break
    return cut_out(example, chosen, size=(size, size), fill=fill, interpolation=_any_interpolation(rng))


def _random_square(example: Example, scales: Sequence[float], rng: np.random.Generator) -> Window:
    side = max(1, round(min(example.width, example.height) * float(rng.choice(np.asarray(scales)))))
    return Window(_start(example.width, side, rng), _start(example.height, side, rng), side, side)


def _start(length: int, side: int, rng: np.random.Generator) -> int:
    """Where a crop begins: inside the picture, or, when it is larger, so that it holds the picture."""
    low, high = sorted((0, length - side))
    return int(rng.integers(low, high, endpoint=True))


def _holds(window: Window, boxes: FloatArray) -> BoolArray:
    low = np.array([window.left, window.top], np.float32)
    high = low + np.array([window.width, window.height], np.float32)
    return np.asarray((boxes[:, :2] >= low).all(axis=1) & (boxes[:, 2:] <= high).all(axis=1))


def cut_out(
    example: Example,
    window: Window,
    *,
    size: tuple[int, int] | None = None,
    fill: Colour = MEAN,
    interpolation: int = cv2.INTER_LINEAR,
) -> Example:
    """The part *window* of the picture, scaled to *size* (width, height; default: as it is).

    The centre rule: faces whose centre is inside stay, and their boxes are cut at the edge. Of the others what is seen
    becomes an area to ignore: it is neither a whole face nor background. Landmarks are moved and not cut, so that
    those of a cut face still tell where its eyes are.
    """
    out_width, out_height = size or (window.width, window.height)
    canvas = np.empty((out_height, out_width, 3), np.uint8)
    canvas.reshape(out_height, -1)[:] = np.tile(np.array(fill, np.uint8), out_width)  # whole rows: five times faster
    start = np.array([window.left, window.top], np.float64)
    scale = np.array([out_width / window.width, out_height / window.height], np.float64)
    # Only what is seen of the picture is scaled: a window may be many times larger. That part ends at whole pixels, and
    # the labels are scaled as it is.
    low = np.maximum(start, 0)
    end = (window.left + window.width, window.top + window.height)
    high = np.minimum(np.array(end, np.float64), (example.width, example.height))
    first, last = np.rint((low - start) * scale), np.rint((high - start) * scale)
    if (last > first).all() and (high > low).all():
        scale = (last - first) / (high - low)
        start = low - first / scale
        (x1, y1), (x2, y2) = first.astype(int), last.astype(int)
        (left, top), (right, bottom) = low.astype(int), high.astype(int)
        part = example.image[top:bottom, left:right]
        if part.shape[:2] != (y2 - y1, x2 - x1):
            part = np.asarray(cv2.resize(part, (int(x2 - x1), int(y2 - y1)), interpolation=interpolation), np.uint8)
        canvas[y1:y2, x1:x2] = part
    moved = (example.boxes.reshape(-1, 2, 2) - start) * scale
    limit = np.array([out_width, out_height], np.float64)
    centres = moved.mean(axis=1)
    inside = ((centres > 0) & (centres < limit)).all(axis=1)
    boxes = np.clip(moved, 0, limit).astype(np.float32).reshape(-1, 4)
    seen = np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    known = example.known & inside
    landmarks = ((example.landmarks - start) * scale).astype(np.float32)
    landmarks[~known] = 0
    return _chosen(Example(canvas, boxes, landmarks, known, example.ignore | ~inside), seen)


def _chosen(example: Example, rows: Any) -> Example:
    return replace(
        example,
        boxes=example.boxes[rows],
        landmarks=example.landmarks[rows],
        known=example.known[rows],
        ignore=example.ignore[rows],
    )


def distort_colours(example: Example, rng: np.random.Generator) -> Example:
    """Brightness ±32, contrast and saturation × 0.5–1.5, hue ±18 (of 180), each with probability ½; contrast before
    or behind saturation and hue."""
    early = rng.random() < 0.5
    brightness = rng.uniform(-32, 32) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    hue = int(rng.integers(-18, 18, endpoint=True)) if rng.random() < 0.5 else 0
    # Tables of 256 values: exact, and many times faster than arithmetic in floating point.
    values = _table(np.arange(256) + brightness)
    if early:
        values = _table(values * contrast)
    image: Any = example.image
    if brightness or (early and contrast != 1.0):
        image = cv2.LUT(image, values)
    if saturation != 1.0 or hue:
        image = _shift_hue(image, saturation, hue)
    if not early and contrast != 1.0:
        image = cv2.LUT(image, _table(np.arange(256) * contrast))
    return replace(example, image=np.asarray(image, np.uint8))


def _shift_hue(image: Any, saturation: float, hue: int) -> Any:
    steps = np.arange(256)
    table = np.stack([(steps + hue) % 180, _table(steps * saturation), steps], axis=-1).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), table[None]), cv2.COLOR_HSV2BGR)


def _table(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def mirror(example: Example) -> Example:
    """Left and right changed; of known landmarks so are the eyes and the corners of the mouth."""
    boxes = example.boxes.copy()
    boxes[:, [0, 2]] = np.float32(example.width) - example.boxes[:, [2, 0]]
    landmarks = example.landmarks.copy()
    known = example.known
    landmarks[known] = landmarks[known][:, MIRRORED]
    landmarks[known, :, 0] = np.float32(example.width) - landmarks[known, :, 0]
    return replace(example, image=np.asarray(cv2.flip(example.image, 1), np.uint8), boxes=boxes, landmarks=landmarks)


def _any_interpolation(rng: np.random.Generator) -> int:
    return int(rng.choice(np.asarray(_INTERPOLATIONS)))


def data_anchor_sampling(example: Example, rng: np.random.Generator, size: int, *, fill: Colour = MEAN) -> Example:
    """PyramidBox's sampling: one face at random is brought to a random size, and a square of *size* that holds it is
    cut out. Large faces become small ones, which pictures have too few of.

    With the nearest anchor i of the face's size s = √(w·h), a target anchor a is drawn from 0 … min(i + 1, 5), and
    the new size from a/2 … 2a (for the last one up to min(2a, 2s)). A picture without faces gives a random crop.
    """
    faces = example.boxes[~example.ignore]
    interpolation = _any_interpolation(rng)
    if not len(faces):
        window = _random_square(example, SCALES, rng)
        return cut_out(example, window, size=(size, size), fill=fill, interpolation=interpolation)
    box = faces[rng.integers(len(faces))].astype(np.float64)
    present = max(float(np.sqrt((box[2] - box[0]) * (box[3] - box[1]))), 1e-3)
    wanted = _target_size(present, rng)
    side = max(1, round(size * present / wanted))
    left = _around(float(box[0]), float(box[2]), example.width, side, rng)
    top = _around(float(box[1]), float(box[3]), example.height, side, rng)
    window = Window(left, top, side, side)
    return cut_out(example, window, size=(size, size), fill=fill, interpolation=interpolation)


def _target_size(present: float, rng: np.random.Generator) -> float:
    nearest = int(np.argmin(np.abs(np.array(ANCHORS) - present)))
    target = int(rng.integers(0, min(nearest + 1, len(ANCHORS) - 1), endpoint=True))
    anchor = ANCHORS[target]
    high = 2.0 * anchor
    if target == len(ANCHORS) - 1:
        high = max(min(high, 2 * present), anchor / 2)
    return float(rng.uniform(anchor / 2, high))


def _around(low: float, high: float, length: int, side: int, rng: np.random.Generator) -> int:
    """Where a window of *side* begins that holds *low* … *high* and, as far as it can, lies in a picture of
    *length*; of a face that is larger than the window it shows a part."""
    first, last = sorted((int(np.ceil(high)) - side, int(np.floor(low))))
    inner_first, inner_last = sorted((0, length - side))
    first_both, last_both = max(first, inner_first), min(last, inner_last)
    if first_both <= last_both:
        first, last = first_both, last_both
    return int(rng.integers(first, last, endpoint=True))


def mosaic(examples: Sequence[Example], rng: np.random.Generator, size: int) -> Example:
    """Four pictures around a point near the middle of *size* × *size*. Each gives a random part of the shape of its
    quarter, between half and all of what fits, so that nothing is filled and nothing is stretched."""
    if len(examples) != 4:
        raise ValueError(f"a mosaic has four pictures, not {len(examples)}")
    x, y = (int(rng.integers(round(0.3 * size), round(0.7 * size), endpoint=True)) for _ in range(2))
    canvas = np.empty((size, size, 3), np.uint8)
    parts = []
    for place, example in enumerate(examples):
        left, top = (0, x)[place % 2], (0, y)[place // 2]
        width, height = (x, size - x)[place % 2], (y, size - y)[place // 2]
        part = cut_out(
            example, _part(example, width, height, rng), size=(width, height), interpolation=_any_interpolation(rng)
        )
        canvas[top : top + height, left : left + width] = part.image
        offset = np.array([left, top], np.float32)
        # A point beyond the edge of its quarter would lie in another picture.
        within = ((part.landmarks >= 0) & (part.landmarks <= (width, height))).all(axis=(1, 2))
        known = part.known & within
        landmarks = np.where(known[:, None, None], part.landmarks + offset, np.float32(0))
        parts.append(replace(part, boxes=part.boxes + np.tile(offset, 2), landmarks=landmarks, known=known))
    return Example(
        canvas,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.ignore for part in parts]),
    )


def _part(example: Example, width: int, height: int, rng: np.random.Generator) -> Window:
    largest = min(example.width / width, example.height / height)
    scale = largest * rng.uniform(0.5, 1.0)
    w = min(example.width, max(1, round(width * scale)))
    h = min(example.height, max(1, round(height * scale)))
    return Window(_start(example.width, w, rng), _start(example.height, h, rng), w, h)


def ignore_small(example: Example, least: float) -> Example:
    """Faces whose long side is below *least* pixels are ignored: there is nothing in them to learn from."""
    sides = (example.boxes[:, 2:] - example.boxes[:, :2]).max(axis=1, initial=0)
    return replace(example, ignore=example.ignore | (sides < least))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The whole way of a training picture; the defaults are RetinaFace's.

    ``size``: side of the result. ``scales``: see :func:`random_square_crop`; ``scale_range`` instead draws the scale
    evenly between two numbers. ``anchor_sampling``: probability of :func:`data_anchor_sampling` in place of the crop;
    ``mosaic``: probability of a mosaic of this and three more pictures. ``least``: see :func:`ignore_small`.
    """

    size: int = 640
    scales: tuple[float, ...] = SCALES
    scale_range: tuple[float, float] | None = None
    anchor_sampling: float = 0.0
    mosaic: float = 0.0
    mirror: float = 0.5
    colours: bool = True
    least: float = 0.0

    def wants_more(self, rng: np.random.Generator) -> bool:
        """Whether this sample is to be a mosaic: then three more examples are handed to :meth:`__call__`."""
        return bool(rng.random() < self.mosaic)

    def __call__(self, example: Example, rng: np.random.Generator, more: Sequence[Example] = ()) -> Example:
        """*example* augmented, *size* × *size*; with three *more* a mosaic of the four."""
        if more:
            example = mosaic([example, *more], rng, self.size)
        elif rng.random() < self.anchor_sampling:
            example = data_anchor_sampling(example, rng, self.size)
        else:
            scales = self.scales if self.scale_range is None else (float(rng.uniform(*self.scale_range)),)
            example = random_square_crop(example, rng, self.size, scales=scales)
        if self.colours:
            example = distort_colours(example, rng)
        if rng.random() < self.mirror:
            example = mirror(example)
        return ignore_small(example, self.least)
