"""Tables on the command line: drawn on a terminal, plain lines with tabs where something else reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Print *rows* under *columns* to *file*."""
    if not file.isatty():
        for row in (columns, *rows):
            print(*row, sep="\t", file=file)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=file).print(table)
