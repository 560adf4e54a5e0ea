"""The pictures of a run: read, cleaned, and divided into those to learn from and those to validate on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rfapp.datasets import Sample, clean, open_dataset
from rfapp.datasets.samples import LOST
from rfapp.errors import UsageError
from rfapp.text import mark
from rfapp.training.plan import Plan
from rfapp.training.validation import HeldOut, held_out_of, read_held_out, split


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """``training``: with and without faces. ``held_out``: None where nothing is validated."""

    training: tuple[Sample, ...]
    held_out: HeldOut | None


def gather(plan: Plan, say: Callable[[str], None]) -> Pictures:
    """Read what *plan* names, and say what was cleaned. Raises RfappError."""
    training: list[Sample] = []
    for path in plan.data:
        training += _read(path, say)
    if plan.validation == "none":
        held = None
    elif plan.validation:
        held = read_held_out(Path(plan.validation))
    else:
        training, kept = split(training, plan.seed)
        held = held_out_of(kept) if kept else None
        if held is None:
            say(mark("There are too few pictures to hold some out; nothing is validated."))
    for path in plan.negatives:
        training += _negatives(path, say)
    return Pictures(tuple(training), held)


def _read(path: Path, say: Callable[[str], None]) -> list[Sample]:
    dataset = open_dataset(path)
    cleaned = clean(dataset)
    counts = cleaned.findings.counts
    faces = sum(int((~sample.ignore).sum()) for sample in cleaned.samples)
    say(
        mark("{path}: {format}, {pictures} pictures, {faces} faces").format(
            path=path, format=dataset.format, pictures=len(cleaned.samples), faces=faces
        )
    )
    if counts:
        lost = sum(counts[kind] for kind in LOST)
        say(
            mark("{path}: findings: {count}, pictures left out: {lost}; “rfapp data check” lists them").format(
                path=path, count=counts.total(), lost=lost
            )
        )
    return list(cleaned.samples)


def _negatives(path: Path, say: Callable[[str], None]) -> list[Sample]:
    samples = _read(path, say)
    if any(len(sample) for sample in samples):
        raise UsageError(
            mark("“{path}” has labelled faces; --negatives is for pictures without faces."),
            mark("Name it with --data."),
            path=path,
        )
    return samples
