"""How a run is asked to end: a file, Ctrl-C, or the operating system's polite request."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from rfapp.datasets.runs import RunFolder


class Stopping:
    """While it is entered, the first Ctrl-C (or SIGTERM) is a wish that :meth:`asked` tells; the second one acts as
    usual. Outside the main thread, where signals can't be handled, only the file counts."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._wished = False
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether the run is to end."""
        return self._wished or self._run.asked_to_stop()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._wish)
        return self

    def _wish(self, _number: int, _frame: FrameType | None) -> None:
        self._wished = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
