"""What the window remembers of the last minutes, for their curves."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from rfapp.runtime import LivePipeline, LiveResult, Running

#: So far back, in seconds.
PAST_S = 300.0
#: The delay is that of so many last frames.
RECENT_FRAMES = 30


@dataclass(frozen=True, slots=True)
class Moment:
    """The figures at one time (``time.monotonic()``); NaN where there were none."""

    at: float
    faces: float
    delay_ms: float
    captured: float
    detected: float
    processor: float  # in percent of all of it


class Past:
    """A moment for each time the status line is made."""

    def __init__(self) -> None:
        self.moments: deque[Moment] = deque()

    def note(self, pipeline: LivePipeline, result: LiveResult | None, now: float) -> None:
        """Take the figures of now."""
        running = isinstance(pipeline.state, Running)
        statistics = pipeline.statistics
        latency = statistics.latency(RECENT_FRAMES) if running else None
        captured, detected = statistics.rates() if running else (math.nan, math.nan)
        known = running and result is not None and result.detections is not None
        faces = len(result.detections) if known and result is not None and result.detections is not None else math.nan
        delay = math.nan if latency is None else latency.median
        share = statistics.processor.share()
        processor = math.nan if share is None else 100 * share
        self.moments.append(Moment(now, faces, delay, captured, detected, processor))
        while self.moments[0].at < now - PAST_S:
            self.moments.popleft()
