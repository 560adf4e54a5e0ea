"""What ``rfapp detect`` says while it runs, on standard error: how far it is, and what failed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from rfapp.errors import RfappError

if TYPE_CHECKING:
    from rfapp.frames import Frame
    from rfapp.runtime.batch import Count
    from rfapp.sources.base import SourceInfo
    from rfapp.sources.inputs import Input


class Report(Protocol):
    """Is told what happens, and says of it what there is room for."""

    def say(self, text: str) -> None: ...
    def frame(self, item: Input, info: SourceInfo | None, frame: Frame) -> None: ...
    def end(self, item: Input, error: RfappError | None) -> None: ...
    def close(self, count: Count, seconds: float, *, interrupted: bool, people: bool) -> None: ...


@contextlib.contextmanager
def report_of(total: int, *, quiet: bool) -> Iterator[Report]:
    """The report on so many inputs in *total*: a bar on a terminal, a line now and then elsewhere; *quiet*: errors."""
    if quiet:
        yield _Quiet()
    elif sys.stderr is not None and sys.stderr.isatty():
        with _Bar(total) as bar:
            yield bar
    else:
        yield _Plain(total)


def _sum(count: Count, seconds: float, interrupted: bool, people: bool) -> str:
    parts = [
        _number(count.inputs, "input"),
        _number(count.frames, "frame"),
        _number(count.faces, "face"),
        *([f"{count.people} {'person' if count.people == 1 else 'people'}"] if people else []),
        f"{seconds:.1f} s",
    ]
    if count.failed:
        parts.append(f"{count.failed} failed")
    return ("Interrupted; what was done is kept: " if interrupted else "") + ", ".join(parts)


def _number(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


class _Quiet:
    """Errors only."""

    def say(self, text: str) -> None:
        """Nothing."""

    def frame(self, item: Input, info: SourceInfo | None, frame: Frame) -> None:
        """Nothing."""

    def end(self, item: Input, error: RfappError | None) -> None:
        if error is not None:
            print(f"rfapp: {error}", file=sys.stderr, flush=True)

    def close(self, count: Count, seconds: float, *, interrupted: bool, people: bool) -> None:
        """Nothing."""


class _Plain(_Quiet):
    """A line now and then, for log files and for terminals that can't do more."""

    EVERY_S = 5.0

    def __init__(self, total: int) -> None:
        self._total = total
        self._inputs = 0
        self._told = time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def frame(self, item: Input, info: SourceInfo | None, frame: Frame) -> None:
        now = time.monotonic()
        if now - self._told < self.EVERY_S:
            return
        self._told = now
        within = ""
        if info is not None:
            length = f" of {info.duration_s:.0f}" if info.duration_s else ""
            within = f", {frame.time_s:.0f}{length} s"
        self.say(f"{self._inputs + 1} of {self._total}: {item.name}{within}")

    def end(self, item: Input, error: RfappError | None) -> None:
        self._inputs += 1
        super().end(item, error)

    def close(self, count: Count, seconds: float, *, interrupted: bool, people: bool) -> None:
        self.say(_sum(count, seconds, interrupted, people))


class _Bar:
    """A progress bar on a terminal: inputs, and parts of one while a video is worked on."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(file=sys.stderr, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[within]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, name="", within="")
        self._inputs = 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def frame(self, item: Input, info: SourceInfo | None, frame: Frame) -> None:
        part, within = 0.0, ""
        if info is not None:
            length = info.duration_s
            part = min(frame.time_s / length, 1.0) if length else 0.0
            within = _clock(frame.time_s) + (f" of {_clock(length)}" if length else "")
        self._progress.update(
            self._task, completed=int(self._inputs + part), name=_short(item.path.name), within=within
        )

    def end(self, item: Input, error: RfappError | None) -> None:
        self._inputs += 1
        self._progress.update(self._task, completed=self._inputs)
        if error is not None:
            self.say(f"rfapp: {error}")

    def close(self, count: Count, seconds: float, *, interrupted: bool, people: bool) -> None:
        self._progress.stop()
        self.say(_sum(count, seconds, interrupted, people))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}"
