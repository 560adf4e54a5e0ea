"""``rfapp data check``: what a set of labelled pictures consists of, and what is wrong with it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from rfapp.cli.main import DONE, FAILED
from rfapp.cli.options import add_output_arguments
from rfapp.cli.progress import counted
from rfapp.errors import OutputExists, UsageError
from rfapp.text import mark

if TYPE_CHECKING:
    from rfapp.datasets import Summary

#: So many findings are shown; the rest is counted. All of them are in ``--json``.
SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """check."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="count pictures and faces, and find what is wrong",
        description="Tells the format, counts pictures and faces, and finds missing and broken pictures and wrong "
        "labels. RetinaFace's label.txt, WIDER FACE's bbx_gt.txt, PASCAL VOC, YOLO, COCO, five-point crops and folders "
        "of pictures without faces are understood. Training leaves out what is found here, too.",
        allow_abbrev=False,
    )
    check.add_argument("path", metavar="PATH", type=Path, help="a label file, or the folder of a data set")
    check.add_argument("--pictures", type=Path, metavar="DIR", help="what the labels' names are relative to")
    check.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="NAME",
        help="the class that is a face, where none is called so (may be repeated)",
    )
    check.add_argument("--fast", action="store_true", help="read only the headers of pictures, decode none")
    check.add_argument("--contact-sheet", type=Path, metavar="FILE", help="write up to 48 pictures with their labels")
    check.add_argument("--force", action="store_true", help="write over an existing contact sheet")
    add_output_arguments(check)


def run(arguments: argparse.Namespace) -> int:
    """Do the chosen action."""
    from rfapp.datasets import clean, open_dataset, summarise

    sheet = arguments.contact_sheet
    if sheet is not None:
        _check_sheet(sheet, force=arguments.force)
    started = time.monotonic()
    dataset = open_dataset(arguments.path, pictures=arguments.pictures, classes=arguments.classes)
    text = mark("Reading headers") if arguments.fast else mark("Decoding pictures")
    with _silent_opencv(), counted(text, len(dataset), quiet=arguments.quiet) as progress:
        cleaned = clean(dataset, decode=not arguments.fast, progress=progress)
    summary = summarise(dataset, cleaned)
    if sheet is not None and cleaned.samples:
        from rfapp.datasets.contact_sheet import contact_sheet
        from rfapp.sinks.pictures import write_picture

        write_picture(sheet, contact_sheet(cleaned.samples))
    if arguments.json:
        print(json.dumps({**summary.to_dict(), "contact_sheet": str(sheet) if sheet else None}, ensure_ascii=False))
    else:
        _print(summary, time.monotonic() - started)
    return FAILED if summary.lost or not summary.usable else DONE


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """What OpenCV has to say about a broken picture stands among the findings."""
    import cv2

    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _check_sheet(sheet: Path, *, force: bool) -> None:
    if sheet.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
        raise UsageError(mark("A contact sheet is written as .jpg, .png or .webp, not “{file}”."), file=str(sheet))
    if sheet.exists() and not force:
        raise OutputExists(
            mark("“{path}” is there already."), mark("Choose another name, or add --force."), path=str(sheet)
        )


def _print(summary: Summary, seconds: float) -> None:
    print(f"{summary.path}: {summary.format}, checked in {seconds:.1f} s")
    print()
    _table(
        [
            ("pictures", summary.pictures),
            ("  usable", summary.usable),
            ("  without faces", summary.negatives),
            ("  missing or broken", summary.lost),
            ("faces", summary.faces),
            ("  with landmarks", summary.with_landmarks),
            ("ignored faces", summary.ignored),
        ]
    )
    if summary.picture_long_side is not None:
        print()
        _table(list(zip(("long side, smallest", "median", "largest"), summary.picture_long_side, strict=True)), "px")
    if summary.faces:
        _print_sizes(summary)
    _print_findings(summary)


def _table(rows: list[tuple[str, int]], unit: str = "") -> None:
    width = max(len(f"{value:,}") for _, value in rows)
    for name, value in rows:
        print(f"{name:<22}{value:>{max(width, 9)},} {unit}".rstrip())


def _print_sizes(summary: Summary) -> None:
    from rfapp.datasets.summary import EDGES

    names = [f"under {EDGES[0]} px"]
    names += [f"{low} to {high} px" for low, high in pairwise(EDGES)]
    names.append(f"{EDGES[-1]} px and more")
    print()
    print(f"{'faces by long side':<22}{'as is':>9}{'%':>7}{'at 640':>9}{'%':>7}")
    for name, native, live in zip(names, summary.native, summary.at_640, strict=True):
        shares = [f"{100 * count / summary.faces:.1f}" for count in (native, live)]
        print(f"{name:<22}{native:>9,}{shares[0]:>7}{live:>9,}{shares[1]:>7}")


def _print_findings(summary: Summary) -> None:
    findings = summary.findings
    print()
    if not len(findings):
        print("Nothing is wrong.")
        return
    print("findings")
    for kind, count in findings.counts.most_common():
        print(f"  {kind:<20}{count:>9,}")
    print()
    for finding in findings.kept[:SHOWN]:
        print(finding)
    if len(findings) > SHOWN:
        print(f"and {len(findings) - SHOWN:,} more; --json lists all.")
    sys.stdout.flush()
