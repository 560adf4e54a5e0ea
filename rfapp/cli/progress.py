"""How far a long command is: a bar on a terminal, now and then a plain line elsewhere, always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

#: Without a terminal a line is written this often, in seconds.
PLAIN_EVERY_S = 10.0


@contextlib.contextmanager
def counted(text: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Gives a function that is called with how many of *total* are done."""
    if quiet:
        yield lambda count: None
    elif sys.stderr.isatty():
        yield from _bar(text, total)
    else:
        yield _Lines(text, total)


def _bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda count: progress.update(task, completed=count)


class _Lines:
    def __init__(self, text: str, total: int) -> None:
        self._text, self._total = text, total
        self._last = time.monotonic()

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_EVERY_S or count == self._total:
            self._last = now
            print(f"{self._text}: {count} of {self._total}", file=sys.stderr, flush=True)
