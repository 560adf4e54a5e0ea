"""A source that follows a script and a detector that finds what it is told to: the live pipeline without a camera or a
network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from rfapp.errors import CameraLost, RfappError, SourceError
from rfapp.frames import Detections, Frame
from rfapp.runtime import LivePipeline, LiveResult, State
from rfapp.settings import DetectorSettings
from rfapp.sources import Source, SourceInfo

WIDTH, HEIGHT = 64, 48


def picture(index: int) -> np.ndarray:
    """A picture that tells its own index (in its first pixel)."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[0, 0] = (index % 256, index // 256, 7)
    return image


def index_of(image: np.ndarray) -> int:
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


@dataclass
class Clip(Source):
    """A file of *length* frames, *rate* a second. ``reads`` and ``seeks`` tell what was asked of it."""

    length: int = 30
    rate: float = 100.0
    problem: dict[int, SourceError] = field(default_factory=dict)
    seekable: bool = True
    stills: bool = False
    title: str = "clip"
    reads: int = 0
    closed: int = 0
    seeks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = 0

    def open(self) -> SourceInfo:
        return SourceInfo(
            self.title,
            WIDTH,
            HEIGHT,
            stills=self.stills,
            rate=self.rate,
            duration_s=self.length / self.rate,
            seekable=self.seekable,
        )

    def read(self) -> Frame | None:
        if self.closed:
            return None
        self.reads += 1
        if self._next in self.problem:
            error = self.problem.pop(self._next)
            if not error.fatal:
                self._next += 1
            raise error
        if self._next >= self.length:
            return None
        frame = Frame(picture(self._next), self._next, self._next / self.rate, time.perf_counter())
        self._next += 1
        return frame

    def seek(self, time_s: float) -> None:
        self.seeks.append(time_s)
        self._next = min(self.length - 1, round(time_s * self.rate))

    def close(self) -> None:
        self.closed += 1


class Camera(Source):
    """A live source that does what *script* says, one step a read: deliver after a delay (a number of seconds), raise
    (an error), or call something that may hang (a function)."""

    def __init__(self, script: Iterable[float | RfappError | Callable[[], None]], title: str = "Fake Cam") -> None:
        self._script = iter(script)
        self._title = title
        self._index = 0
        self.closed = threading.Event()

    def open(self) -> SourceInfo:
        return SourceInfo(self._title, WIDTH, HEIGHT, live=True, rate=30.0)

    def read(self) -> Frame | None:
        step = next(self._script, None)
        if step is None:
            raise CameraLost("“{title}” went away.", title=self._title)
        if isinstance(step, RfappError):
            raise step
        if callable(step):
            step()
        elif self.closed.wait(step):
            return None
        index, self._index = self._index, self._index + 1
        return Frame(picture(index), index, index / 30, time.perf_counter())

    def close(self) -> None:
        self.closed.set()


class FakeDetector:
    """Finds one face whose left edge is the index of the frame; takes *seconds* for it."""

    def __init__(self, settings: DetectorSettings | None = None, seconds: float = 0.0) -> None:
        settings = settings or DetectorSettings()
        self.model, self.engine = settings.model, "fake"
        self.device, self.device_title, self.precision, self.notes = "cpu", "CPU", "float32", []
        self.fingerprint = "fake"
        self.seconds = seconds
        self.calls: list[dict[str, object]] = []
        self.closed = False
        self.broken: Exception | None = None

    def __call__(self, image: np.ndarray, **thresholds: object) -> Detections:
        assert not self.closed, "a closed detector was used"
        self.calls.append(thresholds)
        if self.broken is not None:
            raise self.broken
        if self.seconds:
            time.sleep(self.seconds)
        box = np.array([[index_of(image), 1, 2, 3]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.zeros((1, 5, 2), np.float32))

    def warm_up(self, width: int, height: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Watcher:
    """Collects what a pipeline tells and waits for what a test expects."""

    def __init__(self, pipeline: LivePipeline) -> None:
        self.results: list[LiveResult] = []
        self.states: list[State] = []
        self.errors: list[RfappError] = []
        self._changed = threading.Condition()
        pipeline.subscribe(self._collect(self.results), self._collect(self.states), self._collect(self.errors))

    def _collect(self, into: list) -> Callable[[object], None]:
        def collect(item: object) -> None:
            with self._changed:
                into.append(item)
                self._changed.notify_all()

        return collect

    def wait(self, condition: Callable[[], object], timeout: float = 5.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout), (
                f"it did not happen; states {self.states}, errors {self.errors}, {len(self.results)} results"
            )

    def fresh(self) -> list[LiveResult]:
        return [result for result in self.results if result.fresh]

    def wait_for_state(self, kind: type, timeout: float = 5.0) -> State:
        self.wait(lambda: any(isinstance(state, kind) for state in self.states), timeout)
        return next(state for state in reversed(self.states) if isinstance(state, kind))
