"""Where faces are in a film that can be looked at ahead: also in frames in which they were not found."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from rfapp.frames import Detections, FloatArray

T = TypeVar("T")

#: A face is covered for so long before it is found for the first time, and frames are held back for so long.
AHEAD_S = 0.5
#: Frames held back take at most so many bytes; of large pictures fewer are.
AHEAD_BYTES = 300_000_000
#: Where a face was before it was found is guessed: the box grows by this part of its size a second.
_GROWS = 1.0


@dataclass(slots=True)
class _Held(Generic[T]):
    item: T
    time_s: float
    scene: int
    size: int
    boxes: dict[int, FloatArray]  # of the faces found, by their numbers
    guessed: list[FloatArray]  # of those that were not found, where they should be


class Cover(Generic[T]):
    """Takes the frames of a film in order and gives each back a little later, with all the boxes that cover a face.

    A face is covered where it was found; between two frames in which it was found, in between; for as long as it
    keeps its number afterwards, where it should be; and for half a second before it was found for the first time.
    Nothing goes across a cut.
    """

    def __init__(self) -> None:
        self._held: deque[_Held[T]] = deque()
        self._last: dict[int, tuple[float, FloatArray]] = {}  # of frames that were given back
        self._scene = 0
        self._bytes = 0

    def put(
        self, item: T, time_s: float, found: Detections, missing: Detections, *, cut: bool, size: int
    ) -> Iterator[tuple[T, FloatArray]]:
        """Hold *item*, a frame at *time_s* that takes *size* bytes, and give back those whose time has come.

        *found* and *missing* carry numbers; *cut*: a new scene begins with it.
        """
        self._scene += cut
        assert found.tracks is not None
        boxes = dict(zip(found.tracks.tolist(), found.boxes, strict=True))
        self._held.append(_Held(item, time_s, self._scene, size, boxes, list(missing.boxes)))
        self._bytes += size
        while time_s - self._held[0].time_s >= AHEAD_S or (self._bytes > AHEAD_BYTES and len(self._held) > 1):
            yield self._release()

    def finish(self) -> Iterator[tuple[T, FloatArray]]:
        """Give back the rest."""
        while self._held:
            yield self._release()

    def _release(self) -> tuple[T, FloatArray]:
        held = self._held.popleft()
        self._bytes -= held.size
        boxes = [*held.boxes.values(), *held.guessed]
        later: set[int] = set(held.boxes)
        for other in self._held:
            if other.scene != held.scene or other.time_s - held.time_s > AHEAD_S:
                break
            for number in other.boxes.keys() - later:
                boxes.append(self._between(number, held.time_s, other.time_s, other.boxes[number]))
                later.add(number)
        for number, box in held.boxes.items():
            self._last[number] = (held.time_s, box)
        if self._held and self._held[0].scene != held.scene:
            self._last.clear()
        return held.item, np.array(boxes, np.float32).reshape(-1, 4)

    def _between(self, number: int, now_s: float, next_s: float, box: FloatArray) -> FloatArray:
        """Where the face *number*, found at *next_s* in *box*, is at *now_s*."""
        before = self._last.get(number)
        if before is not None:
            part = (now_s - before[0]) / max(next_s - before[0], 1e-9)
            return np.asarray(before[1] + (box - before[1]) * part, np.float32)
        box = self._traced(number, next_s, now_s, box)
        grown = (box[2:] - box[:2]) * (_GROWS * (next_s - now_s) / 2)
        return np.concatenate([box[:2] - grown, box[2:] + grown])

    def _traced(self, number: int, first_s: float, now_s: float, box: FloatArray) -> FloatArray:
        """Where a face may have been before it was found in *box* at *first_s*: from there to where it was if it moved
        as it did afterwards."""
        following = [other for other in self._held if number in other.boxes and other.time_s > first_s]
        if not following:
            return box
        last = following[-1]
        speed = (last.boxes[number] - box) / (last.time_s - first_s)
        middle = (speed[:2] + speed[2:]) / 2 * (now_s - first_s)
        moved = box + np.concatenate([middle, middle])
        return np.concatenate([np.minimum(box[:2], moved[:2]), np.maximum(box[2:], moved[2:])]).astype(np.float32)
