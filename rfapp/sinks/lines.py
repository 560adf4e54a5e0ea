"""Results as lines of text: JSON Lines, CSV, or labels to train with."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.text import mark

#: "label" is RetinaFace's label.txt.
FORMATS = ("jsonl", "csv", "label")


class Bytes(Protocol):
    """What is used of a binary stream."""

    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> object: ...


class LineSink(ABC):
    """Writes a frame's results in one go, so that whoever reads along or stops us finds whole frames.

    *file* is a binary stream; it is not closed here. Text is UTF-8; a name that is no text (Linux allows any bytes)
    goes out as the bytes that it is, or in JSON escaped.
    """

    def __init__(self, file: Bytes) -> None:
        self._file = file

    @abstractmethod
    def append(self, source: str, frame: Frame, faces: Detections) -> None:
        """The *faces* of one *frame* of *source*."""

    @abstractmethod
    def summarise(self, source: str, people: int, tracks: Sequence[Mapping[str, float]]) -> None:
        """The faces of *source* were followed; behind its last frame. *people*: so many were counted."""

    @abstractmethod
    def fail(self, source: str, sentence: str) -> None:
        """*source* failed; behind the frames that could be had."""

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode("utf-8", "surrogateescape"))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                mark("The results can't be written: {reason}."), reason=error.strerror or str(error)
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()


class JsonLines(LineSink):
    """A line of JSON per frame (``source, frame, time_s, width, height, faces``), per film in which faces were followed
    (``source, people, tracks``), and per failure (``source, error``)."""

    def append(self, source: str, frame: Frame, faces: Detections) -> None:
        self._line(_values(source, frame, faces))

    def summarise(self, source: str, people: int, tracks: Sequence[Mapping[str, float]]) -> None:
        rounded = [{key: round(value, 6) for key, value in track.items()} for track in tracks]
        self._line({"source": source, "people": people, "tracks": rounded})

    def fail(self, source: str, sentence: str) -> None:
        self._line({"source": source, "error": sentence})

    def _line(self, values: dict[str, Any]) -> None:
        text = json.dumps(values, ensure_ascii=False)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            text = json.dumps(values)
        self._write(text + "\n")


class Csv(LineSink):
    """A line per face, with a heading; frames without faces and failed sources leave none."""

    COLUMNS = (
        *("source", "frame", "time_s", "face", "track", "x1", "y1", "x2", "y2", "score"),
        *(f"l{axis}{point}" for point in range(1, 6) for axis in "xy"),
    )

    def __init__(self, file: Bytes, *, heading: bool = True) -> None:
        super().__init__(file)
        if heading:
            self._rows([self.COLUMNS])

    def append(self, source: str, frame: Frame, faces: Detections) -> None:
        self.append_values(_values(source, frame, faces))

    def append_values(self, values: Mapping[str, Any]) -> None:
        """The same for a frame as :class:`JsonLines` writes it."""
        rows = []
        for number, face in enumerate(values["faces"]):
            track = "" if face["track"] is None else face["track"]
            points = [value for point in face["landmarks"] or [("", "")] * 5 for value in point]
            where = values["source"], values["frame"], values["time_s"]
            rows.append([*where, number, track, *face["box"], face["score"], *points])
        if rows:
            self._rows(rows)

    def summarise(self, source: str, people: int, tracks: Sequence[Mapping[str, float]]) -> None:
        """Nothing: the table has the number of every face in every frame."""

    def fail(self, source: str, sentence: str) -> None:
        """Nothing: a table of faces has no place for it."""

    def _rows(self, rows: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._write(text.getvalue())


def _values(source: str, frame: Frame, faces: Detections) -> dict[str, Any]:
    """What is written of a frame."""
    return {
        "source": source,
        "frame": frame.index,
        "time_s": round(frame.time_s, 6),
        "width": frame.width,
        "height": frame.height,
        **faces.to_dict(),
    }


class Labels(LineSink):
    """RetinaFace's ``label.txt``, as :mod:`rfapp.datasets.retinaface` reads it: ``# picture`` and for each face a line
    ``x y w h`` and five times ``x y flag``, −1 where a face has no landmarks. Failed pictures leave nothing."""

    def append(self, source: str, frame: Frame, faces: Detections) -> None:
        lines = [f"# {source}"]
        for face in faces.to_dict()["faces"]:
            x1, y1, x2, y2 = face["box"]
            points = [[*point, 0] for point in face["landmarks"]] if face["landmarks"] else [[-1, -1, -1]] * 5
            values = [x1, y1, x2 - x1, y2 - y1, *(value for point in points for value in point)]
            lines.append(" ".join(f"{value:.7g}" for value in values))
        self._write("\n".join(lines) + "\n")

    def summarise(self, source: str, people: int, tracks: Sequence[Mapping[str, float]]) -> None:
        """Nothing: pictures have no tracks."""

    def fail(self, source: str, sentence: str) -> None:
        """Nothing: a picture that can't be read can't be learned from."""


def line_sink(form: str, file: Bytes, *, continued: bool = False) -> LineSink:
    """The sink for *form*, one of :data:`FORMATS`; *continued*: behind what is in *file* already."""
    if form == "label":
        return Labels(file)
    return JsonLines(file) if form == "jsonl" else Csv(file, heading=not continued)


#: On a line of labels: the box, and five points with a flag each.
_LABEL_WORDS = 19


def to_csv(lines: Iterable[bytes], file: Bytes) -> None:
    """Write what stands in JSON *lines* as a table. Raises OutputError."""
    table = Csv(file)
    for line in lines:
        values = json.loads(line)
        if "faces" in values:
            table.append_values(values)


# ------------------------------------------------------------------------------------------------------- resuming


def cut_back(path: Path, form: str, one_line: Callable[[str], bool]) -> set[str]:
    """Prepare the results in *path* for going on: cut off what may be incomplete, and return the sources that are done.

    Sources are written one after the other, so all but the last are complete. The last one is, too, when its last
    line tells its error or sums it up, or when it has just one in JSON Lines, as pictures have (*one_line* tells that
    of a source); else its lines are cut off, and with labels always. A line that was not written to its end is cut off
    in any case. Raises OutputError for a file that is none of ours.
    """
    done: set[str] = set()
    last: str | None = None
    last_at = 0  # where the lines of the last source begin
    last_done = False
    end = 0
    try:
        with path.open("rb") as file:
            for at, stop, source, complete in _records(file, form, path, one_line):
                if source != last:
                    if last is not None:
                        done.add(last)
                    last, last_at = source, at
                last_done, end = complete, stop
        if last is not None and not last_done:
            end = last_at
        elif last is not None:
            done.add(last)
        os.truncate(path, end)
    except OSError as error:
        raise OutputError(
            mark("“{path}” can't be gone on with: {reason}."), path=str(path), reason=error.strerror or str(error)
        ) from None
    return done


def _records(
    file: BinaryIO, form: str, path: Path, one_line: Callable[[str], bool]
) -> Iterator[tuple[int, int, str | None, bool]]:
    """For each whole line: where it begins and ends, its source (None: the heading), whether the source ends there."""
    at = 0
    if form == "csv":
        for number, line in enumerate(_csv_lines(file)):
            row = next(csv.reader([line.decode("utf-8", "surrogateescape")]), [])
            if (number == 0 and tuple(row) != Csv.COLUMNS) or len(row) != len(Csv.COLUMNS):
                raise _foreign(path, form)
            yield at, at + len(line), row[0] if number else None, number == 0
            at += len(line)
        return
    if form == "label":
        named: str | None = None
        for line in file:
            if not line.endswith(b"\n"):
                return
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            if text.startswith("# "):
                named = text[2:]
            elif named is None or len(text.split()) != _LABEL_WORDS:
                raise _foreign(path, form)
            yield at, at + len(line), named, False
            at += len(line)
        return
    for line in file:
        if not line.endswith(b"\n"):
            return
        try:
            values = json.loads(line)
            source = values["source"]
        except (ValueError, KeyError, TypeError):
            raise _foreign(path, form) from None
        yield at, at + len(line), source, bool({"error", "tracks"}.intersection(values)) or one_line(source)
        at += len(line)


def _csv_lines(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines of CSV: a quoted name may hold line ends."""
    held = b""
    for line in file:
        held += line
        if held.count(b'"') % 2 == 0 and held.endswith(b"\n"):
            yield held
            held = b""


def _foreign(path: Path, form: str) -> OutputError:
    return OutputError(
        mark("“{path}” does not hold results of `rfapp detect` in the format {form}."),
        mark("Name another file, or use --force to replace it."),
        path=str(path),
        form=form,
    )
