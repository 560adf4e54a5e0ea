"""COCO JSON: ``images``, ``annotations`` with ``bbox`` [x, y, w, h], ``categories``.

``keypoints`` are taken as landmarks when there are five of them and all are labelled. ``iscrowd`` boxes are ignored in
training. JSON has no lines to tell: findings name the number of the annotation in its list, from 1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfapp.datasets.reading import (
    LARGEST_NUMBER,
    Pictures,
    Wishes,
    choose_classes,
    landmarks_of,
    nothing_in,
    picture_folder,
    read_bytes,
)
from rfapp.datasets.samples import LINE, TWICE, Dataset, Faces, Findings
from rfapp.errors import SourceUnreadable
from rfapp.text import mark

FORMAT = "COCO JSON"


def read(path: Path, wishes: Wishes) -> Dataset:
    """Raises SourceNotFound, SourceUnreadable, SourceEmpty, and UsageError where it is not clear which category is
    the face."""
    content = load(path)
    findings = Findings()
    images = [(i, item) for i, item in enumerate(_list(content, "images"), 1) if _named(item, i, path, findings)]
    if not images:
        raise nothing_in(path)
    folder = picture_folder(path, [item["file_name"] for _, item in images], wishes)
    pictures = Pictures(folder, path, findings)
    by_id: dict[int | str, Faces | None] = {}
    for number, item in images:
        if item["id"] in by_id:
            findings.add(TWICE, path, number, mark("the image's id {id} was given before; left out"), id=item["id"])
            continue
        by_id[item["id"]] = pictures.named(item["file_name"], number, _size(item))
    names = {
        item["id"]: str(item.get("name", item["id"]))
        for item in _list(content, "categories")
        if isinstance(item, dict) and isinstance(item.get("id"), int | str)
    }
    annotations = list(enumerate(_list(content, "annotations"), 1))
    counts = Counter(_category(item, names) for _, item in annotations if isinstance(item, dict))
    chosen = choose_classes(counts, wishes, path, findings)
    for number, item in annotations:
        problem = _annotation(item, number, names, chosen, by_id)
        if problem:
            findings.add(LINE, path, number, problem)
    return Dataset(FORMAT, path, folder, pictures.samples(), findings)


def load(path: Path) -> Mapping[str, Any]:
    """The JSON object in *path*; raises SourceUnreadable where there is none."""
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceUnreadable(
            mark("The label file “{path}” is not JSON: {reason}."),
            mark("Export it once more."),
            path=str(path),
            reason=str(error)[:200],
        ) from None
    for key in ("images", "annotations"):
        # Without annotations it lists pictures whose faces nobody labelled: they must not pass for negatives.
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise SourceUnreadable(
                mark("“{path}” is JSON, but not COCO: it lacks the list “{key}”."),
                mark("COCO has images, annotations and categories."),
                path=str(path),
                key=key,
            )
    return dict(content)


def _list(content: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _named(item: Any, number: int, path: Path, findings: Findings) -> bool:
    good = isinstance(item, dict) and isinstance(item.get("id"), int | str) and isinstance(item.get("file_name"), str)
    if not good:
        findings.add(LINE, path, number, mark("the image lacks id or file_name; left out"))
    return good


def _size(item: Mapping[str, Any]) -> tuple[int, int] | None:
    size = _numbers([item.get("width"), item.get("height")])
    return (int(size[0]), int(size[1])) if size and min(size) >= 1 else None


def _category(item: Mapping[str, Any], names: Mapping[int | str, str]) -> str:
    key = item.get("category_id")
    return names.get(key, str(key)) if isinstance(key, int | str) else "?"


def _annotation(
    item: Any,
    number: int,
    names: Mapping[int | str, str],
    chosen: frozenset[str],
    by_id: Mapping[int | str, Faces | None],
) -> str:
    """Add the face; returns what is wrong with it, or nothing."""
    if not isinstance(item, dict):
        return mark("the annotation is no object; left out")
    if _category(item, names) not in chosen:
        return ""
    key = item.get("image_id")
    if not isinstance(key, int | str) or key not in by_id:
        return mark("the annotation belongs to no image; left out")
    box = _numbers(item.get("bbox"))
    if box is None or len(box) != 4:
        return mark("the annotation's bbox is not four numbers; left out")
    faces = by_id[key]
    if faces is not None:
        x, y, width, height = box
        crowd = item.get("iscrowd") not in (None, 0, False)
        faces.add((x, y, x + width, y + height), _points(item.get("keypoints")), ignore=crowd, line=number)
    return ""


def _points(value: Any) -> list[float] | None:
    """Five labelled points, from 15 numbers x, y, v (v = 0: not labelled) or 10 without v."""
    values = _numbers(value)
    if values is None or len(values) not in (10, 15):
        return None
    if len(values) == 10:
        return landmarks_of(values)
    seen = [flag - 1 if flag == 0 else flag for flag in values[2::3]]
    return landmarks_of([v for i, v in enumerate(values) if i % 3 < 2], seen)


def _numbers(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) > 1000:
        return None
    if not all(isinstance(v, int | float) and abs(v) <= LARGEST_NUMBER for v in value):
        return None  # NaN is not below any limit
    return [float(v) for v in value]
