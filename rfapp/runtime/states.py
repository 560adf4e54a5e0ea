"""What the live pipeline is doing, and what it hands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rfapp.errors import RfappError
from rfapp.frames import Detections, Frame
from rfapp.sinks.hiding import Hidden
from rfapp.sources import SourceInfo


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A source is being opened. ``problem`` tells why when it is being opened again."""

    title: str
    problem: RfappError | None = None


@dataclass(frozen=True, slots=True)
class Running:
    info: SourceInfo


@dataclass(frozen=True, slots=True)
class Paused:
    info: SourceInfo


@dataclass(frozen=True, slots=True)
class Ended:
    """The source came to its end; the last picture stays. ``problem``: what was wrong with part of it."""

    info: SourceInfo
    problem: RfappError | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    error: RfappError


State = Idle | Opening | Running | Paused | Ended | Failed


@dataclass(frozen=True, slots=True)
class DetectorTitle:
    """What finds the faces just now, in words for the status line."""

    model: str
    engine: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True, eq=False)
class LiveResult:
    """A picture to paint and the faces to paint over it.

    ``picture`` is uint8 BGRA, ready for the screen; it is smaller than ``frame.image`` where that is larger than any
    screen needs. ``fresh``: ``detections`` were found in this very frame; otherwise they come from an ``earlier`` one
    and ``age_s`` is the time between the two; ``stale`` when that is longer than usual, or than the settings want it.
    ``repeated``: the frame was detected again because a setting changed.
    ``hidden``: what can't be seen in ``picture`` and must be hidden in whatever else is made of the frame. ``people``:
    so many faces were followed for half a second or more; None while faces are not followed.
    """

    frame: Frame
    picture: npt.NDArray[np.uint8]
    detections: Detections | None
    fresh: bool
    age_s: float = 0.0
    stale: bool = False
    detect_s: float = 0.0
    repeated: bool = False
    detector: DetectorTitle | None = None
    hidden: Hidden | None = None
    people: int | None = None
    earlier: Frame | None = None
