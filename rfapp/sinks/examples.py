"""Examples to learn from: pictures in which the detector was wrong, with the labels that are right.

A folder of them has the pictures, bare and lossless, in ``images`` and RetinaFace's ``label.txt`` beside it, as
:func:`rfapp.datasets.open_dataset` and ``rfapp train --data`` read it. A picture without lines there has no face.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.locks import try_lock, unlock
from rfapp.sinks.lines import Labels
from rfapp.sinks.pictures import cannot_write, in_place_of, write_picture
from rfapp.text import mark

LABELS, PICTURES, LOCK = "label.txt", "images", ".lock"
#: Another window that keeps an example at the same time is waited for so long; it takes some tenths of a second.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Count:
    """So many ``pictures`` are labelled and there; ``with_faces``: those in which somebody is."""

    pictures: int
    with_faces: int


class ExampleFolder:
    """Writes examples; several windows may do so at once. ``path`` is made with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, frame: Frame, faces: Detections) -> Path:
        """Keep the bare picture of *frame* and these *faces* as its labels; returns the picture's path.

        The picture's name comes from its pixels: the same picture is one example, whose labels are replaced. Boxes are
        cut at its edges. At any moment the old or the new labels are there whole. Raises OutputError, and then nothing
        has changed.
        """
        name = _name(frame)
        picture = self.path / PICTURES / name
        with self._locked():
            known = picture.exists()
            try:
                write_picture(picture, frame.image)
                self._label(name, frame, faces)
            except BaseException:
                if not known:
                    with contextlib.suppress(OSError):
                        picture.unlink(missing_ok=True)
                raise
        return picture

    def count(self) -> Count:
        """How many examples there are; those whose picture was deleted do not count."""
        try:
            with os.scandir(self.path / PICTURES) as entries:
                there = {os.fsencode(entry.name) for entry in entries}
            examples = [lines for name, lines in _examples((self.path / LABELS).read_bytes()) if name in there]
        except OSError:
            return Count(0, 0)
        return Count(len(examples), sum(_has_faces(lines) for lines in examples))

    def _label(self, name: str, frame: Frame, faces: Detections) -> None:
        faces = faces.clipped(frame.width, frame.height)
        boxes = faces.boxes
        new = io.BytesIO()
        Labels(new).append(name, frame, faces[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])])
        path = self.path / LABELS
        with in_place_of(path) as temporary, temporary.open("wb") as file:
            file.write(_replaced(_read(path), name.encode(), new.getvalue()))
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path / LOCK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise cannot_write(path, error) from None
        with file:
            end = time.monotonic() + PATIENCE_S
            while not try_lock(file):
                if time.monotonic() > end:
                    raise OutputError(
                        mark("“{path}” can't be locked: another program may be writing to its folder."),
                        mark("Try again."),
                        path=str(path),
                    )
                time.sleep(0.02)
            try:
                yield
            finally:
                unlock(file)


def _name(frame: Frame) -> str:
    seen = hashlib.blake2b(f"{frame.width}x{frame.height} ".encode(), digest_size=8)
    seen.update(frame.image.data)
    return f"example-{seen.hexdigest()}.png"


def _read(path: Path) -> bytes:
    """The labels so far. Raises OSError, and OutputError where somebody saved them in a form that can't be added to."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise OutputError(
            mark("The label file “{path}” is saved as UTF-16."), mark("Save it as UTF-8."), path=str(path)
        )
    return data


def _examples(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name of each picture in a ``label.txt`` and its lines as they stand, which may have been edited by hand;
    what stands before the first one comes under the name ""."""
    name, lines = b"", b""
    for line in io.BytesIO(data):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if text.startswith(b"#"):
            if lines:
                yield name, lines
            name, lines = text[1:].strip(), b""
        lines += line
    if lines:
        yield name, lines


def _has_faces(lines: bytes) -> bool:
    return any(line.strip() for line in lines.splitlines()[1:])


def _replaced(data: bytes, name: bytes, new: bytes) -> bytes:
    """*data* with the lines *new* for the picture *name*, where it has some already in their place."""
    parts, placed = [], False
    for known, lines in _examples(data):
        if known != name:
            parts.append(lines if lines.endswith(b"\n") else lines + b"\n")
        elif not placed:
            parts.append(new)
            placed = True
    return b"".join(parts if placed else [*parts, new])
