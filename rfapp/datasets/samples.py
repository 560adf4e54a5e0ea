"""What every label reader gives, whatever the format: pictures with their faces, and what was wrong with the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rfapp.frames import FloatArray

BoolArray = npt.NDArray[np.bool_]
LineNumbers = npt.NDArray[np.int32]

# Kinds of findings. Behind each: what becomes of it.
LINE = "line"  # a line that can't be understood: left out
COUNT = "count"  # a picture that announces another number of faces than it has: the lines there are taken
OTHER = "other"  # boxes of other classes than faces: left out
PATH = "path"  # a name that leads out of the folder of pictures: left out
MISSING = "missing"  # no such picture: left out
BROKEN = "broken"  # a picture that can't be decoded: left out
SIZE = "size"  # a picture of another size than the labels say: labels scaled, or the picture left out
TWICE = "twice"  # a picture or a box that is listed twice: once is enough
NO_AREA = "no-area"  # a box without width or height: left out
OUTSIDE = "outside"  # a box wholly outside its picture: left out
CLIPPED = "clipped"  # a box that reaches beyond its picture: cut at the edge
LANDMARKS = "landmarks"  # points that can't belong to their box: taken as unknown
EMPTY = "empty"  # labels in which no picture has a face: kept as pictures without faces
ORDER = "order"  # landmarks that look mirrored in most faces: kept, but look at them

#: Findings that stand for pictures that are lost.
LOST = (PATH, MISSING, BROKEN)

#: More findings than these are counted, but not kept: a file of nothing but rubbish must not fill the memory.
KEPT_FINDINGS = 100_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: of which ``kind``, in which ``file`` and ``line`` (from 1; 0: the file as a whole).

    The reason is a template in the manner of :meth:`str.format` with its values, so that the window can translate it.
    """

    kind: str
    file: str
    line: int
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """What is wrong and what became of it, a sentence without its full stop."""
        return self.template.format(**self.values)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """``{"kind", "file", "line", "reason"}``, as written to JSON."""
        return {"kind": self.kind, "file": self.file, "line": self.line, "reason": self.reason}


class Findings:
    """Collects findings in the order in which they are made; counts all, keeps the first 100,000."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()
        for finding in findings:
            self.append(finding)

    def add(self, kind: str, file: Path | str, line: int, template: str, **values: Any) -> None:
        """Note that *line* of *file* has a fault."""
        plain = {name: _printable(value) if isinstance(value, str) else value for name, value in values.items()}
        self.append(Finding(kind, _printable(str(file)), int(line), template, plain))

    def append(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        if len(self.kept) < KEPT_FINDINGS:
            self.kept.append(finding)

    def extend(self, other: Findings) -> None:
        """Take over all of *other*, also the number of those that it did not keep."""
        self.counts.update(other.counts)
        self.kept.extend(other.kept[: max(0, KEPT_FINDINGS - len(self.kept))])

    def __len__(self) -> int:
        return sum(self.counts.values())


def _printable(text: str, longest: int = 200) -> str:
    """*text* on one line, without what a terminal would obey, and cut when it is very long."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return plain if len(plain) <= longest else plain[:longest] + "…"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture and its faces.

    ``boxes``: float32 N×4, x1, y1, x2, y2: the edges, in pixels of the upright picture; pixel k reaches from k to k+1.
    ``landmarks``: float32 N×5×2 (left eye, right eye, nose, left and right corner of the mouth as seen in the picture);
    0 where unknown. ``known``: bool N, whether a face has landmarks. ``ignore``: bool N, faces that count neither as
    face nor as background (marked invalid, difficult, or a crowd by the labels).
    ``label_file`` and ``line``: where the picture stands; None and 0 in a folder without labels. ``lines``: int32 N,
    the line of each face. ``size``: width and height that the labels refer to, or None where they do not say;
    after cleaning those of the picture itself.
    """

    picture: Path
    boxes: FloatArray
    landmarks: FloatArray
    known: BoolArray
    ignore: BoolArray
    lines: LineNumbers
    label_file: Path | None = None
    line: int = 0
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        shapes = {"boxes": (count, 4), "landmarks": (count, 5, 2), "known": (count,), "ignore": (count,)}
        for name, shape in {**shapes, "lines": (count,)}.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of {count} faces must be {shape}, not {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def negative(cls, picture: Path, label_file: Path | None = None, line: int = 0) -> Sample:
        """A picture without faces."""
        return Faces().sample(picture, label_file, line, None)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What was read: the ``format`` by its name, the label file or folder (``path``), the folder of the pictures, the
    samples as the labels have them (see :func:`rfapp.datasets.clean`), and what was wrong with the labels.
    ``estimated``: the boxes stand in no label, but were estimated from landmarks."""

    format: str
    path: Path
    pictures: Path
    samples: tuple[Sample, ...]
    findings: Findings
    estimated: bool = False

    def __len__(self) -> int:
        return len(self.samples)


class Faces:
    """The faces of one picture while its labels are read."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, float, float, float]] = []
        self._points: list[list[float] | None] = []
        self._ignore: list[bool] = []
        self._lines: list[int] = []

    def add(
        self,
        box: tuple[float, float, float, float],
        points: list[float] | None = None,
        *,
        ignore: bool = False,
        line: int = 0,
    ) -> None:
        """*box* as x1, y1, x2, y2; *points* as ten numbers x, y, …, or None where they are unknown."""
        self._boxes.append(box)
        self._points.append(points)
        self._ignore.append(ignore)
        self._lines.append(line)

    def sample(self, picture: Path, label_file: Path | None, line: int, size: tuple[int, int] | None) -> Sample:
        points = [row if row is not None else [0.0] * 10 for row in self._points]
        return Sample(
            picture,
            np.array(self._boxes, np.float32).reshape(-1, 4),
            np.array(points, np.float32).reshape(-1, 5, 2),
            np.array([row is not None for row in self._points], np.bool_),
            np.array(self._ignore, np.bool_),
            np.array(self._lines, np.int32),
            label_file,
            line,
            size,
        )
