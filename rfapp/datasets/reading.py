"""What the label readers share: lines and numbers with limits, names that can't leave their folder, classes."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfapp.datasets.samples import OTHER, PATH, TWICE, Faces, Findings, Sample
from rfapp.errors import SourceEmpty, SourceNotFound, SourceUnreadable, UsageError
from rfapp.sources.kinds import natural
from rfapp.text import mark

#: A label file of 256 MB holds two million faces with landmarks; WIDER FACE has 160 thousand.
LARGEST_FILE = 256 << 20
#: The longest line that means anything; what stands behind is not looked at.
LONGEST_LINE = 4096
#: No coordinate is larger: the largest picture that OpenCV reads has 2²⁰ pixels a side.
LARGEST_NUMBER = 1e7

#: How data sets call a face, in small letters and with spaces.
FACE_NAMES = frozenset({"face", "faces", "human face", "human faces"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said beside the path: the folder of ``pictures``, and which ``classes`` are faces."""

    pictures: Path | None = None
    classes: tuple[str, ...] = ()


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """All of *path*. Raises SourceNotFound or SourceUnreadable, also where it is larger than *largest*."""
    try:
        if not path.is_file():
            raise SourceNotFound(mark("There is no label file “{path}”."), path=str(path))
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise SourceUnreadable(
            mark("The label file “{path}” can't be read: {reason}."), path=str(path), reason=reason_of(error)
        ) from None
    if len(data) > largest:
        raise SourceUnreadable(
            mark("The label file “{path}” is larger than {limit} MB."),
            mark("Divide it, or leave out what is not needed."),
            path=str(path),
            limit=largest >> 20,
        )
    return data


def reason_of(error: Exception) -> str:
    """What the system says about *error*, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_lines(path: Path, largest: int = LARGEST_FILE) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines of *path* without the space at their ends; empty ones are left out.

    A line is cut behind 4,096 bytes, and what is not UTF-8 becomes a replacement character: neither can be taken for
    a label afterwards. Raises SourceUnreadable for a file in UTF-16.
    """
    data = read_bytes(path, largest)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceUnreadable(
            mark("The label file “{path}” is saved as UTF-16."), mark("Save it as UTF-8."), path=str(path)
        )
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = line[:LONGEST_LINE].decode("utf-8", "replace").strip()
        if text:
            yield number, text


_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def numbers(words: Sequence[str]) -> list[float] | None:
    """*words* as finite numbers of sensible size, or None where one is none."""
    values = []
    for word in words:
        if len(word) > 40 or not _DECIMAL.match(word):
            return None
        value = float(word)
        if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
            return None
        values.append(value)
    return values


def landmarks_of(values: Sequence[float], flags: Sequence[float] = ()) -> list[float] | None:
    """Ten numbers x, y, … as landmarks; None where they stand for unknown ones.

    Unknown are those with a negative flag, and those where x and y of a point are both negative (usually −1). A point
    may well lie a little beyond the left or the upper edge of its picture.
    """
    if any(flag < 0 for flag in flags) or any(x < 0 and y < 0 for x, y in zip(values[::2], values[1::2], strict=True)):
        return None
    return list(values)


class Pictures:
    """The pictures of a label file in the order in which it names them, each once; names stay inside *root*."""

    def __init__(self, root: Path, label_file: Path, findings: Findings) -> None:
        self._root = os.path.abspath(root)
        self._label_file = label_file
        self._findings = findings
        self._found: dict[str, tuple[Path, Faces, int, tuple[int, int] | None]] = {}

    def named(self, name: str, line: int, size: tuple[int, int] | None = None, *, again: bool = False) -> Faces | None:
        """The faces of the picture *name*, or None where the name leads out of the folder. That it was named before
        is a finding, unless *again* says that this is usual."""
        path = inside(self._root, name)
        if path is None:
            self._findings.add(
                PATH, self._label_file, line, mark("“{name}” leads out of the folder of pictures; left out"), name=name
            )
            return None
        known = self._found.get(path)
        if known is not None:
            if not again:
                self._findings.add(
                    TWICE,
                    self._label_file,
                    line,
                    mark("the picture “{name}” stands in line {first} already; the faces are put together"),
                    name=name,
                    first=known[2],
                )
            return known[1]
        faces = Faces()
        self._found[path] = (Path(path), faces, line, size)
        return faces

    def samples(self) -> tuple[Sample, ...]:
        return tuple(
            faces.sample(path, self._label_file, line, size) for path, faces, line, size in self._found.values()
        )


