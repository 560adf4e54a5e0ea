"""The built-in moving pictures, for a computer without a camera: portraits that drift over a background."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rfapp.errors import SourceUnreadable
from rfapp.frames import ByteImage, Frame
from rfapp.places import resources
from rfapp.sources.base import Source, SourceInfo
from rfapp.sources.pictures import read_picture
from rfapp.text import mark

WIDTH, HEIGHT, RATE = 960, 540, 30.0

# The head in the portrait: left, top and side of a square, in its pixels.
_HEAD = (111, 0, 230)
# The background from the upper left to the lower right corner, BGR.
_NEAR, _FAR = (92, 58, 30), (42, 22, 18)
_RING = (245, 240, 235)


@dataclass(frozen=True, slots=True)
class _Bubble:
    """One portrait: its diameter and path, in pixels, seconds and degrees.

    The centre moves by ``sway`` about ``centre``, once in ``periods`` seconds along x and y; the portrait tilts to
    either side by ``tilt``, once in the sum of the two. The paths keep clear of one another.
    """

    diameter: int
    centre: tuple[float, float]
    sway: tuple[float, float]
    periods: tuple[float, float]
    tilt: float
    mirrored: bool = False
    grey: bool = False


_BUBBLES = (
    _Bubble(250, (171, 206), (33, 67), (13.0, 9.0), 7),
    _Bubble(186, (494, 151), (64, 46), (11.0, 7.0), 9, mirrored=True),
    _Bubble(160, (443, 413), (55, 35), (8.0, 12.0), 8, grey=True),
    _Bubble(220, (767, 386), (69, 31), (10.0, 14.0), 8, mirrored=True),
    _Bubble(136, (799, 125), (70, 44), (12.0, 9.5), 6),
)


class _Patch:
    """A portrait in a round frame with a soft shadow: colours already multiplied by their cover, and what is left of
    the background (255: all of it). Both are uint8, side × side × 3."""

    def __init__(self, portrait: ByteImage, bubble: _Bubble) -> None:
        self.bubble = bubble
        diameter = bubble.diameter
        left, top, side = _HEAD
        head: Any = portrait[top : top + side, left : left + side]
        if bubble.mirrored:
            head = head[:, ::-1]
        if bubble.grey:
            head = cv2.cvtColor(cv2.cvtColor(head, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        shrink = diameter < side
        head = cv2.resize(head, (diameter, diameter), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)

        margin = diameter // 6
        self.side = diameter + 2 * margin
        middle, radius = (self.side - 1) / 2, diameter / 2
        y, x = np.mgrid[: self.side, : self.side].astype(np.float32)
        distance = np.hypot(x - middle, y - middle)
        ring = max(2.0, diameter / 60)
        disc = np.clip(radius - distance, 0, 1)[..., None]
        inside = np.clip(radius - ring - distance, 0, 1)[..., None]
        shadow = np.clip(radius - np.hypot(x - middle, y - middle - diameter / 30), 0, 1)
        shadow = 0.55 * cv2.GaussianBlur(shadow, (0, 0), diameter / 26)[..., None]

        filled = cv2.copyMakeBorder(head, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        face = filled.astype(np.float32) * inside + np.array(_RING, np.float32) * (1 - inside)
        self.colour: ByteImage = np.rint(face * disc).astype(np.uint8)
        self.rest: ByteImage = np.rint(255 * (1 - disc) * (1 - shadow)).astype(np.uint8).repeat(3, axis=2)

    def paint(self, image: ByteImage, seconds: float) -> None:
        """Paint it into *image* where it is at *seconds*, to a fraction of a pixel."""
        bubble = self.bubble
        turns_x, turns_y = (seconds / period for period in bubble.periods)
        x = bubble.centre[0] + bubble.sway[0] * math.sin(2 * math.pi * turns_x)
        y = bubble.centre[1] + bubble.sway[1] * math.cos(2 * math.pi * turns_y)
        tilt = bubble.tilt * math.sin(2 * math.pi * seconds / sum(bubble.periods))
        middle = (self.side - 1) / 2
        left, top = math.floor(x - middle), math.floor(y - middle)
        matrix: Any = cv2.getRotationMatrix2D((middle, middle), tilt, 1.0)
        matrix[:, 2] += (x - middle - left, y - middle - top)
        size = (self.side + 1, self.side + 1)
        colour = cv2.warpAffine(self.colour, matrix, size)
        rest = cv2.warpAffine(self.rest, matrix, size, borderValue=(255, 255, 255))
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + size[0], image.shape[1]), min(top + size[1], image.shape[0])
        part = image[y0:y1, x0:x1]
        cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        cv2.multiply(part, rest[cut], dst=part, scale=1 / 255)
        cv2.add(part, colour[cut], dst=part)


def _background() -> ByteImage:
    """A gradient with a few faint lights; dithered, for the eye sees steps in a dark gradient."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    across = ((x / WIDTH + y / HEIGHT) / 2)[..., None]
    image = np.array(_NEAR, np.float32) * (1 - across) + np.array(_FAR, np.float32) * across
    lights = (((120, 60), 220, (60, 44, 6)), ((640, 300), 260, (46, 20, 16)), ((930, 520), 240, (20, 22, 50)))
    for (cx, cy), reach, colour in lights:
        glow = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2.0 * reach * reach))[..., None]
        image += glow * np.array(colour, np.float32)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (HEIGHT, WIDTH, 1)).astype(np.float32)
    result: ByteImage = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    return result


class SampleScene:
    """Renders the sample: the same frame for the same index, in any order."""

    def __init__(self) -> None:
        portrait = read_picture(resources() / "astronaut.png")
        self._background = _background()
        self._patches = [_Patch(portrait, bubble) for bubble in _BUBBLES]

    @property
    def faces(self) -> int:
        """How many faces there are in every frame."""
        return len(self._patches)

    def render(self, index: int) -> ByteImage:
        """Frame *index* (0 and up): uint8 BGR, 540×960×3, a new array."""
        image = self._background.copy()
        for patch in self._patches:
            patch.paint(image, index / RATE)
        return image


class Sample(Source):
    """The sample as an endless video of 30 frames a second."""

    def __init__(self) -> None:
        self._scene: SampleScene | None = None
        self._index = 0
        self._closed = threading.Event()

    def open(self) -> SourceInfo:
        try:
            self._scene = SampleScene()
        except SourceUnreadable as error:
            raise SourceUnreadable(
                mark("The built-in sample is damaged: {reason}"),
                mark("Install rfapp again."),
                reason=error.message,
            ) from None
        return SourceInfo(mark("Sample"), WIDTH, HEIGHT, rate=RATE)

    def read(self) -> Frame | None:
        scene = self._scene
        if scene is None or self._closed.is_set():
            return None
        index = self._index
        self._index += 1
        return Frame(scene.render(index), index, index / RATE, time.perf_counter())

    def close(self) -> None:
        self._closed.set()
        self._scene = None
