"""PASCAL VOC: an XML file a picture, with ``object/name`` and ``object/bndbox``.

Numbers are taken as the edges of boxes, as face sets in this format write them; the original VOC counted pixels from 1,
which is half a pixel off. Objects marked ``difficult`` are ignored in training. Five points in ``object/lm`` (x1, y1 …
x5, y5; ``has_lm`` 0 or −1: unknown), as WIDER FACE's landmarks are published in this format, are taken.

The files are not trusted: a document type (and with it every entity) is refused, and depth, count of elements and
size are limited.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from rfapp.datasets.reading import Wishes, choose_classes, inside, landmarks_of, nothing_in, numbers, read_bytes
from rfapp.datasets.samples import LINE, MISSING, TWICE, Dataset, Faces, Findings, Sample
from rfapp.errors import SourceNotFound, SourceUnreadable
from rfapp.sources.kinds import is_picture, walk
from rfapp.text import mark

FORMAT = "PASCAL VOC XML"
LARGEST_XML = 4 << 20
DEEPEST = 20
MOST_ELEMENTS = 100_000
LARGEST_WORD = 1024
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_POINTS = tuple(f"{axis}{number}" for number in range(1, 6) for axis in "xy")


@dataclass(slots=True)
class _Object:
    line: int
    words: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.words.get("name", "")


@dataclass(slots=True)
class _Annotation:
    file: Path
    words: dict[str, str]
    objects: list[_Object]


class _Refused(Exception):
    """Something in an XML file that no label file has."""


def read(path: Path, wishes: Wishes) -> Dataset:
    """*path*: one file, or a folder with files in it and below.

    Raises SourceNotFound, SourceEmpty, and UsageError where it is not clear which class is the face.
    """
    findings = Findings()
    files = [path] if path.is_file() else [file for file in walk(path) if file.suffix.lower() == ".xml"]
    annotations = [found for file in files if (found := _annotation(file, findings)) is not None]
    if not annotations:
        raise nothing_in(path)
    counts = Counter(item.name for annotation in annotations for item in annotation.objects)
    chosen = choose_classes(counts, wishes, path, findings)
    finder = _Finder(path, wishes)
    samples: dict[str, Sample] = {}
    for annotation in annotations:
        picture = finder.find(annotation)
        if picture is None:
            name = annotation.words.get("filename", "")
            findings.add(MISSING, annotation.file, 0, mark("there is no picture “{name}”; left out"), name=name)
            continue
        if str(picture) in samples:
            first = samples[str(picture)].label_file
            text = mark("“{first}” labels the same picture; left out")
            findings.add(TWICE, annotation.file, 0, text, first=str(first))
            continue
        samples[str(picture)] = _sample(annotation, picture, chosen, findings)
    return Dataset(FORMAT, path, finder.folder, tuple(samples.values()), findings)


def _annotation(file: Path, findings: Findings) -> _Annotation | None:
    """What stands in *file*, or None (a finding) where it is no annotation."""
    try:
        return _parse(file, read_bytes(file, LARGEST_XML))
    except (SourceNotFound, SourceUnreadable) as error:
        findings.add(LINE, file, 0, "{reason}", reason=error.message)
    except _Refused as error:
        findings.add(LINE, file, 0, mark("{reason}; the file is left out"), reason=str(error))
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code) or ""
        findings.add(LINE, file, error.lineno, mark("not XML: {reason}; the file is left out"), reason=what)
    except (ValueError, LookupError) as error:  # an encoding that Python does not have
        findings.add(LINE, file, 0, mark("not XML: {reason}; the file is left out"), reason=str(error))
    return None


def _parse(file: Path, data: bytes) -> _Annotation:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    result = _Annotation(file, {}, [])
    stack: list[str] = []
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        stack.append(tag)
        if count > MOST_ELEMENTS or len(stack) > DEEPEST:
            raise _Refused(mark("has more elements than a label file"))
        if len(stack) == 1 and tag != "annotation":
            raise _Refused(mark("is no annotation of PASCAL VOC"))
        if stack == ["annotation", "object"]:
            result.objects.append(_Object(parser.CurrentLineNumber))

    def end(tag: str) -> None:
        stack.pop()

    def text(words: str) -> None:
        # Only the first level below an object, and its box and landmarks: parts of objects have names and boxes, too.
        of_object = stack[1:2] == ["object"] and (len(stack) == 3 or stack[2:3] in (["bndbox"], ["lm"]))
        target = result.objects[-1].words if of_object else result.words
        if of_object or len(stack) == 2 or stack[1:2] == ["size"]:
            key = stack[-1] if stack else ""
            target[key] = (target.get(key, "") + words).strip()[:LARGEST_WORD]

    def refuse(*_: object) -> None:
        raise _Refused(mark("has a document type, which no label file needs"))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(data, True)
    return result


class _Finder:
    """Finds the picture of an annotation: by the name that it states, else by its own."""

    def __init__(self, path: Path, wishes: Wishes) -> None:
        start = path.absolute() if path.is_dir() else path.absolute().parent
        self._given = wishes.pictures is not None
        if wishes.pictures is not None:
            if not wishes.pictures.is_dir():
                raise SourceNotFound(mark("There is no folder of pictures “{path}”."), path=str(wishes.pictures))
            self._folders = [wishes.pictures.absolute()]
        else:
            self._folders = list(_around(start))
        self.folder = self._folders[0]
        self._by_stem: dict[Path, dict[str, Path]] = {}

    def find(self, annotation: _Annotation) -> Path | None:
        name = annotation.words.get("filename", "")
        beside = [] if self._given else [annotation.file.absolute().parent]
        for folder in [*beside, *self._folders]:
            path = inside(str(folder), name)
            if path is not None and os.path.isfile(path):
                return Path(path)
        for folder in self._folders:
            for key in (Path(name.replace("\\", "/")).stem, annotation.file.stem):
                if key and (found := self._stems(folder).get(key)) is not None:
                    return found
        return None

    def _stems(self, folder: Path) -> dict[str, Path]:
        """Pictures in *folder* and below by their names without ending, where those are unique."""
        if folder not in self._by_stem:
            found: dict[str, Path] = {}
            several: set[str] = set()
            for path in walk(folder):
                if is_picture(path):
                    (several.add(path.stem) if path.stem in found else found.setdefault(path.stem, path))
            self._by_stem[folder] = {stem: path for stem, path in found.items() if stem not in several}
        return self._by_stem[folder]


def _around(start: Path) -> Iterator[Path]:
    for place in (start, start.parent) if start.name.casefold() in {"annotations", "xml", "labels"} else (start,):
        for name in ("JPEGImages", "images", "Images"):
            if (place / name).is_dir():
                yield place / name
        yield place


def _sample(annotation: _Annotation, picture: Path, chosen: frozenset[str], findings: Findings) -> Sample:
    faces = Faces()
    for item in annotation.objects:
        if item.name not in chosen:
            continue
        values = numbers([item.words.get(name, "") for name in _CORNERS])
        if values is None:
            findings.add(LINE, annotation.file, item.line, mark("the object's box is not four numbers; left out"))
            continue
        x1, y1, x2, y2 = values
        ignore = item.words.get("difficult", "0") not in ("", "0")
        faces.add((x1, y1, x2, y2), _points(item), ignore=ignore, line=item.line)
    size = numbers([annotation.words.get("width", ""), annotation.words.get("height", "")])
    stated = (int(size[0]), int(size[1])) if size and min(size) >= 1 else None
    return faces.sample(picture, annotation.file, 0, stated)


def _points(item: _Object) -> list[float] | None:
    if item.words.get("has_lm", "1") not in ("1", "1.0"):
        return None
    values = numbers([item.words.get(name, "") for name in _POINTS])
    return None if values is None else landmarks_of(values)