def inside(root: str, name: str) -> str | None:
    """The path of *name* in the folder *root* (an absolute path), or None where it would lie elsewhere."""
    name = name.replace("\\", "/")
    if not name or not name.isprintable():
        return None
    path = os.path.normpath(os.path.join(root, name))
    return path if path.startswith(os.path.join(root, "")) else None


def picture_folder(label_file: Path, names: Iterable[str], wishes: Wishes) -> Path:
    """The folder that *names* are relative to: the one that was given, else the likeliest near the label file.

    Looked at are ``images`` beside the file, its own folder, the folders in it, and, where none of them has any of
    the pictures, the same one folder further up (WIDER FACE keeps labels and pictures side by side).
    Raises SourceNotFound where none of them holds any of the pictures.
    """
    some = _spread([name for name in names if name], 24)
    if wishes.pictures is not None:
        if not wishes.pictures.is_dir():
            raise SourceNotFound(mark("There is no folder of pictures “{path}”."), path=str(wishes.pictures))
        return wishes.pictures
    own = label_file.absolute().parent
    best = _fullest(own, some) or _fullest(own.parent, some)
    if best is None:
        raise SourceNotFound(
            mark("None of the pictures that “{path}” names was found, neither beside it nor in “images”."),
            mark("Name their folder with --pictures. The first one is “{name}”."),
            path=str(label_file),
            name=some[0][:200] if some else "",
        )
    return best


def _fullest(place: Path, names: list[str]) -> Path | None:
    """Of *place* and the folders in it the one that has most of the pictures *names*, if any has one."""
    inner = _folders_in(place)
    first = [folder for folder in inner if folder.name == "images"]
    best, most = None, 0
    for folder in (*first, place, *(folder / "images" for folder in inner), *inner):
        root = os.path.abspath(folder)
        count = sum((path := inside(root, name)) is not None and os.path.isfile(path) for name in names)
        if count > most:
            best, most = folder, count
    return best


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name for entry in entries if entry.is_dir()), key=natural)
    except OSError:
        return []
    return [folder / name for name in names[:100]]


def _spread(names: list[str], count: int) -> list[str]:
    return names if len(names) <= count else [names[i * len(names) // count] for i in range(count)]


def choose_classes(counts: Counter[str], wishes: Wishes, path: Path, findings: Findings) -> frozenset[str]:
    """Which of the classes in *counts* (name → number of boxes) are faces: those the user named, else those that are
    called so, else the only one there is. The boxes of the others are counted as one finding.

    Raises UsageError where that leaves a choice.
    """
    wanted = {_plain(name) for name in wishes.classes} or FACE_NAMES
    chosen = frozenset(name for name in counts if _plain(name) in wanted)
    if not chosen and len(counts) == 1 and not wishes.classes:
        chosen = frozenset(counts)
    if counts and not chosen:
        shown = [f"“{name[:40]}”" for name, _ in counts.most_common(8)] + (["…"] if len(counts) > 8 else [])
        raise UsageError(
            mark("“{path}” has boxes of the classes {names}, and none of them is {wanted}."),
            mark("Name those that are faces with --class."),
            path=str(path),
            names=", ".join(shown),
            wanted="“" + "”, “".join(wishes.classes) + "”" if wishes.classes else mark("called face"),
        )
    others = {name: count for name, count in counts.items() if name not in chosen}
    if others:
        findings.add(
            OTHER,
            path,
            0,
            mark("{count} boxes of other classes than faces ({names}); left out"),
            count=sum(others.values()),
            names=", ".join(sorted(others)[:8]),
        )
    return chosen


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def nothing_in(path: Path) -> SourceEmpty:
    """The error for a label file in which not one picture could be understood."""
    return SourceEmpty(mark("The label file “{path}” names no picture."), path=str(path))
