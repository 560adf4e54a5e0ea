"""Annotated pictures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from rfapp.errors import OutputError
from rfapp.frames import ByteImage, Detections, Frame
from rfapp.sinks.drawing import draw
from rfapp.sinks.hiding import Hidden
from rfapp.text import mark

#: What is written under which ending. Anything else becomes PNG.
_FORMATS = {
    ".avif": ".avif",
    ".bmp": ".bmp",
    ".dib": ".bmp",
    ".jfif": ".jpg",
    ".jpe": ".jpg",
    ".jpeg": ".jpg",
    ".jpg": ".jpg",
    ".png": ".png",
    ".ppm": ".ppm",
    ".tif": ".tiff",
    ".tiff": ".tiff",
    ".webp": ".webp",
}


def picture_name(name: str) -> str:
    """The name under which a picture called *name* is written: with another ending where its format can't be."""
    return name if Path(name).suffix.lower() in _FORMATS else f"{name}.png"


def write_picture(path: Path, image: ByteImage) -> None:
    """Write *image* (uint8 BGR) to *path* in the format that its ending names, whole or not at all."""
    suffix = _FORMATS.get(path.suffix.lower(), ".png")
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == ".jpg" else []
    try:
        good, data = cv2.imencode(suffix, image, options)
    except cv2.error:
        good = False
    if not good:
        raise OutputError(
            mark("The picture “{path}” can't be written as {format}."),
            path=str(path),
            format=suffix.removeprefix(".").upper(),
        )
    with in_place_of(path) as temporary:
        temporary.write_bytes(data.data)


@contextlib.contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A name beside *path* to write to: the file takes the place of *path* behind the block, or nothing is left of it.
    Raises OutputError for what the system refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a file that can't be written."""
    return OutputError(
        mark("“{path}” can't be written: {reason}."),
        mark("Check the folder's permissions and the space that is left, or choose another folder."),
        path=str(path),
        reason=error.strerror or str(error),
    )


class PictureSink:
    """One annotated picture, or one with hidden faces."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, frame: Frame, faces: Detections, hidden: Hidden | None = None) -> None:
        """Write the picture with *faces* drawn in, or without what is *hidden*."""
        write_picture(self._path, draw(frame.image, faces) if hidden is None else hidden.applied(frame.image))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
