"""Labelled pictures: readers for the usual formats, cleaning, checks. Knows neither torch nor Qt.

:func:`open_dataset` reads a label file or a folder, :func:`clean` leaves out what can't be learned from and says so,
:func:`summarise` counts what is left.
"""

from __future__ import annotations

from rfapp.datasets.cleaning import Cleaned, clean
from rfapp.datasets.opening import open_dataset
from rfapp.datasets.samples import Dataset, Finding, Findings, Sample
from rfapp.datasets.summary import Summary, summarise

__all__ = [
    "Cleaned",
    "Dataset",
    "Finding",
    "Findings",
    "Sample",
    "Summary",
    "clean",
    "open_dataset",
    "summarise",
]
