"""A training run is a folder; whoever reads it knows everything. Knows neither torch nor Qt.

=====================  ==============================================================================================
``run.toml``           all that is needed to repeat the run: pictures, recipe, first weights, seed
``metrics.jsonl``      what happened, an event a line (see below)
``manifest.toml``      makes the folder a model: it tells of ``best.safetensors``, or of ``last.safetensors`` as long as
                       nothing was validated
``best.safetensors``   the weights that were best on the held-out pictures
``last.safetensors``   the latest weights
``state.pt``           all that is needed to go on: weights, optimiser, running mean, position, random numbers
``found-0.jpg`` …      some held-out pictures with the faces that the latest validation found in them
``log.txt``            what the trainer said
``lock``               is locked, in the operating system's sense, as long as the trainer lives
``stop``               a file of this name ends the run at its next step; it can be gone on with
=====================  ==============================================================================================

Events have ``event``, ``time_s`` (seconds of training, over all its parts), ``step`` and ``epoch`` (both done so far).
``step`` events have ``loss``, ``loss_box``, ``loss_class``, ``loss_landmark``, with a recipe that keeps also
``loss_keep`` (means since the last one), ``learning_rate`` and ``images_per_s``; ``validation`` events ``easy``,
``medium`` and ``hard`` (average precision in percent); ``end`` events ``reason``: done, stopped or failed, and then
``message``. A run that is gone on with forgets the events behind the state that it goes on from, and its ``end``.
"""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rfapp.errors import OutputError, SourceUnreadable
from rfapp.locks import try_lock, unlock
from rfapp.settings import write_whole
from rfapp.text import mark

RUN, METRICS, STATE, LOG = "run.toml", "metrics.jsonl", "state.pt", "log.txt"
BEST, LAST, LOCK, STOP = "best.safetensors", "last.safetensors", "lock", "stop"

#: Number → file name.
FOUND = "found-{number}.jpg"

Event = dict[str, Any]


class RunFolder:
    """Reads and writes the folder of a run; ``path`` is made when it is written to first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    # ----------------------------------------------------------------------------------------------- what is run

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / RUN).is_file()

    def plan(self) -> dict[str, Any]:
        """The contents of ``run.toml``. Raises SourceUnreadable."""
        try:
            return tomllib.loads((self.path / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SourceUnreadable(
                mark("The training run “{path}” can't be read: {reason}."), path=self.path, reason=error
            ) from None

    def write_plan(self, values: Mapping[str, Any]) -> None:
        import tomli_w

        write_whole(self.path / RUN, tomli_w.dumps(dict(values)).encode())

    # -------------------------------------------------------------------------------------------------- metrics

    def events(self) -> list[Event]:
        """All events so far."""
        return Metrics(self.path / METRICS).new()

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event; readers see it at once."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(event)) + "\n")

    def settle(self) -> None:
        """Make sure that the events so far outlive a loss of power."""
        with contextlib.suppress(FileNotFoundError), (self.path / METRICS).open("rb+") as file:
            os.fsync(file.fileno())

    def forget_after(self, step: int) -> None:
        """Leave only the events up to *step*, without ``end`` and without a line that was cut off."""
        kept = [event for event in self.events() if event["step"] <= step and event["event"] != "end"]
        write_whole(self.path / METRICS, "".join(json.dumps(event) + "\n" for event in kept).encode())

    def status(self) -> str:
        """ "running", or how it ended: "done", "stopped", "failed", or "interrupted" when it could not tell."""
        if self.is_running():
            return "running"
        events = self.events()
        last = events[-1] if events else {}
        return str(last.get("reason", "interrupted")) if last.get("event") == "end" else "interrupted"

    # -------------------------------------------------------------------------------------------- stop and lock

    def stop(self) -> None:
        """Ask the trainer to end after its step."""
        (self.path / STOP).touch()

    def asked_to_stop(self) -> bool:
        return (self.path / STOP).exists()

    def clear_stop(self) -> None:
        (self.path / STOP).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process. Raises OutputError when another one trains in the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a+b") as file:
            if not try_lock(file):
                raise OutputError(
                    mark("The run “{path}” is being trained already."),
                    mark("Wait for it, or end it by making a file “stop” in that folder."),
                    path=self.path,
                )
            try:
                yield
            finally:
                unlock(file)

    def is_running(self) -> bool:
        """Whether a trainer holds the lock. A killed one does not: the operating system lets go of it."""
        try:
            with (self.path / LOCK).open("r+b") as file:
                if not try_lock(file):
                    return True
                unlock(file)
                return False
        except OSError:
            return False


def runs_in(folder: Path) -> list[RunFolder]:
    """The runs in *folder*, the one that something happened in last first."""
    runs = [RunFolder(path) for path in folder.iterdir() if (path / RUN).is_file()] if folder.is_dir() else []
    return sorted(runs, key=lambda run: max(_changed(run / METRICS), _changed(run / RUN)), reverse=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class Metrics:
    """Follows a ``metrics.jsonl``: each call of :meth:`new` gives the events that came since the last one.

    ``restarted``: the file has begun anew (the run was gone on with), and the events are all there are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._file = 0
        self.restarted = False

    def new(self) -> list[Event]:
        """A line that is being written is left for the next call; one that makes no sense is passed over."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                self.restarted = self._read > 0 and (stat.st_ino != self._file or stat.st_size < self._read)
                if self.restarted:
                    self._read = 0
                self._file = stat.st_ino
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [event for line in whole.splitlines() if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or not isinstance(event.get("step"), int):
        return None
    return event
