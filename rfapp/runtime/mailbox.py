"""One slot between two threads: the newest wins, so that delay can't grow."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds at most one item. Nothing in the live path is a queue; everything goes through one of these."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were replaced before anybody took them."""
        return self._dropped

    @property
    def full(self) -> bool:
        """Whether something waits to be taken."""
        return self._item is not None

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> T | None:
        """Leave *item*, and return the one that it replaced, if any. After ``close`` the item is thrown away."""
        with self._changed:
            if self._closed:
                return None
            replaced, self._item = self._item, item
            if replaced is not None:
                self._dropped += 1
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """The item, waiting up to *timeout* seconds (None: for ever). None when none came or after ``close``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._item is None and not self._closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            item, self._item = self._item, None
            return item

    def clear(self) -> None:
        """Throw away what is in it; this does not count as dropped."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        """Wake whoever waits; from now on nothing goes in or out."""
        with self._changed:
            self._closed = True
            self._item = None
            self._changed.notify_all()
