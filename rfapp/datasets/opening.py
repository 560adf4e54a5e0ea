"""Which format a label file or folder has, and the reader for it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from rfapp.datasets import coco, five_points, negatives, retinaface, voc, wider, yolo
from rfapp.datasets.reading import LONGEST_LINE, Wishes, inside, numbers
from rfapp.datasets.samples import Dataset
from rfapp.errors import SourceNotFound, SourceUnreadable, UsageError
from rfapp.sources.kinds import is_picture, walk
from rfapp.text import mark

#: How much of a file is looked at to tell its format.
_HEAD = 256 << 10

_READERS: dict[str, Callable[[Path, Wishes], Dataset]] = {
    retinaface.FORMAT: retinaface.read,
    wider.FORMAT: wider.read,
    five_points.FORMAT: five_points.read,
    yolo.FORMAT: yolo.read,
    voc.FORMAT: voc.read,
    coco.FORMAT: coco.read,
}
#: Formats in which one file has the labels of all pictures.
_ONE_FILE = (retinaface.FORMAT, wider.FORMAT, five_points.FORMAT, coco.FORMAT)
_LOOKED_FOR = mark(
    "Known are RetinaFace's label.txt, WIDER FACE's bbx_gt.txt, PASCAL VOC (.xml), YOLO (.txt), COCO (.json), "
    "“picture and ten numbers” a line, and folders of pictures without faces."
)


def open_dataset(path: Path, *, pictures: Path | None = None, classes: Sequence[str] = ()) -> Dataset:
    """Read the labelled pictures that *path* names: a label file, or a folder that holds one kind of labels.

    *pictures*: the folder that the labels' names are relative to (default: found near the labels). *classes*: the
    classes that are faces (default: the one called face, or the only one).
    What is wrong with single lines is collected in ``Dataset.findings``. Raises RfappError where the whole can't be
    used: SourceNotFound, SourceUnreadable, SourceEmpty; UsageError where it is ambiguous.
    """
    wishes = Wishes(pictures, tuple(classes))
    try:
        if path.is_dir():
            return _open_folder(path, wishes)
        if not path.is_file():
            raise SourceNotFound(
                mark("There is no file or folder “{path}”."), mark("Check how the name is written."), path=str(path)
            )
        found = sniff(path)
    except (OSError, ValueError) as error:
        raise SourceUnreadable(mark("“{path}” can't be read: {reason}."), path=str(path), reason=str(error)) from None
    if found is None:
        raise SourceUnreadable(mark("“{path}” has no known format of labels."), _LOOKED_FOR, path=str(path))
    if found == yolo.FORMAT and path.suffix not in (".yaml", ".yml"):
        raise UsageError(
            mark("“{path}” has the labels of one picture in the format YOLO."), mark("Name its folder."), path=str(path)
        )
    return _READERS[found](path, wishes)


def _open_folder(path: Path, wishes: Wishes) -> Dataset:
    whole = {file: kind for file in _candidates(path) if (kind := sniff(file)) in _ONE_FILE}
    if len(whole) > 1:
        names = sorted(str(file.relative_to(path)) for file in whole)
        raise UsageError(
            mark("“{path}” has several label files: {names}."),
            mark("Name one of them."),
            path=str(path),
            names=", ".join(names[:6]) + (", …" if len(names) > 6 else ""),
        )
    for file, kind in whole.items():
        return _READERS[kind](file, wishes)
    kind = _files_kind(path)
    if kind != negatives.FORMAT:
        return _READERS[kind](path, wishes)
    labels = yolo.labels_of(path)
    if labels is not None:
        return yolo.read(labels, Wishes(path, wishes.classes))
    dataset = negatives.read(path)
    above = _labels_above(path, dataset.samples[0].picture)
    if above is not None:
        raise UsageError(
            mark("The pictures in “{path}” have labels in “{file}”."),
            mark("Name that file or its folder."),
            path=str(path),
            file=str(above),
        )
    return dataset


def _labels_above(path: Path, picture: Path) -> Path | None:
    """The labels further up that name pictures of the folder *path* (*picture* is one of them), if there are any."""
    folder = path.absolute()
    for place in (folder.parent, folder.parent.parent):
        for name in ("Annotations", "annotations"):
            for rest in (Path(picture.name), picture.absolute().relative_to(folder)):
                if (place / name / rest.with_suffix(".xml")).is_file():
                    return place / name
        files = [file for near in (place, *_label_folders(place)) for file in _texts_in(near)]
        for file in files[:100]:
            if sniff(file) not in _ONE_FILE and not _may_be_labels(file):
                continue
            for found in islice(_NAME.finditer(_head(file, None)), 20):
                if any(_lies_in(folder, start, found[0]) for start in (folder, place)):
                    return file
    return None


def _label_folders(place: Path) -> list[Path]:
    try:
        inner = sorted(entry for entry in place.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [entry for entry in inner if re.search("label|annot|split", entry.name, re.IGNORECASE)]


def _texts_in(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in _TEXTS and entry.is_file())
    except OSError:
        return []


_TEXTS = (".txt", ".json", ".jsonl", ".csv")
_NAME = re.compile(r"[^\s\"'#,]{1,300}\.(?:jpe?g|png|webp|bmp|tiff?)\b", re.IGNORECASE)


def _lies_in(folder: Path, start: Path, name: str) -> bool:
    found = inside(str(start), name)
    return found is not None and Path(found).is_relative_to(folder) and Path(found).is_file()


def _candidates(path: Path) -> Iterator[Path]:
    """Text and JSON files in *path* and in its folders, where label files of whole sets lie."""
    for folder in (path, *sorted(entry for entry in path.iterdir() if entry.is_dir())):
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        texts = [entry for entry in entries if entry.suffix.lower() in (".txt", ".json") and entry.is_file()]
        if len(texts) <= 40:  # more are those of single pictures
            yield from texts
        else:
            yield from (entry for entry in texts if re.search(r"label|bbx|annot|coco|_gt", entry.name, re.IGNORECASE))


def _files_kind(path: Path) -> str:
    """The format of a folder in which each picture has a file of its own; negatives where there is none."""
    unknown: Path | None = None
    found: set[str] = set()
    for file in walk(path):
        kind = sniff(file)
        if kind in (yolo.FORMAT, voc.FORMAT):
            found.add(kind)
            if len(found) > 1:
                break
        elif kind is None and unknown is None and _may_be_labels(file):
            unknown = file
    if len(found) > 1:
        raise UsageError(
            mark("“{path}” has labels in several formats: {names}."),
            mark("Name the folder of one of them."),
            path=str(path),
            names=", ".join(sorted(found)),
        )
    if found:
        return found.pop()
    if unknown is not None:
        # Pictures with labels that nobody understands must not be taken for pictures without faces.
        raise SourceUnreadable(
            mark("“{path}” holds “{name}”, which has no known format of labels."),
            _LOOKED_FOR,
            path=str(path),
            name=str(unknown.relative_to(path)),
        )
    return negatives.FORMAT


_COLUMNS = re.compile(r"(x|left|x_?min|x_?1|bbox|box|boxes|landmarks?)", re.IGNORECASE)


def _may_be_labels(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        columns = next(csv.reader([_head(file, 1)]), [])
        return any(_COLUMNS.fullmatch(column.strip()) for column in columns)
    if suffix == ".txt":
        return yolo.is_label(file) and bool(_head(file, 1))
    return suffix in (".json", ".jsonl", ".xml", ".mat")


def sniff(file: Path) -> str | None:
    """The format of a label file by its name and first lines, or None."""
    suffix = file.suffix.lower()
    if suffix == ".xml":
        return voc.FORMAT if "<annotation" in _head(file, 8) else None
    if suffix == ".json":
        return coco.FORMAT if re.search(r'"images"\s*:\s*\[', _head(file, None)) or _coco_keys(file) else None
    if suffix in (".yaml", ".yml"):
        return yolo.FORMAT if yolo.class_names(file, file.parent) else None
    if suffix == ".txt":
        return _sniff_text([line.strip() for line in _head(file, None).splitlines()[:50] if line.strip()])
    return None


def _coco_keys(file: Path) -> bool:
    """For a file whose images stand behind a long list of annotations."""
    return '"annotations"' in _head(file, None) and '"bbox"' in _head(file, None)


def _sniff_text(lines: list[str]) -> str | None:
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        words = line.split()
        name, ten = five_points.split(line)
        if line.startswith("#") and is_picture(line):
            return retinaface.FORMAT
        if is_picture(line) and len(words) < 11 and following.isdecimal():
            return wider.FORMAT
        if is_picture(name) and numbers(ten) is not None:
            return five_points.FORMAT
        if len(words) in (5, 15, 20) and numbers(words) is not None and words[0].isdecimal():
            return yolo.FORMAT
    return None


def _head(file: Path, lines: int | None) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_HEAD)
    except OSError:
        return ""
    text = data.decode("utf-8-sig", "replace")
    return text if lines is None else "\n".join(islice((line[:LONGEST_LINE] for line in text.splitlines()), lines))
