"""YOLO: a text file for each picture, a line for each box: ``class x y w h``, relative to the picture, x y the centre.

With five points the line goes on with x, y five times (15 numbers, negative: unknown) or with x, y, v five times
(20 numbers, v 0: not labelled). Labels lie beside the pictures, or in ``labels`` where the pictures are in ``images``.
A picture without a label file, or with an empty one, has no face. Names of classes are taken from ``data.yaml`` (or
another .yaml file), ``classes.txt`` or ``obj.names``; without them a class is called by its number.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rfapp.datasets.headers import readable_size
from rfapp.datasets.reading import Wishes, choose_classes, landmarks_of, numbers, read_lines
from rfapp.datasets.samples import LINE, MISSING, Dataset, Faces, Findings, Sample
from rfapp.errors import RfappError, SourceEmpty
from rfapp.sources.kinds import is_picture, natural, walk
from rfapp.text import mark

FORMAT = "YOLO txt"
LARGEST_TXT = 4 << 20
#: Text files that lie beside labels and are none.
NO_LABELS = frozenset({"classes.txt", "obj.names", "train.txt", "val.txt", "test.txt", "requirements.txt"})
_FOLDERS = {name: re.compile(rf"(.*[/\\])?{name}(?=[/\\])", re.IGNORECASE | re.DOTALL) for name in ("images", "labels")}


def is_label(path: Path) -> bool:
    """Whether the name may be that of a picture's labels."""
    name = path.name.casefold()
    return name.endswith(".txt") and name not in NO_LABELS and not name.startswith(("readme", "license", "licence"))


def labels_of(pictures: Path) -> Path | None:
    """The folder with the labels of the folder *pictures*, where that is ``images`` or lies in it."""
    folder = Path(_swapped(f"{pictures.absolute()}{os.sep}", "images", "labels"))
    if folder == pictures.absolute() or not folder.is_dir():
        return None
    return folder if any(is_label(file) for file in walk(folder)) else None


def _swapped(path: str, name: str, other: str) -> str:
    """*path* with its last folder *name* called *other*."""
    return _FOLDERS[name].sub(lambda found: (found[1] or "") + other, path, count=1)


def read(path: Path, wishes: Wishes) -> Dataset:
    """*path*: a folder, or its ``data.yaml``. Raises SourceEmpty, and UsageError where it is not clear which class is
    the face."""
    findings = Findings()
    root = path if path.is_dir() else path.parent
    files = [file for file in walk(root) if is_picture(file) or is_label(file)]
    start = wishes.pictures or root
    if wishes.pictures is None and not any(is_picture(file) for file in files):
        start = Path(_swapped(f"{root.absolute()}{os.sep}", "labels", "images"))
    pictures = [file for file in (files if start == root else walk(start)) if is_picture(file)]
    if not pictures:
        raise SourceEmpty(
            mark("There is no picture in the folder “{path}”."),
            mark("Name the folder of the pictures with --pictures."),
            path=str(start),
        )
    labels = {str(file): file for file in files if is_label(file)}
    rows = [(picture, _label_of(picture, root, start, labels)) for picture in pictures]
    used = {str(label) for _, label in rows if label is not None}
    for name in sorted(set(labels) - used, key=natural):
        findings.add(MISSING, name, 0, mark("there is no picture for these labels; left out"))
    read_rows = [(picture, label, [] if label is None else _rows(label, findings)) for picture, label in rows]
    names = class_names(path, root)
    chosen = _chosen(read_rows, names, wishes, root, findings)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        sizes = list(pool.map(_size_where_needed, read_rows))
    samples = tuple(
        _sample(picture, label, [row for row in found if row.kind in chosen], size)
        for (picture, label, found), size in zip(read_rows, sizes, strict=True)
    )
    return Dataset(FORMAT, path, start, samples, findings)


@dataclass(frozen=True, slots=True)
class _Row:
    kind: int
    box: tuple[float, float, float, float]  # relative: x1, y1, x2, y2
    points: list[float] | None
    line: int


_Read = tuple[Path, Path | None, list[_Row]]


def _label_of(picture: Path, root: Path, start: Path, labels: dict[str, Path]) -> Path | None:
    beside = picture.with_suffix(".txt")
    places = [str(beside), _swapped(str(beside), "images", "labels")]
    if start != root:  # pictures elsewhere: the same names below the labels' folder
        inner = beside.relative_to(start)
        places += [str(root / inner), str(root / "labels" / inner)]
    return next((labels[place] for place in places if place in labels), None)


