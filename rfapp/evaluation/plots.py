"""Precision over recall, as a picture. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rfapp.errors import EngineMissing, OutputError
from rfapp.evaluation.protocol import Curve
from rfapp.text import mark


def draw(curves: Mapping[str, Curve], file: Path) -> None:
    """Draw the curves of all levels into *file* (.png, .svg or .pdf). Raises EngineMissing or OutputError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise EngineMissing(
            mark("Drawing curves needs matplotlib, which is not installed."), mark("Install it: pip install matplotlib")
        ) from None
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for level, curve in curves.items():
        axes.plot(curve.recall, curve.precision, linewidth=2, label=f"{level}: {curve.average_precision:.2f} %")
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="Recall", ylabel="Precision", title="WIDER FACE, validation set")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise OutputError(mark("“{file}” can't be written: {reason}."), file=file, reason=error.strerror) from error
