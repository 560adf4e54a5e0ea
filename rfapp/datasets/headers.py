"""How large a picture is, from the first bytes of its file: a hundred times faster than decoding it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from rfapp.errors import PictureUnreadable, RfappError
from rfapp.sources.pictures import read_picture
from rfapp.text import mark

#: Three bytes a pixel, and several pictures at a time: what is larger is refused before memory is asked for.
MOST_PIXELS = 128_000_000

# Start-of-frame markers of JPEG; the ones left out stand for tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_ORIENTATION = 0x0112


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture in file *path*.

    JPEG and PNG are told from their headers (with the orientation tag), others are decoded. That the rest of the file
    is whole is not looked at. Raises SourceNotFound and PictureUnreadable.
    """
    size = None
    if os.path.isfile(path):
        try:
            with path.open("rb") as file:
                size = _jpeg(file)
                if size is None and (stored := _png(file)) is not None:
                    _limit(path, stored)
                    _can_hold(path, stored)
                    size = None if _png_turned(file, path) else stored
        except (OSError, struct.error, IndexError):
            size = None
    if size is None:
        image = read_picture(path)
        size = (image.shape[1], image.shape[0])
    _limit(path, size)
    return size


def _limit(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise PictureUnreadable(
            mark("The picture “{path}” is too large: {width} × {height} pixels."),
            mark("Make it smaller; up to {limit} million pixels are read."),
            path=str(path),
            width=size[0],
            height=size[1],
            limit=MOST_PIXELS // 1_000_000,
        )


def _can_hold(path: Path, size: tuple[int, int]) -> None:
    """Deflate packs at most 1,032 bytes into one, and a byte has at most eight pixels: less is no whole picture."""
    if size[0] * size[1] > 8 * 1032 * os.path.getsize(path):
        raise _damaged(path)


def _damaged(path: Path) -> PictureUnreadable:
    return PictureUnreadable(
        mark("The picture “{path}” is damaged or incomplete."),
        mark("Copy or download it once more."),
        path=str(path),
    )


def readable_size(path: Path) -> tuple[int, int] | None:
    """:func:`picture_size`, or None where that raises: cleaning will say why."""
    try:
        return picture_size(path)
    except RfappError:
        return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(0)
    if file.read(2) != b"\xff\xd8":
        return None
    turned = False
    while True:
        byte = file.read(1)
        if byte != b"\xff":
            return None  # not where a marker has to be: the decoder may still find its way
        while byte == b"\xff":
            byte = file.read(1)
        marker = byte[0]
        if marker in _ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            if not width or not height:
                return None
            return (height, width) if turned else (width, height)
        body = file.read(length - 2)
        if len(body) < length - 2 or marker == 0xDA:
            return None
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            turned = 5 <= _orientation(body[6:]) <= 8


def _orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    (place,) = struct.unpack_from(order + "4xI", tiff)
    (count,) = struct.unpack_from(order + "H", tiff, place)
    for entry in range(min(count, 512)):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, place + 2 + 12 * entry)
        if tag == _ORIENTATION:
            return int(value)
    return 1


def _png(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(0)
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return None
    length, kind = struct.unpack(">I4s", file.read(8))
    width, height = struct.unpack(">II", file.read(8))
    good = kind == b"IHDR" and length == 13 and width and height
    return (width, height) if good else None


def _png_turned(file: BinaryIO, path: Path) -> bool:
    """Whether there may be an orientation behind the first chunk, also behind the picture: the decoder knows."""
    end = file.seek(0, os.SEEK_END)
    file.seek(8 + 8 + 13 + 4)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return True
        # The decoder would ask for as much memory as the chunk claims to need.
        if file.seek(length + 4, os.SEEK_CUR) > end:
            raise _damaged(path)
    return False
