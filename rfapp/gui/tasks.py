"""Runs something slow beside Qt's thread and tells how it went."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from rfapp.errors import RfappError
from rfapp.text import mark

log = logging.getLogger(__name__)


class Task(QObject):
    """One run of *work* on a thread of its own. Make it on Qt's thread; the signals arrive there.

    *work* is given a function to tell how far it is: ``tell(done, total)``, which returns False once ``cancel`` was
    called.
    """

    advanced = Signal(object, object)
    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(self, work: Callable[[Callable[[int, int], bool]], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to end; it ends when it next tells how far it is."""
        self._cancelled.set()

    def _tell(self, done: int, total: int) -> bool:
        self.advanced.emit(done, total)
        return not self._cancelled.is_set()

    def _run(self) -> None:
        try:
            result = self._work(self._tell)
        except RfappError as error:
            self._emit(self.failed, error)
        except Exception as error:
            log.exception("a task failed")
            self._emit(self.failed, RfappError(mark("That did not work: {error}"), error=error))
        else:
            self._emit(self.succeeded, result)

    def _emit(self, signal: Any, value: Any) -> None:
        try:
            signal.emit(value)
        except RuntimeError:
            log.debug("nobody waits for the result any more")
