"""What the threads of the live pipeline have in common."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from rfapp.frames import Frame
from rfapp.runtime.capture import Capture
from rfapp.runtime.outgoing import Taker
from rfapp.runtime.recorder import Recorder
from rfapp.runtime.sender import Sender
from rfapp.runtime.states import Idle, State
from rfapp.settings import Settings
from rfapp.sources import SourceInfo


@dataclass(slots=True)
class Playing:
    """What is played just now, and how it is to be shown.

    The pipeline changes it, with ``lock`` held; each thread reads it. ``shown``: the numbers of the faces that are not
    hidden while others are. ``last``: the newest frame of this ``generation``; ``times``: its and those before.
    """

    settings: Settings
    state: State = field(default_factory=Idle)
    generation: int = 0
    capture: Capture | None = None
    recorder: Recorder | None = None
    sender: Sender | None = None
    last: Frame | None = None
    times: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))
    shown: frozenset[int] = frozenset()
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def info(self) -> SourceInfo | None:
        """What the source says of itself; None while it is not open."""
        return None if self.capture is None else self.capture.info

    def note(self, frame: Frame) -> None:
        """*frame* is the newest one."""
        self.last = frame
        self.times.append(frame.time_s)

    def forget(self) -> None:
        """The frames that come are of another source."""
        self.last = None
        self.times.clear()

    def time_before(self, frame: Frame) -> float:
        """Where to seek, in seconds of the source's clock, to find the frame before *frame*."""
        gap = 1 / ((self.info and self.info.rate) or 25.0)
        before = [time_s for time_s in self.times if 0 < frame.time_s - time_s < 0.5]
        # A seek leads to the first frame at or after its time: a bit less finds it in any case.
        return max(0.0, max(before, default=frame.time_s - gap) - 0.25 * gap)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest frame; None before the first."""
        return None if self.last is None else (self.last.width, self.last.height)

    def hide_all(self) -> None:
        """Faces that were shown while others are hidden are so no more: their numbers come to mean other ones."""
        with self.lock:
            self.shown = frozenset()

    @property
    def takers(self) -> list[Taker]:
        """Whom frames go to besides the window."""
        return [taker for taker in (self.recorder, self.sender) if taker is not None]

    @property
    def stills(self) -> bool:
        """Whether each frame stands for itself."""
        info = self.info
        return info is not None and info.stills
