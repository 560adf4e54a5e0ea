"""From what a user typed, dropped or chose to the source that it means."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from rfapp.errors import SourceEmpty, SourceNotFound, SourceUnreadable, UsageError
from rfapp.settings import SourceSettings
from rfapp.sources.base import Source
from rfapp.sources.kinds import is_picture, is_video, looks_like_picture, natural, without_password
from rfapp.text import mark

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def open_source(address: str, settings: SourceSettings | None = None) -> Source:
    """The source that *address* means, not opened yet.

    ``sample``: the built-in moving pictures. ``camera``: the first camera; ``camera:NAME``, ``camera:2`` or ``2``: a
    certain one. ``screen``: the first screen; ``screen:2``: the second one; ``screen:X,Y,WIDTH,HEIGHT``: a part.
    ``rtsp://…``, ``http://…``: a network stream. Else a video, a picture, a folder of pictures, or a pattern of
    pictures (``holiday/*.jpg``). A file or folder that is really called "sample" or "camera" is reached as
    ``./sample``.

    Raises SourceNotFound where nothing is there, SourceUnreadable where a folder above it is closed to the user, and
    UsageError for an address that this version can't open.
    """
    settings = settings or SourceSettings()
    if address == "sample":
        from rfapp.sources.sample import Sample

        return Sample()
    if address.isdecimal() or address == "camera" or address.startswith("camera:"):
        from rfapp.sources.camera import CameraSource

        return CameraSource(address.removeprefix("camera").removeprefix(":"), settings)
    if address == "screen" or address.startswith("screen:"):
        from rfapp.sources.screen import Screen

        return Screen(address.removeprefix("screen").removeprefix(":"))
    if scheme := _SCHEME.match(address):
        return _open_stream(address, scheme[1].lower())
    return _open_path(address, settings)


def refuse_stream(address: str) -> None:
    """Raise UsageError when *address* is one in a network, where only files make sense."""
    if _SCHEME.match(address):
        raise UsageError(
            mark("“{address}” is a network stream, and only files can be worked through."),
            mark("Watch it in the window: “rfapp {address}”."),
            address=address,
        )


def _open_stream(address: str, scheme: str) -> Source:
    from rfapp.sources.stream import SCHEMES, Stream

    if scheme not in SCHEMES:
        raise UsageError(
            mark("“{address}” can't be opened: {scheme} is not known."),
            mark("Known are: {schemes}."),
            address=without_password(address),
            scheme=scheme,
            schemes=", ".join(sorted(SCHEMES)),
        )
    return Stream(address)


def _open_path(address: str, settings: SourceSettings) -> Source:
    from rfapp.sources.pictures import Pictures

    path = Path(address).expanduser()
    check_reachable(path)
    if address and path.is_dir():
        return Pictures.folder(path, settings.picture_seconds)
    if address and path.exists():
        return _open_file(path, settings)
    if glob.has_magic(address):
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]
        pictures = sorted((f for f in found if is_picture(f) and f.is_file()), key=lambda f: natural(str(f)))
        videos = [f for f in found if is_video(f) and f.is_file()]
        if pictures:
            return Pictures(pictures, settings.picture_seconds, title=address)
        if len(videos) == 1:
            return _open_file(videos[0], settings)
        if found:
            raise SourceEmpty(
                mark("The pattern “{address}” matches no pictures."),
                mark("Videos are opened one at a time.")
                if videos
                else mark("Pictures end in .jpg, .png and the like."),
                address=address,
            )
    raise not_found(address)


def _open_file(path: Path, settings: SourceSettings) -> Source:
    from rfapp.sources.pictures import Pictures
    from rfapp.sources.video import Video

    if file_is_picture(path):
        return Pictures([path], settings.picture_seconds, title=path.name)
    return Video(path)


def file_is_picture(path: Path) -> bool:
    """Whether the file is a picture: by its name, and where that says nothing by its first bytes.

    A file that can't be read counts by its name alone; opening it then tells why.
    """
    if is_picture(path) or is_video(path):
        return is_picture(path)
    try:
        with path.open("rb") as file:
            return looks_like_picture(file.read(32))
    except OSError:
        return False


def check_reachable(path: Path) -> None:
    """Raise SourceUnreadable when it can't even be told whether there is a *path*: a folder above it is closed."""
    try:
        os.stat(path)
    except PermissionError:
        raise SourceUnreadable(
            mark("“{path}” may not be read by you."),
            mark("Change its permissions, or ask its owner."),
            path=str(path),
        ) from None
    except (OSError, ValueError):
        pass  # not there: told later, by what was looked for


def not_found(address: str) -> SourceNotFound:
    """The error for an address under which there is nothing."""
    return SourceNotFound(
        mark("There is no file or folder “{address}”."), mark("Check how the name is written."), address=address
    )
