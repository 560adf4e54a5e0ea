"""Builds detectors beside the one that runs, so that a change of model never stops the picture."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from rfapp.detector import FaceDetector
from rfapp.errors import EngineFailed, RfappError
from rfapp.runtime.mailbox import Mailbox
from rfapp.settings import DetectorSettings
from rfapp.text import mark

log = logging.getLogger(__name__)

MakeDetector = Callable[[DetectorSettings], FaceDetector]


def same_network(a: DetectorSettings | None, b: DetectorSettings) -> bool:
    """Whether one detector serves both: only thresholds and size differ, and those are taken per call."""
    return a is not None and (a.model, a.engine, a.device, a.precision, a.threads) == (
        b.model,
        b.engine,
        b.device,
        b.precision,
        b.threads,
    )


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
