"""RetinaFace's ``label.txt``: ``# folder/picture.jpg``, then a line for each face.

A line is ``x y w h``, or that with ``x y flag`` five times and the blur (20 numbers, or 19 without it). Numbers are
pixels; landmarks are unknown where the flag or the points are −1. A picture without lines has no face.
"""

from __future__ import annotations

from pathlib import Path

from rfapp.datasets.reading import Pictures, Wishes, landmarks_of, nothing_in, numbers, picture_folder, read_lines
from rfapp.datasets.samples import LINE, Dataset, Faces, Findings
from rfapp.text import mark

FORMAT = "RetinaFace label.txt"


def read(path: Path, wishes: Wishes) -> Dataset:
    """Raises SourceNotFound, SourceUnreadable, and SourceEmpty where it names no picture."""
    findings = Findings()
    lines = list(read_lines(path))
    names = [text[1:].strip() for _, text in lines if text.startswith("#")]
    if not names:
        raise nothing_in(path)
    folder = picture_folder(path, names, wishes)
    pictures = Pictures(folder, path, findings)
    faces: Faces | None = None
    named = False
    for line, text in lines:
        if text.startswith("#"):
            faces, named = pictures.named(text[1:].strip(), line), True
        elif faces is not None:
            _face(faces, text, line, path, findings)
        elif not named:
            findings.add(LINE, path, line, mark("stands before the first “# picture”; left out"))
    return Dataset(FORMAT, path, folder, pictures.samples(), findings)


def _face(faces: Faces, text: str, line: int, path: Path, findings: Findings) -> None:
    words = text.split()
    values = numbers(words)
    if len(words) not in (4, 5, 19, 20):
        findings.add(
            LINE, path, line, mark("{count} words, where a face has 4, 19 or 20 numbers; left out"), count=len(words)
        )
    elif values is None:
        findings.add(LINE, path, line, mark("not a number in “{text}”; left out"), text=text)
    else:
        x, y, width, height = values[:4]
        points = None
        if len(values) >= 19:
            triples = values[4:19]
            points = landmarks_of([v for i, v in enumerate(triples) if i % 3 < 2], triples[2::3])
        faces.add((x, y, x + width, y + height), points, line=line)
