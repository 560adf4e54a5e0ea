"""Crops with five points and no boxes: ``folder/picture.jpg x1 y1 x2 y2 x3 y3 x4 y4 x5 y5`` a line, in pixels.

The box is estimated from the points. With the middle q of eyes and corners of the mouth, the vector u from the middle
of the mouth to the middle of the eyes, the nose n seen from q, and the distance e of the eyes:

    centre = q + 0.11 u − 0.86 n,  width = 0.98 e + 1.07 |u| + 0.77 |n|,  height = 0.51 e + 2.00 |u| + 0.72 |n|

(the further the head is turned, the further the nose is from q, and the box reaches to the other side). The factors
are a least-squares fit to 2,340 faces of WIDER FACE's training set of at least 16 px; the estimate overlaps their
boxes with a median IoU of 0.76. It is cut at the edge of the picture without a finding: it is no label.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rfapp.datasets.reading import Pictures, Wishes, landmarks_of, nothing_in, numbers, picture_folder, read_lines
from rfapp.datasets.samples import LINE, Dataset, Findings
from rfapp.sources.kinds import is_picture
from rfapp.text import mark

FORMAT = "five-point crops"


def read(path: Path, wishes: Wishes) -> Dataset:
    """Raises SourceNotFound, SourceUnreadable, and SourceEmpty where it names no picture."""
    findings = Findings()
    lines = [(line, text, *split(text)) for line, text in read_lines(path)]
    names = [name for *_, name, _ in lines if is_picture(name)]
    if not names:
        raise nothing_in(path)
    folder = picture_folder(path, names, wishes)
    pictures = Pictures(folder, path, findings)
    for line, text, name, words in lines:
        if not is_picture(name):
            findings.add(LINE, path, line, mark("“{text}” is not a picture and ten numbers; left out"), text=text)
            continue
        values = numbers(words)
        points = None if values is None else landmarks_of(values)
        if points is None:
            findings.add(LINE, path, line, mark("the ten numbers of “{name}” are no landmarks; left out"), name=name)
            continue
        faces = pictures.named(name, line, again=True)
        if faces is not None:
            faces.add(box_of(points), points, line=line)
    return Dataset(FORMAT, path, folder, pictures.samples(), findings, estimated=True)


def split(text: str) -> tuple[str, list[str]]:
    """The picture's name, which may have spaces, and the ten words behind it."""
    name, *words = text.rsplit(None, 10)
    return (name, words) if len(words) == 10 else ("", [])


def box_of(points: list[float]) -> tuple[float, float, float, float]:
    """The box x1, y1, x2, y2 that a face with these landmarks (x, y five times) probably has."""
    p = np.array(points, np.float64).reshape(5, 2)
    eyes, mouth = (p[0] + p[1]) / 2, (p[3] + p[4]) / 2
    middle, up = (eyes + mouth) / 2, eyes - mouth
    nose = p[2] - middle
    apart, tall, turned = (float(np.hypot(*v)) for v in (p[1] - p[0], up, nose))
    x, y = (float(v) for v in middle + 0.11 * up - 0.86 * nose)
    width = 0.98 * apart + 1.07 * tall + 0.77 * turned
    height = 0.51 * apart + 2.00 * tall + 0.72 * turned
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
