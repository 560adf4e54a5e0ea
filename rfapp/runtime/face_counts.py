"""How many faces each frame of a video shows, and the stretches of it that show any."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Faces that are away for no longer than this, in seconds, do not end a stretch.
AWAY_S = 1.0
#: In the results of a video without a known rate its last frame is taken to last this long.
_FRAME_S = 0.04
#: What counts as the same place of a video, in seconds.
_HERE_S = 0.02
#: So far into a stretch, in seconds, the way back leads to its own beginning.
_INTO_S = 1.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a video with faces, in seconds: its first frame to the end of its last. ``most``: so many at once."""

    begin_s: float
    end_s: float
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class FaceCounts:
    """The frames of a video that were looked at, in order: ``times``, float64 N, in seconds; ``faces``, int32 N."""

    times: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32]

    @classmethod
    def of(cls, times: Iterable[float], faces: Iterable[int]) -> FaceCounts:
        """Of as many *times* as numbers of *faces*."""
        return cls(np.array(times, np.float64), np.array(faces, np.int32))

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> FaceCounts:
        """From the JSON *lines* that ``rfapp detect`` and :class:`rfapp.runtime.VideoScan` write of one video. A last
        line that was cut off is left out. Raises ValueError for lines of another kind."""
        times: list[float] = []
        faces: list[int] = []
        for line in lines:
            if not line.endswith(b"\n"):
                break
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("a line is no object")
            if "faces" in values:
                times.append(float(values["time_s"]))
                faces.append(len(values["faces"]))
        return cls.of(times, faces)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def frame_s(self) -> float:
        """How long a frame lasts, in seconds."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else _FRAME_S

    @property
    def end_s(self) -> float:
        """How far was looked, in seconds; 0 when nowhere."""
        return float(self.times[-1]) + self.frame_s if len(self.times) else 0.0

    @property
    def most(self) -> int:
        """The most faces in one frame."""
        return int(self.faces.max(initial=0))

    def at(self, time_s: float) -> int | None:
        """The number of faces in what a player shows at *time_s*; None where it was not looked."""
        if not 0 <= time_s < self.end_s:
            return None
        return int(self.faces[max(0, int(np.searchsorted(self.times, time_s + 1e-6, "right")) - 1)])

    def most_between(self, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """The most faces at once in each of the slots between the rising times *edges* (N+1 seconds → int32 N); -1 for
        slots that were not looked at."""
        slots = len(edges) - 1
        if not len(self.times):
            return np.full(slots, -1, np.int32)
        first = np.maximum(np.searchsorted(self.times, edges[:-1], "right") - 1, 0)  # shown as the slot begins
        last = np.maximum(np.searchsorted(self.times, edges[1:], "left"), first + 1)
        pairs = np.stack([first, last], axis=1).ravel()
        found = np.maximum.reduceat(np.append(self.faces, np.int32(0)), pairs)[::2]
        return np.where(edges[:-1] < self.end_s, found, np.int32(-1)).astype(np.int32, copy=False)

    def stretches(self, away_s: float = AWAY_S) -> tuple[Stretch, ...]:
        """Where there are faces; those that are away for at most *away_s* seconds do not end a stretch."""
        rows = np.flatnonzero(self.faces)
        if not len(rows):
            return ()
        # A frame is on the screen until the next one is, and faces are away from then on.
        ends = np.append(self.times[1:], self.end_s)
        breaks = np.flatnonzero(self.times[rows[1:]] - ends[rows[:-1]] > away_s)
        begins, lasts = rows[np.append(0, breaks + 1)], rows[np.append(breaks, len(rows) - 1)]
        return tuple(
            Stretch(float(self.times[begin]), float(ends[last]), int(self.faces[begin : last + 1].max()))
            for begin, last in zip(begins, lasts, strict=True)
        )

    def next_stretch(self, time_s: float) -> Stretch | None:
        """The first stretch that begins after *time_s*."""
        return next((one for one in self.stretches() if one.begin_s > time_s + _HERE_S), None)

    def previous_stretch(self, time_s: float) -> Stretch | None:
        """The stretch that *time_s* is well within or behind, or else the one before."""
        before = [one for one in self.stretches() if one.begin_s < time_s - _HERE_S]
        if len(before) > 1 and time_s - before[-1].begin_s < _INTO_S:
            return before[-2]
        return before[-1] if before else None
