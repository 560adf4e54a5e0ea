"""Builds detectors beside the one that runs, so that a change of model never stops the picture."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from rfapp.detector import FaceDetector, engine_key
from rfapp.engines import machine
from rfapp.errors import EngineFailed, RfappError
from rfapp.runtime.mailbox import Mailbox
from rfapp.settings import DetectorSettings
from rfapp.text import mark

log = logging.getLogger(__name__)

MakeDetector = Callable[[DetectorSettings], FaceDetector]

#: Where a picture of 640×480 takes no longer than this, in seconds, a camera of 30 pictures a second leaves half of the
#: time: more threads would only take processor time, each waiting for the others at the end of every layer.
_KEEPS_UP_S = 0.015


def live_detector(settings: DetectorSettings) -> FaceDetector:
    """A detector for moving pictures: where *settings* leave the number of threads open, as few as keep up with them.

    Raises as :class:`rfapp.detector.FaceDetector` does.
    """
    detector = FaceDetector.from_settings(settings)
    if settings.threads or detector.device != "cpu" or not _light(settings):
        return detector
    threads = live_threads(detector)
    if threads == detector.threads:
        return detector
    with detector:
        return detector.with_settings(threads=threads)


def live_threads(detector: FaceDetector) -> int:
    """The fewest threads with which the network of *detector*, on the processor, keeps up with moving pictures, as far
    as that was measured."""
    return machine.threads_for(detector.engine, detector.weights, detector.precision, _KEEPS_UP_S)


def _light(settings: DetectorSettings) -> bool:
    """Whether a look takes about what was measured, or less."""
    return settings.size != "original" and settings.size <= 640 and settings.second_pass != "original"


def same_network(a: DetectorSettings | None, b: DetectorSettings) -> bool:
    """Whether one detector serves both: only thresholds and size differ, which are taken per call, and the size by so
    little that it does not take other threads."""
    return a is not None and engine_key(a) == engine_key(b) and (a.threads > 0 or _light(a) == _light(b))


class DetectorLoader:
    """One thread that makes and warms up detectors. Of several wishes that wait, only the newest is fulfilled."""

    def __init__(
        self,
        make: MakeDetector,
        ready: Callable[[DetectorSettings, FaceDetector], None],
        failed: Callable[[DetectorSettings, RfappError], None],
        size: Callable[[], tuple[int, int] | None],
    ) -> None:
        """*size* tells the width and height of today's pictures, or None before the first one: a network is warmed up
        for the size that it will get, since each size that it ever ran costs memory."""
        self._make = make
        self._ready = ready
        self._failed = failed
        self._size = size
        self._wishes: Mailbox[DetectorSettings] = Mailbox()
        self._loading: str | None = None
        self.thread = threading.Thread(target=self._run, name="detector loader", daemon=True)

    @property
    def loading(self) -> str | None:
        """The model that is being loaded, or None."""
        return self._loading

    def wish(self, settings: DetectorSettings) -> None:
        """Build a detector for *settings* and warm it up."""
        self._loading = settings.model
        self._wishes.put(settings)

    def close(self) -> None:
        self._wishes.close()

    def _run(self) -> None:
        while not self._wishes.closed:
            settings = self._wishes.take()
            if settings is None:
                continue
            self._loading = settings.model
            try:
                detector = self._make(settings)
                if (size := self._size()) is not None:
                    detector.warm_up(*size)
            except RfappError as error:
                self._loading = None
                self._failed(settings, error)
            except Exception as error:
                log.exception("making a detector from %s", settings)
                self._loading = None
                self._failed(
                    settings,
                    EngineFailed(
                        mark("The model “{model}” could not be started: {error}"), model=settings.model, error=error
                    ),
                )
            else:
                self._loading = None
                self._ready(settings, detector)
