"""WIDER FACE's ``wider_face_train_bbx_gt.txt``: picture, number of faces, a line for each.

A face's line is ``x y w h blur expression illumination invalid occlusion pose``. Faces marked invalid are ignored in
training. A picture without faces has the number 0 and one line of zeros.
"""

from __future__ import annotations

from pathlib import Path

from rfapp.datasets.reading import Pictures, Wishes, nothing_in, numbers, picture_folder, read_lines
from rfapp.datasets.samples import COUNT, LINE, Dataset, Faces, Findings
from rfapp.sources.kinds import is_picture
from rfapp.text import mark

FORMAT = "WIDER FACE bbx_gt.txt"
_INVALID = 7


def read(path: Path, wishes: Wishes) -> Dataset:
    """Raises SourceNotFound, SourceUnreadable, and SourceEmpty where it names no picture."""
    findings = Findings()
    lines = list(read_lines(path))
    names = [text for _, text in lines if is_picture(text)]
    if not names:
        raise nothing_in(path)
    folder = picture_folder(path, names, wishes)
    reader = _Reader(path, Pictures(folder, path, findings), findings)
    for line, text in lines:
        reader.take(line, text)
    reader.end()
    return Dataset(FORMAT, path, folder, reader.pictures.samples(), findings)


class _Reader:
    """Goes by what a line looks like and not by the announced number, so that one lost line costs one face."""

    def __init__(self, path: Path, pictures: Pictures, findings: Findings) -> None:
        self.pictures = pictures
        self._path = path
        self._findings = findings
        self._faces: Faces | None = None
        self._named = 0
        self._announced: int | None = None
        self._taken = 0

    def take(self, line: int, text: str) -> None:
        words = text.split()
        if is_picture(text):
            self.end()
            self._faces = self.pictures.named(text, line)
            self._named, self._announced, self._taken = line, None, 0
        elif not self._named:
            self._findings.add(LINE, self._path, line, mark("stands before the first picture; left out"))
        elif len(words) == 1:
            self._number(line, text)
        elif len(words) not in (4, 10):
            self._findings.add(
                LINE, self._path, line, mark("{count} words, where a face has 10 numbers; left out"), count=len(words)
            )
            self._taken += 1
        else:
            self._face(line, words)

    def _number(self, line: int, text: str) -> None:
        if self._announced is None and text.isascii() and text.isdigit() and len(text) < 8:
            self._announced = int(text)
        else:
            self._findings.add(
                LINE, self._path, line, mark("“{text}” is neither a picture nor a face; left out"), text=text
            )

    def _face(self, line: int, words: list[str]) -> None:
        values = numbers(words)
        if self._announced == 0 and values is not None and not any(values):
            return  # the line of zeros of a picture without faces
        self._taken += 1
        if values is None:
            self._findings.add(LINE, self._path, line, mark("not a number in “{text}”; left out"), text=" ".join(words))
        elif self._faces is not None:
            x, y, width, height = values[:4]
            invalid = len(values) > _INVALID and values[_INVALID] != 0
            self._faces.add((x, y, x + width, y + height), ignore=invalid, line=line)

    def end(self) -> None:
        """The picture's lines are over."""
        if self._faces is not None and self._announced != self._taken:
            self._findings.add(
                COUNT,
                self._path,
                self._named,
                mark("announces {announced} faces and has {taken}; those that are there are taken"),
                announced="no number of" if self._announced is None else self._announced,
                taken=self._taken,
            )
