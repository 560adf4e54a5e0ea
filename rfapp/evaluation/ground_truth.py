"""The labelled pictures of WIDER FACE, from the official ``.mat`` files or from a ``.jsonl`` with the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rfapp.errors import EngineMissing, SourceNotFound, SourceUnreadable
from rfapp.text import mark

#: The protocol's three levels of difficulty, by the height and the visibility of faces.
LEVELS = ("easy", "medium", "hard")
_MAT_FILES = {"faces": "wider_face_val.mat", **{level: f"wider_{level}_val.mat" for level in LEVELS}}

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture. ``boxes``: int32 N×4, x, y, width, height in pixels. ``counted``: level → the indices of the boxes
    that count there; all others are ignored (neither hit nor false). ``file`` is relative to the folder of pictures.
    """

    event: str
    name: str
    file: str
    boxes: npt.NDArray[np.int32]
    counted: Mapping[str, Indices]

    @property
    def key(self) -> str:
        """``event/name`` without an ending, as result files are named."""
        return f"{self.event}/{self.name}"


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """All pictures, and the folder that ``Picture.file`` is relative to when the user names none."""

    pictures: tuple[Picture, ...]
    folder: Path

    def faces(self, level: str) -> int:
        """How many faces count at *level*."""
        return sum(len(picture.counted[level]) for picture in self.pictures)


def read_ground_truth(path: Path) -> GroundTruth:
    """From a folder with the four official ``.mat`` files, or from a ``.jsonl`` file with one picture a line
    (``file``, ``event``, ``boxes`` [[x, y, w, h], …], ``easy``, ``medium``, ``hard``: indices of boxes from 0).

    Raises SourceNotFound or SourceUnreadable.
    """
    if path.is_dir():
        return _read_mat(path)
    if not path.exists():
        raise SourceNotFound(
            mark("There is no ground truth “{path}”."),
            mark("Name the folder of the official .mat files, or a .jsonl file."),
            path=path,
        )
    return _read_jsonl(path)


def _read_jsonl(path: Path) -> GroundTruth:
    pictures = []
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    pictures.append(_picture(json.loads(line)))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SourceUnreadable(
            mark("The ground truth “{path}” can't be read: line {number}: {reason}."),
            mark("Each line must be JSON with file, event, boxes, easy, medium and hard."),
            path=path,
            number=number,
            reason=f"{type(error).__name__} {error}".strip(),
        ) from None
    if not pictures:
        raise SourceUnreadable(mark("The ground truth “{path}” names no picture."), path=path)
    return GroundTruth(tuple(pictures), path.parent)


def _picture(item: Mapping[str, Any]) -> Picture:
    boxes = np.array(item["boxes"], np.int32).reshape(-1, 4)
    counted = {level: np.array(item[level], np.int64).reshape(-1) for level in LEVELS}
    for indices in counted.values():
        if indices.size and (indices.min() < 0 or indices.max() >= len(boxes)):
            raise IndexError("a counted face has no box")
    file = str(item["file"])
    return Picture(str(item["event"]), Path(file).stem, file, boxes, counted)


def _read_mat(folder: Path) -> GroundTruth:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        raise EngineMissing(
            mark("Reading .mat files needs scipy, which is not installed."), mark("Install it: pip install scipy")
        ) from None
    content = {}
    for what, file in _MAT_FILES.items():
        path = folder / file
        if not path.exists():
            raise SourceNotFound(
                mark("“{folder}” lacks {file}."),
                mark("It must hold the four official files of WIDER FACE's evaluation."),
                folder=folder,
                file=file,
            )
        try:
            content[what] = loadmat(path)
        except Exception as error:  # scipy raises whatever its parser stumbles over
            raise SourceUnreadable(mark("“{path}” can't be read: {reason}."), path=path, reason=error) from None
    faces = content["faces"]
    pictures = []
    for number, event_cell in enumerate(faces["event_list"][:, 0]):
        event = str(event_cell[0])
        names = faces["file_list"][number, 0]
        boxes = faces["face_bbx_list"][number, 0]
        counted = {level: content[level]["gt_list"][number, 0] for level in LEVELS}
        for row in range(len(names)):
            name = str(names[row, 0][0])
            pictures.append(
                Picture(
                    event,
                    name,
                    f"{event}/{name}.jpg",
                    np.asarray(boxes[row, 0], np.int32).reshape(-1, 4),
                    {level: np.asarray(lists[row, 0], np.int64).reshape(-1) - 1 for level, lists in counted.items()},
                )
            )
    return GroundTruth(tuple(pictures), folder)
