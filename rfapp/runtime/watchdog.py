"""Watches for drivers that hang."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from rfapp.errors import CameraFailed
from rfapp.runtime.capture import Capture
from rfapp.text import mark

log = logging.getLogger(__name__)

#: A live source that delivers nothing for STALLED_S is said to have stalled; after ABANDONED_S its thread is given up
#: and it is opened again (OpenCV's own time limit for a camera is 10 s). Opening may take OPENING_S.
STALLED_S, ABANDONED_S, OPENING_S = 3.0, 12.0, 30.0
_EVERY_S = 0.25

Tell = Callable[[Capture, CameraFailed], None]


class WatchDog:
    """A thread that looks at the capture that plays.

    *stalled* is called again and again while a live source delivers nothing, *hangs* when it is to be given up.
    """

    def __init__(self, watched: Callable[[], Capture | None], stalled: Tell, hangs: Tell) -> None:
        self._watched, self._stalled, self._hangs = watched, stalled, hangs
        self._closing = threading.Event()
        self.thread = threading.Thread(target=self._run, name="watch-dog", daemon=True)

    def close(self) -> None:
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            capture = self._watched()
            if capture is None:
                continue
            doing, since = capture.busy
            seconds = time.perf_counter() - since
            live = capture.info is None or capture.info.live
            if not live or not doing:
                continue
            if seconds > (ABANDONED_S if doing == "read" else OPENING_S):
                log.warning("giving up thread %s: it hangs in %s", capture.thread.name, doing)
                self._hangs(capture, _silent(capture))
            elif doing == "read" and seconds > STALLED_S:
                self._stalled(capture, _silent(capture))


def _silent(capture: Capture) -> CameraFailed:
    return CameraFailed(
        mark("“{title}” delivers no pictures."),
        mark("Check its cable, or close other programs that use it."),
        title=capture.title,
    )
