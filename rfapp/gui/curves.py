"""Curves of training runs: losses, learning rate and average precision over steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from rfapp.gui.texts import filled, translated
from rfapp.gui.theme import Theme
from rfapp.text import mark

#: The last two only networks of two steps have; the one before only recipes that keep what was known.
LOSSES = ("loss", "loss_box", "loss_class", "loss_landmark", "loss_keep", "loss_first_box", "loss_first_class")
LEVELS = ("easy", "medium", "hard")
#: What the quantities of a run are called.
NAMES = {
    "loss": mark("loss"),
    "loss_box": mark("box loss"),
    "loss_class": mark("class loss"),
    "loss_landmark": mark("landmark loss"),
    "loss_keep": mark("change against the first weights"),
    "loss_first_box": mark("first step's box loss"),
    "loss_first_class": mark("first step's class loss"),
    "learning_rate": mark("learning rate"),
    "easy": mark("easy"),
    "medium": mark("medium"),
    "hard": mark("hard"),
}
#: Told apart also by those who do not see red and green as others do (Okabe & Ito, 2008).
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")


@dataclass(slots=True)
class Series:
    """What one run has told so far: step by step, quantity by quantity."""

    name: str
    steps: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in (*LOSSES, "learning_rate")})
    validated: list[int] = field(default_factory=list)
    precision: dict[str, list[float]] = field(default_factory=lambda: {level: [] for level in LEVELS})

    def losses(self) -> list[str]:
        """The losses that the run tells."""
        return [key for key in LOSSES if any(map(math.isfinite, self.values[key]))]

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Add events as they stand in ``metrics.jsonl``."""
        for event in events:
            if event["event"] == "step":
                self.steps.append(event["step"])
                for key, values in self.values.items():
                    values.append(float(event.get(key, float("nan"))))
            elif event["event"] == "validation":
                self.validated.append(event["step"])
                for level, values in self.precision.items():
                    values.append(float(event.get(level, float("nan"))))


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """A running mean in which the past counts *weight* (0: as it is), without the drag of its start."""
    result, mean, share = [], 0.0, 0.0
    for value in values:
        if value != value:  # not a number: a gap stays one  # noqa: PLR0124
            result.append(value)
            continue
        mean = weight * mean + (1 - weight) * value
        share = weight * share + (1 - weight)
        result.append(mean / share)
    return result


def recolour(plot: pg.PlotWidget, theme: Theme) -> None:
    """Give *plot* the colours of the window."""
    plot.setBackground(theme.colours.panel)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(theme.colours.border)
        axis.setTextPen(theme.colours.muted)
    legend = plot.getPlotItem().legend
    if legend is not None:
        behind = QColor(theme.colours.panel)
        behind.setAlphaF(0.7)  # names can be read where a curve runs below them, and the curve can be followed
        legend.setBrush(behind)
        legend.setLabelTextColor(theme.colours.text)


class Curves(QWidget):
    """Two plots: losses above, average precision below; several runs at once."""

    pointed = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._runs: list[Series] = []
        self.losses = pg.PlotWidget()
        self.precision = pg.PlotWidget()
        for plot, name, label in (
            (self.losses, self.tr("Losses"), self.tr("loss")),
            (self.precision, self.tr("Average precision"), self.tr("AP, %")),
        ):
            plot.setAccessibleName(name)
            plot.setLabel("left", label)
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.showGrid(x=True, y=True, alpha=0.15)
            plot.setMinimumHeight(120)
            plot.scene().sigMouseMoved.connect(lambda place, plot=plot: self._point(plot, place))
        self.precision.setLabel("bottom", self.tr("step"))
        self._log = QCheckBox(self.tr("Logarithmic"))
        self._log.toggled.connect(lambda on: self.losses.setLogMode(y=on))
        self._smooth = QSlider(Qt.Orientation.Horizontal)
        self._smooth.setRange(0, 99)
        self._smooth.setValue(60)
        self._smooth.setMaximumWidth(140)
        self._smooth.setAccessibleName(self.tr("Smoothing"))
        self._smooth.valueChanged.connect(self.redraw)
        self._values = QLabel(objectName="muted")
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(QLabel(self.tr("Smoothing"), objectName="muted"))
        row.addWidget(self._smooth)
        row.addWidget(self._log)
        row.addStretch(1)
        row.addWidget(self._values)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.losses, 3)
        column.addWidget(self.precision, 2)
        theme.changed.connect(self._recolour)
        self._recolour()

    def show_runs(self, runs: Sequence[Series]) -> None:
        """Draw these runs, the first with all its losses, the others with the sum only."""
        self._runs = list(runs)
        self.redraw()

    def redraw(self) -> None:
        """Draw what the runs have told by now."""
        for plot in (self.losses, self.precision):
            plot.clear()
            item = plot.getPlotItem()
            if item.legend is not None:
                item.legend.clear()
            else:
                # Where curves seldom end: losses fall, and average precision rises.
                plot.addLegend(offset=(-8, 8 if plot is self.losses else -8), labelTextSize="8pt")
                recolour(plot, self._theme)
        weight = self._smooth.value() / 100
        single = len(self._runs) == 1
        colour = 0
        for run in self._runs:
            for key in run.losses() if single else LOSSES[:1]:
                values = smoothed(run.values[key], weight)
                name = translated(NAMES[key]) if single else run.name
                self.losses.plot(run.steps, values, pen=pg.mkPen(PALETTE[colour % 6], width=2), name=name)
                colour += single
            for place, level in enumerate(LEVELS if single else LEVELS[1:2]):
                name = translated(NAMES[level])
                name = name if single else f"{run.name}, {name}"
                pen = pg.mkPen(PALETTE[(place if single else colour) % 6], width=2)
                symbol = {"symbol": "o", "symbolSize": 6, "symbolBrush": pen.color(), "symbolPen": None}
                self.precision.plot(run.validated, run.precision[level], pen=pen, name=name, **symbol)
            colour += not single

    def _point(self, plot: pg.PlotWidget, place: QPointF) -> None:
        """Tell the values under the pointer."""
        if not plot.sceneBoundingRect().contains(place) or not self._runs:
            return
        step = plot.getPlotItem().vb.mapSceneToView(place).x()
        run = self._runs[0]
        above = plot is self.losses
        steps = run.steps if above else run.validated
        if not steps:
            return
        nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - step))
        quantities = {key: run.values[key] for key in (*run.losses(), "learning_rate")}
        table = quantities if above else run.precision
        told = "   ".join(
            filled("{name} {value:.4g}", name=NAMES[key], value=values[nearest]) for key, values in table.items()
        )
        self._values.setText(filled(self.tr("step {step}: {values}"), step=steps[nearest], values=told))

    def _recolour(self) -> None:
        for plot in (self.losses, self.precision):
            recolour(plot, self._theme)
        self.redraw()
