"""Detections on disk in the format of WIDER FACE: one text file a picture.

``EVENT/NAME.txt``: the picture's name, the number of boxes, then ``x y w h score`` a line, best first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from rfapp.errors import SourceNotFound, SourceUnreadable
from rfapp.evaluation.ground_truth import GroundTruth, Picture
from rfapp.frames import Detections, FloatArray
from rfapp.settings import write_whole
from rfapp.text import mark

#: Boxes N×5: x, y, width, height, score; float64, since published files have more digits than float32 holds.
Boxes = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def from_detections(faces: Detections) -> Boxes:
    """x, y, width, height, score out of corner boxes."""
    rows: FloatArray = np.column_stack([faces.boxes[:, :2], faces.boxes[:, 2:] - faces.boxes[:, :2], faces.scores])
    return rows.astype(np.float64)


def result_file(folder: Path, picture: Picture) -> Path:
    return folder / picture.event / f"{picture.name}.txt"


def write_result(folder: Path, picture: Picture, boxes: Boxes) -> None:
    """Write one picture's file whole, so that a half written one never counts as done."""
    lines = [f"{picture.name}.jpg", str(len(boxes))]
    lines += [f"{x:.3f} {y:.3f} {w:.3f} {h:.3f} {s:.6f}" for x, y, w, h, s in boxes.tolist()]
    write_whole(result_file(folder, picture), ("\n".join(lines) + "\n").encode())


def read_result(path: Path) -> Boxes:
    """One picture's boxes. Raises SourceUnreadable."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        count = int(lines[1])
        rows = [[float(value) for value in line.split()] for line in lines[2 : 2 + count]]
        boxes = np.array(rows, np.float64).reshape(count, 5)
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise SourceUnreadable(
            mark("The result file “{path}” can't be read: {reason}."),
            mark("It must hold a name, a count, and so many lines “x y w h score”."),
            path=path,
            reason=error,
        ) from None
    return boxes[np.argsort(-boxes[:, 4], kind="stable")]


def read_results(
    folder: Path, truth: GroundTruth, progress: Callable[[int], None] = lambda count: None
) -> Mapping[str, Boxes]:
    """The boxes of every picture of *truth*, by ``Picture.key``; SourceNotFound names the first that is missing."""
    boxes = {}
    for count, picture in enumerate(truth.pictures):
        path = result_file(folder, picture)
        if not path.exists():
            raise SourceNotFound(
                mark("The results in “{folder}” lack {missing}."),
                mark("Every picture needs its file, also one without faces."),
                folder=folder,
                missing=f"{picture.event}/{picture.name}.txt",
            )
        boxes[picture.key] = read_result(path)
        progress(count + 1)
    return boxes
