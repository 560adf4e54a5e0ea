"""Who is told what becomes of the live pipeline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rfapp.errors import RfappError
from rfapp.runtime.recorder import Recording
from rfapp.runtime.states import Failed, LiveResult, State
from rfapp.text import mark

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subscriber:
    on_result: Callable[[LiveResult], None] | None
    on_state: Callable[[State], None] | None
    on_error: Callable[[RfappError], None] | None
    on_recorded: Callable[[Recording], None] | None


class Subscribers:
    """Calls whoever subscribed. A callback that raises is told to the others as ``Failed``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[_Subscriber, ...] = ()

    def add(
        self,
        on_result: Callable[[LiveResult], None] | None,
        on_state: Callable[[State], None] | None,
        on_error: Callable[[RfappError], None] | None,
        on_recorded: Callable[[Recording], None] | None,
    ) -> Callable[[], None]:
        """Returns a function that ends it."""
        subscriber = _Subscriber(on_result, on_state, on_error, on_recorded)
        with self._lock:
            self._all += (subscriber,)

        def remove() -> None:
            with self._lock:
                self._all = tuple(other for other in self._all if other is not subscriber)

        return remove

    def clear(self) -> None:
        with self._lock:
            self._all = ()

    def result(self, result: LiveResult) -> Failed | None:
        """Returns the state that a broken callback leads to."""
        return _call((s.on_result for s in self._all), result)

    def state(self, state: State) -> Failed | None:
        return _call((s.on_state for s in self._all), state)

    def error(self, error: RfappError) -> Failed | None:
        return _call((s.on_error for s in self._all), error)

    def recorded(self, recording: Recording) -> Failed | None:
        """A recording has ended."""
        return _call((s.on_recorded for s in self._all), recording)


def _call(callbacks: Any, value: Any) -> Failed | None:
    failed = None
    for callback in list(callbacks):
        if callback is None:
            continue
        try:
            callback(value)
        except Exception as error:
            log.exception("a subscriber failed")
            failed = Failed(RfappError(mark("A part of the program failed: {error}"), error=error))
    return failed
