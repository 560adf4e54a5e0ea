"""A folder of pictures without labels: none of them has a face."""

from __future__ import annotations

from pathlib import Path

from rfapp.datasets.samples import Dataset, Findings, Sample
from rfapp.errors import SourceEmpty
from rfapp.sources.kinds import is_picture, walk
from rfapp.text import mark

FORMAT = "negatives"


def read(path: Path) -> Dataset:
    """All pictures in the folder *path* and below. Raises SourceEmpty."""
    samples = tuple(Sample.negative(picture) for picture in walk(path) if is_picture(picture))
    if not samples:
        raise SourceEmpty(mark("There is no picture in the folder “{path}”."), path=str(path))
    return Dataset(FORMAT, path, path, samples, Findings())
