"""How fast the live pipeline is: rates, delays and counts; and what it takes of the processor."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rfapp.frames import Frame

#: What `rates()` looks back over, in seconds, and the most that a history may hold.
WINDOW_S, HISTORY = 2.0, 36_000
#: The use of the processor is that over so many seconds.
_USE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the slow end of a set of durations, in milliseconds."""

    median: float
    p95: float

    @classmethod
    def of_seconds(cls, values: Iterable[float]) -> Spread | None:
        array = np.fromiter(values, np.float64)
        if not array.size:
            return None
        return cls(round(float(np.median(array)) * 1e3, 2), round(float(np.percentile(array, 95)) * 1e3, 2))


class ProcessorUse:
    """How much of the computer's processor this program uses, all its threads together. For one thread to ask."""

    def __init__(self) -> None:
        #: The processor's threads, as systems count them.
        self.cores = os.cpu_count() or 1
        self._share: float | None = None
        self._since, self._used = time.perf_counter(), time.process_time()

    def share(self) -> float | None:
        """From 0 to 1, where 1 is all of the processor, over about the last second; None in the first one."""
        now, used = time.perf_counter(), time.process_time()
        seconds = now - self._since
        if seconds >= _USE_EVERY_S:
            self._share = min(1.0, (used - self._used) / (seconds * self.cores))
            self._since, self._used = now, used
        return self._share


class Statistics:
    """Counts frames from the first detection on: what passes while a model is still loading says nothing.

    Called from the capture, the inference and the painting thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.processor = ProcessorUse()
        self._since: float | None = None
        self.captured = self.detected = self.shown = self.dropped = 0
        self._captures: deque[float] = deque(maxlen=1_000)
        self._detections: deque[float] = deque(maxlen=1_000)
        self._detect_s: deque[float] = deque(maxlen=HISTORY)
        self._latency_s: deque[float] = deque(maxlen=HISTORY)

    @property
    def first_detection_at(self) -> float | None:
        """``time.perf_counter()`` at the end of the first detection, or None."""
        return self._since

    def _counts(self, frame: Frame) -> bool:
        return self._since is not None and frame.captured_at >= self._since

    def frame_captured(self, frame: Frame) -> None:
        with self._lock:
            self._captures.append(time.perf_counter())
            self.captured += self._counts(frame)

    def frame_dropped(self, frame: Frame) -> None:
        """The frame was replaced by a newer one before it could be detected, or its result before it was painted."""
        with self._lock:
            self.dropped += self._counts(frame)

    def frame_detected(self, frame: Frame, seconds: float) -> None:
        now = time.perf_counter()
        with self._lock:
            self._detections.append(now)
            if self._since is None:
                self._since = now
            elif self._counts(frame):
                self.detected += 1
                self._detect_s.append(seconds)

    def frame_painted(self, frame: Frame) -> None:
        """The frame is on the screen with its own detections."""
        with self._lock:
            if self._counts(frame):
                self.shown += 1
                self._latency_s.append(time.perf_counter() - frame.captured_at)

    def rates(self) -> tuple[float, float]:
        """Frames and detections a second, over the last two seconds."""
        start = time.perf_counter() - WINDOW_S
        with self._lock:
            return _rate(self._captures, start), _rate(self._detections, start)

    def latency(self, last: int | None = None) -> Spread | None:
        """From read returned to painted, over all frames or the *last* so many."""
        with self._lock:
            values = list(self._latency_s)
        return Spread.of_seconds(values if last is None else values[-last:])

    def detect(self) -> Spread | None:
        """One whole call of the detector."""
        with self._lock:
            values = list(self._detect_s)
        return Spread.of_seconds(values)


def _rate(times: deque[float], start: float) -> float:
    recent = [t for t in times if t >= start]
    if len(recent) < 2:
        recent = list(times)[-2:]  # slower than two in the window: the last two tell
    if len(recent) < 2 or recent[-1] == recent[0]:
        return 0.0
    # A source that stopped must fall to zero: measure up to now when the next event is overdue.
    span = recent[-1] - recent[0]
    overdue = time.perf_counter() - recent[-1] - 2 * span / (len(recent) - 1)
    return (len(recent) - 1) / (span + max(0.0, overdue))
