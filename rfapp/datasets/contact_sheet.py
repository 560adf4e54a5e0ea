"""Many labelled pictures on one sheet: wrong labels are seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rfapp.datasets.samples import Sample
from rfapp.errors import RfappError
from rfapp.frames import ByteImage, Detections
from rfapp.sinks.drawing import draw
from rfapp.sources.pictures import read_picture

TILE = 256
CAPTION = 18
GAP = 6
PAPER = (30, 28, 26)
INK = (222, 220, 218)
IGNORED = (128, 128, 128)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Small pictures are enlarged, but not so far that pixels are all one sees.
_LARGEST_SCALE = 3.0
#: On smaller faces the points would hide the face.
_SHOW_LANDMARKS = 14


def contact_sheet(samples: Sequence[Sample], *, columns: int = 8, rows: int = 6) -> ByteImage:
    """Up to *columns* × *rows* of the cleaned *samples*, taken evenly, with boxes and landmarks drawn.

    Ignored faces are grey. Below each picture: its name, its size and how many faces it has.
    """
    count = min(len(samples), columns * rows)
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    columns = min(columns, max(count, 1))
    lines = max(1, -(-count // columns))
    height, width = TILE + CAPTION + GAP, TILE + GAP
    sheet = np.full((lines * height + GAP, columns * width + GAP, 3), PAPER, np.uint8)
    for place, sample in enumerate(chosen):
        top, left = GAP + place // columns * height, GAP + place % columns * width
        sheet[top : top + TILE + CAPTION, left : left + TILE] = _tile(sample)
    return sheet


def _tile(sample: Sample) -> ByteImage:
    tile = np.full((TILE + CAPTION, TILE, 3), PAPER, np.uint8)
    try:
        image = read_picture(sample.picture)
    except RfappError:
        _write(tile, f"{sample.picture.name}: broken")
        return tile
    height, width = image.shape[:2]
    scale = min(TILE / max(height, width), _LARGEST_SCALE)
    small = cv2.resize(
        image,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    drawn = _drawn(np.ascontiguousarray(small, np.uint8), sample, scale)
    top, left = (TILE - drawn.shape[0]) // 2, (TILE - drawn.shape[1]) // 2
    tile[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    faces = f"{len(sample)} faces" if len(sample) != 1 else "1 face"
    _write(tile, f"{width}x{height} {faces if len(sample) else 'no face'}  {sample.picture.name}")
    return tile


def _drawn(image: ByteImage, sample: Sample, scale: float) -> ByteImage:
    result = image.copy()
    for row in np.flatnonzero(sample.ignore):
        x1, y1, x2, y2 = (round(float(v) * scale) for v in sample.boxes[row])
        cv2.rectangle(result, (x1, y1), (x2, y2), IGNORED, 1)
    large = (sample.boxes[:, 2:] - sample.boxes[:, :2]).max(axis=1, initial=0) * scale >= _SHOW_LANDMARKS
    for points in (False, True):
        rows = np.flatnonzero(~sample.ignore & ((sample.known & large) == points))
        faces = Detections(
            sample.boxes[rows] * np.float32(scale),
            np.ones(len(rows), np.float32),
            sample.landmarks[rows] * np.float32(scale) if points else None,
        )
        result = draw(result, faces, scores=False)
    return result


def _write(tile: ByteImage, text: str) -> None:
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)  # all that OpenCV's letters have
    while len(plain) > 4 and cv2.getTextSize(plain, _FONT, 0.36, 1)[0][0] > TILE - 4:
        plain = plain[:-3] + ".." if not plain.endswith("..") else plain[:-4] + ".."
    cv2.putText(tile, plain, (2, TILE + CAPTION - 6), _FONT, 0.36, INK, 1, cv2.LINE_AA)
