"""From labels as they are written to labels that can be learned from; nothing is changed in silence."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rfapp.datasets import negatives
from rfapp.datasets.headers import picture_size
from rfapp.datasets.samples import (
    BROKEN,
    CLIPPED,
    EMPTY,
    LANDMARKS,
    MISSING,
    NO_AREA,
    ORDER,
    OUTSIDE,
    SIZE,
    TWICE,
    BoolArray,
    Dataset,
    Findings,
    Sample,
)
from rfapp.errors import RfappError, SourceNotFound
from rfapp.frames import FloatArray
from rfapp.sources.pictures import read_picture
from rfapp.text import mark

#: A box may reach beyond its picture by this much, in pixels, without a word: labels are rounded.
ROUNDING = 0.5
#: Landmarks further from their box than this, in sides of the box, belong to another face or to none.
FAR = 1.0
#: From this many faces with landmarks on their order is judged.
ENOUGH = 5


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """``samples``: what can be learned from; the boxes of each lie inside its picture and have an area, ``size`` is
    that of the picture. ``findings``: those of the labels, and what was changed or left out here."""

    samples: tuple[Sample, ...]
    findings: Findings


def clean(
    dataset: Dataset, *, decode: bool = False, progress: Callable[[int], None] = lambda count: None, threads: int = 0
) -> Cleaned:
    """Leave out what can't be learned from, and say so.

    Pictures that are missing or broken; boxes without area, outside their picture, or listed twice; landmarks far
    from their box. Boxes are cut at the edges. With *decode* every picture is decoded whole; else only headers are
    read, and a picture that is damaged further on is noticed when it is trained on. *progress* is called with the
    number of pictures that are done; *threads*: 0 means one for each core, at most 8.
    """
    findings = Findings()
    findings.extend(dataset.findings)
    kept: list[Sample] = []
    inspect = _decoded if decode else _header
    for count, (sample, picture) in enumerate(_inspected(dataset.samples, inspect, threads), 1):
        cleaned = _clean(sample, picture, findings, silent=dataset.estimated)
        if cleaned is not None:
            kept.append(cleaned)
        progress(count)
    _judge_order(dataset, kept, findings)
    if dataset.format != negatives.FORMAT and not any(len(sample) for sample in dataset.samples):
        text = mark("none of the {count} pictures has a face; kept as pictures without faces")
        findings.add(EMPTY, dataset.path, 0, text, count=len(dataset))
    return Cleaned(tuple(kept), findings)


@dataclass(frozen=True, slots=True)
class _Picture:
    size: tuple[int, int] | None
    error: RfappError | None = None


def _inspected(
    samples: Sequence[Sample], inspect: Callable[[Sample], _Picture], threads: int
) -> Iterator[tuple[Sample, _Picture]]:
    """In order; a few pictures ahead and not all of them, so that Ctrl-C ends at once."""
    workers = threads or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[Sample, Future[_Picture]]] = deque()
        for sample in samples:
            ahead.append((sample, pool.submit(inspect, sample)))
            if len(ahead) > 4 * workers:
                first, picture = ahead.popleft()
                yield first, picture.result()
        for first, picture in ahead:
            yield first, picture.result()


def _header(sample: Sample) -> _Picture:
    try:
        if not os.path.isfile(sample.picture):
            raise SourceNotFound(mark("There is no file “{path}”."), path=str(sample.picture))
        return _Picture(picture_size(sample.picture))
    except RfappError as error:
        return _Picture(None, error)


def _decoded(sample: Sample) -> _Picture:
    first = _header(sample)
    if first.error is not None:
        return first
    try:
        image = read_picture(sample.picture)
        return _Picture((image.shape[1], image.shape[0]))
    except RfappError as error:
        return _Picture(None, error)


def _clean(sample: Sample, picture: _Picture, findings: Findings, *, silent: bool) -> Sample | None:
    file, line = sample.label_file or sample.picture, sample.line
    if picture.error is not None or picture.size is None:
        kind = MISSING if isinstance(picture.error, SourceNotFound) else BROKEN
        text = mark("there is no picture “{path}”; left out") if kind == MISSING else mark("{reason} It is left out")
        reason = picture.error.message if picture.error is not None else ""
        findings.add(kind, file, line, text, path=str(sample.picture), reason=reason)
        return None
    scaled = _to_size(sample, picture.size, findings)
    return None if scaled is None else _Boxes(scaled, picture.size, findings, silent=silent).cleaned()


def _to_size(sample: Sample, size: tuple[int, int], findings: Findings) -> Sample | None:
    """The sample with labels in pixels of the picture as it is, or None where they were made for another one."""
    stated = sample.size
    if stated is None or stated == size or not len(sample):
        return replace(sample, size=size)
    scale = np.array([size[0] / stated[0], size[1] / stated[1]], np.float64)
    values: dict[str, Any] = {"width": size[0], "height": size[1], "stated": f"{stated[0]} × {stated[1]}"}
    file = sample.label_file or sample.picture
    # Rounding to whole pixels, half a pixel or one a side, is no change of proportions.
    if abs(size[0] * stated[1] - size[1] * stated[0]) > stated[0] + stated[1]:
        findings.add(
            SIZE,
            file,
            sample.line,
            mark("the picture is {width} × {height}, the labels are for {stated}; left out"),
            **values,
        )
        return None
    findings.add(
        SIZE,
        file,
        sample.line,
        mark("the picture is {width} × {height}, the labels are for {stated}; scaled"),
        **values,
    )
    boxes = (sample.boxes * np.tile(scale, 2)).astype(np.float32)
    return replace(sample, boxes=boxes, landmarks=(sample.landmarks * scale).astype(np.float32), size=size)


class _Boxes:
    """Cleans the boxes of one sample."""

    def __init__(self, sample: Sample, size: tuple[int, int], findings: Findings, *, silent: bool) -> None:
        self._sample = sample
        self._file = sample.label_file or sample.picture
        self._size = size
        self._limit = np.array([*size, *size], np.float32)
        self._findings = findings
        self._silent = silent

    def cleaned(self) -> Sample:
        sample = self._sample
        if not len(sample):
            return sample
        boxes = np.clip(sample.boxes, np.float32(0), self._limit)
        keep = self._with_area() & self._inside(boxes)
        self._say_clipped(sample.boxes, boxes, keep)
        keep &= self._once(boxes, keep)
        known = self._near(sample.boxes, keep)
        landmarks = np.where(known[:, None, None], sample.landmarks, np.float32(0))
        return replace(
            sample,
            boxes=boxes[keep],
            landmarks=landmarks[keep],
            known=known[keep],
            ignore=sample.ignore[keep],
            lines=sample.lines[keep],
        )

    def _add(self, kind: str, row: int, text: str, boxes: FloatArray, **values: Any) -> None:
        shown = ", ".join(f"{v:g}" for v in np.round(boxes[row].astype(np.float64), 2))
        line = int(self._sample.lines[row]) or self._sample.line
        self._findings.add(kind, self._file, line, text, box=shown, **values)

    def _with_area(self) -> BoolArray:
        boxes = self._sample.boxes
        good = np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        for row in np.flatnonzero(~good).tolist():
            self._add(NO_AREA, row, mark("the box x1, y1, x2, y2 = {box} has no area; left out"), boxes)
        return good

    def _inside(self, clipped: FloatArray) -> BoolArray:
        boxes = self._sample.boxes
        good = np.asarray((clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1]))
        whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        for row in np.flatnonzero(whole & ~good).tolist():
            self._add(
                OUTSIDE,
                row,
                mark("the box {box} lies outside the picture of {width} × {height}; left out"),
                boxes,
                width=self._size[0],
                height=self._size[1],
            )
        return good

    def _say_clipped(self, boxes: FloatArray, clipped: FloatArray, keep: BoolArray) -> None:
        if self._silent:
            return
        for row in np.flatnonzero(keep & (np.abs(boxes - clipped).max(axis=1) > ROUNDING)).tolist():
            self._add(
                CLIPPED,
                row,
                mark("the box {box} reaches beyond the picture of {width} × {height}; cut at the edge"),
                boxes,
                width=self._size[0],
                height=self._size[1],
            )

    def _once(self, boxes: FloatArray, keep: BoolArray) -> BoolArray:
        """Of equal boxes the first with landmarks is kept, or else the first."""
        once = np.ones(len(boxes), np.bool_)
        if len(boxes) < 2:
            return once
        known = self._sample.known
        first: dict[bytes, int] = {}
        for row in sorted(np.flatnonzero(keep).tolist(), key=lambda row: (not known[row], row)):
            key = self._sample.boxes[row].tobytes()
            if key in first:
                once[row] = False
                of = int(self._sample.lines[first[key]])
                self._add(TWICE, row, mark("the box {box} stands in line {first} as well; left out"), boxes, first=of)
            else:
                first[key] = row
        return once

    def _near(self, boxes: FloatArray, keep: BoolArray) -> BoolArray:
        known = self._sample.known.copy()
        reach = FAR * (boxes[:, 2:] - boxes[:, :2])
        low, high = (boxes[:, :2] - reach)[:, None], (boxes[:, 2:] + reach)[:, None]
        points = self._sample.landmarks
        far = ((points < low) | (points > high)).any(axis=(1, 2))
        for row in np.flatnonzero(known & far & keep).tolist():
            self._add(LANDMARKS, row, mark("the landmarks lie far from the box {box}; taken as unknown"), boxes)
        return np.asarray(known & ~far)


def _judge_order(dataset: Dataset, samples: Sequence[Sample], findings: Findings) -> None:
    """Left and right are meant as seen in the picture; other data sets mean the person's own left."""
    points = [sample.landmarks[sample.known] for sample in samples if sample.known.any()]
    if not points:
        return
    every = np.concatenate(points)
    swapped = int(np.sum((every[:, 0, 0] > every[:, 1, 0]) & (every[:, 3, 0] > every[:, 4, 0])))
    if len(every) >= ENOUGH and swapped > len(every) / 2:
        findings.add(
            ORDER,
            dataset.path,
            0,
            mark("in {swapped} of {count} faces the left eye is right of the right one; kept"),
            swapped=swapped,
            count=len(every),
        )
