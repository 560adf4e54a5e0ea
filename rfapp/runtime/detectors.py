"""Which detector the live pipeline runs: the one that was asked for, or what stands in for it when it has failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from rfapp import engines
from rfapp.detector import FaceDetector
from rfapp.engines.fallback import Runner, safer
from rfapp.errors import EngineFailed, RfappError
from rfapp.runtime.loader import DetectorLoader, MakeDetector, same_network
from rfapp.runtime.states import DetectorTitle
from rfapp.settings import DetectorSettings
from rfapp.text import mark

log = logging.getLogger(__name__)


@dataclass(slots=True)
class DetectorEvents:
    """Whom :class:`Detectors` tells what, without holding a lock."""

    #: A detector waits to be taken.
    ready: Callable[[], None]
    #: Something about detectors that ends nothing.
    problem: Callable[[RfappError], None]
    #: What found the faces has failed, and nothing can take its place.
    lost: Callable[[RfappError], None]


class Detectors:
    """The detector that runs, and the next one, which is loaded beside it.

    When the running one fails, the safer ways of running the same network are tried one after the other (see
    :func:`rfapp.engines.fallback.safer`), each once for what was asked for. The settings stay what they are: when
    something else is asked for, that is tried as it is asked for.
    """

    def __init__(self, make: MakeDetector, size: Callable[[], tuple[int, int] | None], events: DetectorEvents) -> None:
        """*size* as in :class:`rfapp.runtime.loader.DetectorLoader`."""
        self._events = events
        self._loader = DetectorLoader(make, self._ready, self._failed, size)
        self._lock = threading.Lock()
        self._there = threading.Event()
        self._closed = False
        self._asked: DetectorSettings | None = None
        self._loads: DetectorSettings | None = None  # what is, or was last, loaded; not always what was asked for
        self._next: tuple[DetectorSettings, FaceDetector] | None = None
        self._running: tuple[DetectorSettings, FaceDetector] | None = None
        self._failure: RfappError | None = None  # of the detector for which a stand-in is being loaded
        self._tried: set[Runner] = set()
        self.title: DetectorTitle | None = None

    @property
    def loading(self) -> str | None:
        """The model that is being loaded, or None."""
        return self._loader.loading

    @property
    def thread(self) -> threading.Thread:
        return self._loader.thread

    def want(self, settings: DetectorSettings) -> None:
        """Load what *settings* ask for, unless it is what was asked for last."""
        with self._lock:
            if same_network(self._asked, settings):
                return
            self._asked = self._loads = settings
            self._failure = None
            self._tried.clear()
        self._loader.wish(settings)

    # ------------------------------------------------------------------------------ the inference thread

    def wait(self) -> None:
        """Wait for the first detector, or for the end."""
        self._there.wait()

    def take(self) -> FaceDetector | None:
        """What is to find the faces from now on; what it replaces is closed."""
        with self._lock:
            old = None
            if self._next is not None:
                old, self._running, self._next = self._running, self._next, None
                detector = self._running[1]
                self.title = DetectorTitle(detector.model, detector.engine, detector.device_title, detector.precision)
            running = self._running
        if old is not None:
            _let_go(old[1])
        return None if running is None else running[1]

    def broke(self, error: RfappError) -> None:
        """The running detector has failed with *error*: let go of it, and load what may stand in for it."""
        with self._lock:
            if self._running is None:
                return
            (settings, detector), self._running, self.title = self._running, None, None
            if self._next is None:
                self._there.clear()
            # Or was something else asked for meanwhile? Then that comes.
            unreplaced = self._loads is None or same_network(self._loads, settings)
            stand_in = None
            if unreplaced:
                self._failure = error
                stand_in = self._stand_in(settings, Runner(detector.engine, detector.device, detector.precision))
        _let_go(detector)
        if unreplaced:
            self._load_instead(stand_in, error)

    # ------------------------------------------------------------------------------ the end

    def close(self) -> None:
        """End loading, and whoever waits. What runs is left as it is."""
        with self._lock:
            self._closed = True
        self._there.set()
        self._loader.close()

    def let_go(self) -> None:
        """Close the detectors, when no thread uses them any more."""
        with self._lock:
            left, self._running, self._next = (self._running, self._next), None, None
        for pair in left:
            if pair is not None:
                _let_go(pair[1])

    # ------------------------------------------------------------------------------ the loader's thread

    def _ready(self, settings: DetectorSettings, detector: FaceDetector) -> None:
        unused: FaceDetector | None = detector
        failure = None
        with self._lock:
            wanted = not self._closed and same_network(self._loads, settings)
            if wanted:  # else another one was asked for meanwhile
                unused = None if self._next is None else self._next[1]
                self._next = settings, detector
                failure, self._failure = self._failure, None
                self._there.set()
        if unused is not None:
            _let_go(unused)
        if not wanted:
            return
        for note in detector.notes:
            log.info("%s", note)
        self._events.ready()
        if failure is not None:
            self._events.problem(_stands_in(detector, failure))

    def _failed(self, settings: DetectorSettings, error: RfappError) -> None:
        failure, stand_in = None, None
        with self._lock:
            if same_network(self._loads, settings):
                failure = self._failure
                if failure is None:
                    self._asked = self._loads = None  # so that asking for it again tries again
                else:
                    stand_in = self._stand_in(settings, Runner(settings.engine, settings.device, settings.precision))
        if failure is None:
            self._events.problem(error)
        else:
            log.warning("it can't be stood in for: %s", error)
            self._load_instead(stand_in, failure)

    # ------------------------------------------------------------------------------ standing in

    def _stand_in(self, settings: DetectorSettings, failed: Runner) -> DetectorSettings | None:
        """The next thing to try for *settings*, with the lock held; None when all was tried."""
        self._tried.add(failed)
        for runner in safer(failed, engines.available()):
            if runner not in self._tried:
                self._tried.add(runner)
                self._loads = replace(settings, engine=runner.engine, device=runner.device, precision=runner.precision)
                return self._loads
        self._asked = self._loads = self._failure = None
        return None

    def _load_instead(self, stand_in: DetectorSettings | None, failure: RfappError) -> None:
        if stand_in is None:
            self._events.lost(failure)
        else:
            log.warning("%s Trying %s on %s, %s.", failure, stand_in.engine, stand_in.device, stand_in.precision)
            self._loader.wish(stand_in)


def _let_go(detector: FaceDetector) -> None:
    try:
        detector.close()
    except Exception:  # of a device that is gone
        log.warning("closing a detector", exc_info=True)


def _stands_in(detector: FaceDetector, failure: RfappError) -> EngineFailed:
    """What to tell of *detector*, which found its place after *failure*."""
    return EngineFailed(
        mark("{problem} {engine} stands in for it, on {device} with {precision}."),
        mark("Your settings stay; choose another engine or device, or start rfapp again, to have them tried again."),
        problem=EngineFailed(failure.message_template, "", **failure.values),
        engine=detector.engine,
        device=detector.device_title,
        precision=detector.precision,
    )
