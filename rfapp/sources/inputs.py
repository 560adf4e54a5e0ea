"""From what stands on a command line to the pictures and videos that it means."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rfapp.errors import RfappError, SourceEmpty, SourceUnreadable
from rfapp.sources.kinds import is_picture, is_video, natural, walk
from rfapp.sources.opening import check_reachable, file_is_picture, not_found, refuse_stream
from rfapp.text import mark


@dataclass(frozen=True, slots=True)
class Input:
    """One file to work on, or (``error``) the reason why one that was named is none.

    ``name`` is what it is called in results. ``root``: the folder that was named and in which the file was found;
    a file that was named itself has its own folder.
    """

    name: str
    path: Path
    root: Path
    picture: bool = False
    error: RfappError | None = None


def find_inputs(words: Iterable[str], *, leave_out: Iterable[Path] = ()) -> list[Input]:
    """The files that *words* name, each once: files, folders (all pictures and videos in them and below, in natural
    order) and patterns, should the shell not have put names in their place.

    Other files in folders are passed over in silence; a file that is named itself is taken for what it is. Nothing in
    the folders *leave_out* is taken: results of an earlier run lie there.
    """
    avoid = [os.path.realpath(path) for path in leave_out]
    found: dict[str, Input] = {}
    for word in words:
        for item in _found(word, avoid):
            found.setdefault(os.path.realpath(item.path), item)
    return list(found.values())


def _found(word: str, avoid: list[str]) -> Iterator[Input]:
    path = Path(word)
    try:
        refuse_stream(word)
        check_reachable(path)
    except RfappError as error:
        yield _failed(word, error)
        return
    if word and path.is_dir():
        yield from _in_folder(word, path, avoid)
    elif word and os.path.lexists(word):
        yield Input(word, path, path.parent, picture=file_is_picture(path))
    elif word and glob.has_magic(word):
        matches = sorted(glob.glob(word, recursive=True), key=natural)
        if not matches:
            yield _failed(word, not_found(word))
        for match in matches:
            inner = Path(match)
            if inner.is_dir():
                if "**" not in word:  # which finds what is in the folders by itself
                    yield from _in_folder(match, inner, avoid)
            elif is_picture(inner) or is_video(inner):
                yield Input(match, inner, inner.parent, picture=is_picture(inner))
    else:
        yield _failed(word, not_found(word))


def _in_folder(word: str, folder: Path, avoid: list[str]) -> Iterator[Input]:
    closed: list[Path] = []
    empty = True
    for path in walk(folder, closed.append):
        if not (is_picture(path) or is_video(path)):
            continue
        real = os.path.realpath(path)
        if any(real.startswith(folder_name + os.sep) for folder_name in avoid):
            continue
        empty = False
        yield Input(str(path), path, folder, picture=is_picture(path))
    for path in closed:
        yield _failed(
            str(path),
            SourceUnreadable(
                mark("The folder “{path}” may not be read by you."),
                mark("Change its permissions, or ask its owner."),
                path=str(path),
            ),
        )
    if empty and not closed:
        yield _failed(
            word,
            SourceEmpty(
                mark("There is no picture or video in the folder “{path}”."),
                mark("Pictures end in .jpg, .png and the like, videos in .mp4, .mkv and the like."),
                path=word,
            ),
        )


def _failed(word: str, error: RfappError) -> Input:
    return Input(word, Path(word or "."), Path("."), error=error)