def _rows(label: Path, findings: Findings) -> list[_Row]:
    rows: list[_Row] = []
    try:
        for line, text in read_lines(label, LARGEST_TXT):
            words = text.split()
            values = numbers(words)
            if len(words) not in (5, 15, 20):
                findings.add(
                    LINE,
                    label,
                    line,
                    mark("{count} words, where a box has 5, 15 or 20 numbers; left out"),
                    count=len(words),
                )
            elif values is None:
                findings.add(LINE, label, line, mark("not a number in “{text}”; left out"), text=text)
            elif values[0] < 0 or values[0] != int(values[0]):
                findings.add(LINE, label, line, mark("“{text}” is not the number of a class; left out"), text=words[0])
            elif max(abs(v) for v in values[1:5]) > 4:
                findings.add(LINE, label, line, mark("“{text}” is not relative to the picture; left out"), text=text)
            else:
                x, y, w, h = values[1:5]
                box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                rows.append(_Row(int(values[0]), box, _points(values[5:]), line))
    except RfappError as error:
        findings.add(LINE, label, 0, "{reason}", reason=error.message)
    return rows


def _points(values: list[float]) -> list[float] | None:
    if len(values) == 15:
        seen = [flag - 1 if flag == 0 else flag for flag in values[2::3]]
        return landmarks_of([v for i, v in enumerate(values) if i % 3 < 2], seen)
    return landmarks_of(values) if values else None


def _size_where_needed(row: _Read) -> tuple[int, int] | None:
    return readable_size(row[0]) if row[2] else None


def _sample(picture: Path, label: Path | None, rows: list[_Row], size: tuple[int, int] | None) -> Sample:
    """Pixels; a picture that can't be read keeps no boxes, and cleaning will say why and leave it out."""
    faces = Faces()
    if size is not None:
        width, height = size
        for row in rows:
            x1, y1, x2, y2 = row.box
            points = row.points and [v * (height if i % 2 else width) for i, v in enumerate(row.points)]
            faces.add((x1 * width, y1 * height, x2 * width, y2 * height), points, line=row.line)
    return faces.sample(picture, label, 0, None)


def _chosen(rows: list[_Read], names: dict[int, str], wishes: Wishes, root: Path, findings: Findings) -> frozenset[int]:
    kinds = Counter(row.kind for _, _, found in rows for row in found)
    counts: Counter[str] = Counter()
    for kind, count in kinds.items():
        counts[names.get(kind, str(kind))] += count
    wanted = frozenset(wishes.classes)
    by_number = frozenset(kind for kind in kinds if str(kind) in wanted)
    if by_number:
        return by_number
    chosen = choose_classes(counts, wishes, root, findings)
    return frozenset(kind for kind in kinds if names.get(kind, str(kind)) in chosen)


def class_names(path: Path, root: Path) -> dict[int, str]:
    """Number → name of the classes, from the files in which such sets keep them; empty where there are none."""
    candidates = [path] if path.is_file() else []
    for folder in (root, root / "labels", *root.absolute().parents[:2]):
        for pattern in ("data.yaml", "dataset.yaml", "*.yaml", "*.yml"):
            candidates += sorted(folder.glob(pattern))
        candidates += [folder / "classes.txt", folder / "obj.names"]
    for file in candidates:
        if not file.is_file():
            continue
        try:
            lines = [text for _, text in read_lines(file, LARGEST_TXT)]
        except RfappError:
            continue
        names = _yaml_names(lines) if file.suffix in (".yaml", ".yml") else dict(enumerate(lines))
        if names:
            return names
    return {}


_NAMES = re.compile(r"names\s*:\s*(.*)")
_ENTRY = re.compile(r"""(?:-|(\d{1,5})\s*:)\s*["']?([^"'#]*)""")


def _yaml_names(lines: list[str]) -> dict[int, str]:
    """``names: [a, b]``, ``names: {0: a}``, and a list or mapping on the lines below: what YOLO's tools write."""
    found: dict[int, str] = {}
    start = next((i for i, text in enumerate(lines) if _NAMES.match(text)), None)
    if start is None:
        return found
    first = _NAMES.match(lines[start])
    rest = first[1].partition(" #")[0].strip() if first else ""
    if rest:
        inline = " ".join([rest, *lines[start + 1 :]]) if rest[0] in "[{" else rest
        body = re.match(r"[\[{]([^\]}]*)[\]}]", inline)
        for number, item in enumerate(body[1].split(",") if body else []):
            key, colon, name = item.rpartition(":")
            index = int(key) if colon and key.strip().isdigit() and len(key) < 8 else number
            found[index] = (name if colon else item).strip(" \t\"'")
        return {index: name for index, name in found.items() if name}
    for text in lines[start + 1 :]:
        entry = _ENTRY.match(text)
        if entry is None:
            break
        found[int(entry[1]) if entry[1] else len(found)] = entry[2].strip()
    return found
