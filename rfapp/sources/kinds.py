"""What a file or address is, told from its name or its first bytes, and the order in which a person would put names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

log = logging.getLogger(__name__)

PICTURES = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
})  # fmt: skip
# ".ts" is missing on purpose: in most folders that is a program text. Named by itself such a file is still opened.
VIDEOS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip

_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF, little-endian
    b"MM\0*",  # TIFF, big-endian
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000, bare
)
_NETPBM = re.compile(rb"P[1-6]\s")


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends as a picture's does."""
    return os.path.splitext(path)[1].lower() in PICTURES


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends as a video's does."""
    return os.path.splitext(path)[1].lower() in VIDEOS


def looks_like_picture(head: bytes) -> bool:
    """Whether a file that begins with *head* (32 bytes are enough) says that it is a picture."""
    if head.startswith(_SIGNATURES) or _NETPBM.match(head):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:12] in {b"ftypavif", b"ftypavis"}


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key that puts "page 9" before "page 10", whatever the case of letters."""
    return tuple(
        (0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)
    )


def walk(folder: Path, unreadable: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Every file in *folder* and below, in natural order: a folder's files first, then its folders.

    Hidden files and folders (and what the system put there under such names) are left out; links to folders are not
    followed, so that a link to a folder above can't make it endless. A folder that may not be read is passed over and
    told to *unreadable*.
    """
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
    except OSError as error:
        log.warning("folder %s: %s", folder, error)
        if unreadable is not None:
            unreadable(folder)
        return
    for name in sorted(files, key=natural):
        yield folder / name
    for name in sorted(folders, key=natural):
        yield from walk(folder / name, unreadable)


def without_password(address: str) -> str:
    """*address* as it may be shown: a user's name and password are taken out."""
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]))
