"""What a set of labelled pictures consists of, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfapp.datasets.cleaning import Cleaned
from rfapp.datasets.samples import KEPT_FINDINGS, LOST, Dataset, Findings

#: Faces are counted by the long side of their boxes: below 8 px, from 8 to below 16, …, from 512 on.
EDGES = (8, 16, 32, 64, 128, 256, 512)
#: The size at which a live picture is usually searched.
LIVE_SIZE = 640


@dataclass(frozen=True, slots=True)
class Summary:
    """``pictures``: how many are listed; ``usable``: those that are left after cleaning; ``negatives``: usable ones
    without a face. ``faces``, ``with_landmarks``, ``ignored``: of the usable pictures. ``lost``: findings that stand
    for missing or broken pictures. ``native`` and ``at_640``: faces that are not ignored by long side, as they are
    and with the picture's long side scaled to 640 px; one bucket more than EDGES. ``picture_long_side``: smallest,
    median and largest, or None without pictures."""

    format: str
    path: str
    pictures: int
    usable: int
    negatives: int
    faces: int
    with_landmarks: int
    ignored: int
    lost: int
    native: tuple[int, ...]
    at_640: tuple[int, ...]
    picture_long_side: tuple[int, int, int] | None
    findings: Findings

    def to_dict(self) -> dict[str, Any]:
        """The interface of ``rfapp data check --json``."""
        sizes = self.picture_long_side
        return {
            "path": self.path,
            "format": self.format,
            "pictures": self.pictures,
            "usable": self.usable,
            "negatives": self.negatives,
            "lost": self.lost,
            "faces": self.faces,
            "with_landmarks": self.with_landmarks,
            "ignored": self.ignored,
            "picture_long_side": None if sizes is None else dict(zip(("min", "median", "max"), sizes, strict=True)),
            "face_long_side": {"edges": list(EDGES), "native": list(self.native), "at_640": list(self.at_640)},
            "findings_by_kind": dict(self.findings.counts.most_common()),
            "findings": [finding.to_dict() for finding in self.findings.kept],
            "findings_left_out": max(0, len(self.findings) - KEPT_FINDINGS),
        }


def summarise(dataset: Dataset, cleaned: Cleaned) -> Summary:
    """The numbers of *dataset* after cleaning."""
    native: list[float] = []
    live: list[float] = []
    long_sides = []
    for sample in cleaned.samples:
        assert sample.size is not None  # cleaning sets it
        long_sides.append(max(sample.size))
        boxes = sample.boxes[~sample.ignore]
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) if len(boxes) else np.zeros(0, np.float32)
        native.extend(sides.tolist())
        live.extend((sides * (LIVE_SIZE / max(sample.size))).tolist())
    ignored = sum(int(sample.ignore.sum()) for sample in cleaned.samples)
    return Summary(
        dataset.format,
        str(dataset.path),
        pictures=len(dataset),
        usable=len(cleaned.samples),
        negatives=sum(not len(sample) for sample in cleaned.samples),
        faces=len(native),
        with_landmarks=sum(int((sample.known & ~sample.ignore).sum()) for sample in cleaned.samples),
        ignored=ignored,
        lost=sum(cleaned.findings.counts[kind] for kind in LOST),
        native=_histogram(native),
        at_640=_histogram(live),
        picture_long_side=_spread(long_sides),
        findings=cleaned.findings,
    )


def _histogram(sides: Sequence[float]) -> tuple[int, ...]:
    buckets = np.searchsorted(EDGES, np.array(sides, np.float64), side="right")
    return tuple(int(n) for n in np.bincount(buckets, minlength=len(EDGES) + 1))


def _spread(values: Sequence[int]) -> tuple[int, int, int] | None:
    return (min(values), int(np.median(values)), max(values)) if values else None
