"""``rfapp doctor``: what is installed, which devices and cameras there are, and what to do about what is missing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from rfapp.cli.main import DONE, FAILED
from rfapp.cli.options import add_output_arguments
from rfapp.diagnosis import Finding, examine

if TYPE_CHECKING:
    from rich.table import Table

_MARKS = {"ok": "", "note": "note: ", "problem": "PROBLEM: "}
_STYLES = {"ok": "", "note": "yellow", "problem": "bold red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--selftest``, ``--json``, ``--quiet``."""
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="find the face in the built-in picture with every engine, and fail when one is wrong",
    )
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings. 1 when something keeps rfapp from working."""
    findings = list(examine(selftest=arguments.selftest))
    problems = [finding for finding in findings if finding.level == "problem"]
    # Results go to standard output: with --json that is the last line, and the reading matter goes beside it.
    report = sys.stderr if arguments.json else sys.stdout
    _print(problems if arguments.quiet else findings, terminal=report.isatty(), file=report)
    if not arguments.quiet:
        print("No problem found." if not problems else f"Problems: {len(problems)}.", file=report)
    if arguments.json:
        print(json.dumps({"ok": not problems, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    return FAILED if problems else DONE


def _print(findings: list[Finding], *, terminal: bool, file: TextIO) -> None:
    """A table on terminals, plain lines elsewhere."""
    if terminal:
        from rich.console import Console

        Console(file=file).print(_table(findings))
        return
    for section, lines in groupby(findings, key=lambda finding: finding.section):
        print(section, file=file)
        for line in lines:
            print(f"  {line.name}: {_MARKS[line.level]}{line.value}", file=file)
            if line.advice:
                print(f"    → {line.advice}", file=file)


def _table(findings: list[Finding]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for section, lines in groupby(findings, key=lambda finding: finding.section):
        table.add_row(Text(section, style="bold"), "")
        for line in lines:
            value = Text(_MARKS[line.level] + line.value, style=_STYLES[line.level])
            if line.advice:
                value.append(f"\n→ {line.advice}", style="default not bold")
            table.add_row(Text("  " + line.name), value)
    return table
