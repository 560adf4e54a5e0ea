"""Curves of the last minutes: faces, delay, rates, use of the processor."""

from __future__ import annotations

import math
import time

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from rfapp.gui.curves import PALETTE, recolour
from rfapp.gui.past import PAST_S, Moment, Past
from rfapp.gui.theme import Theme

HEIGHT = 132
#: In a narrower one fewer minutes are marked.
NARROW = 1000
#: In one narrower than this the last curve is left out.
ALL_FROM = 560
#: The room for two figures beside a heading, in pixels.
FIGURES = 100
EM_SPACE = "\u2003"
COLOURS = {
    "faces": PALETTE[0],
    "delay_ms": PALETTE[1],
    "captured": PALETTE[2],
    "detected": PALETTE[5],
    "processor": PALETTE[3],
}
#: The plots reach up to this at least, so that a little trembling looks like one.
LEAST = {"faces": 4.0, "delay_ms": 20.0, "captured": 10.0, "processor": 20.0}
UNITS = {"delay_ms": " ms", "processor": " %"}


class History(QWidget):
    """Four small plots side by side over the last five minutes, the present at the right; three in a small window."""

    def __init__(self, theme: Theme, past: Past, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="history")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(HEIGHT)
        self._theme, self._past = theme, past
        self._grid = grid = QGridLayout(self)
        grid.setContentsMargins(10, 6, 10, 4)
        grid.setVerticalSpacing(0)
        self._heads: list[QLabel] = []
        self._plots: list[pg.PlotWidget] = []
        self._curves: list[tuple[pg.PlotDataItem, str]] = []
        for column, (name, keys) in enumerate(self._parts()):
            head, plot = QLabel(objectName="muted"), pg.PlotWidget()
            plot.setAccessibleName(name)
            plot.setMenuEnabled(False)
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.showGrid(y=True, alpha=0.15)
            plot.setXRange(-PAST_S / 60, 0, padding=0)
            plot.setLimits(yMin=0)
            plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            for key in keys:
                self._curves.append((plot.plot(pen=pg.mkPen(COLOURS[key], width=2), connect="finite"), key))
            grid.addWidget(head, 0, column)
            grid.addWidget(plot, 1, column)
            grid.setColumnStretch(column, 1)
            head.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # none wider than the others
            head.setToolTip(name)
            self._heads.append(head)
            self._plots.append(plot)
        theme.changed.connect(self._recolour)
        self._recolour()

    def _parts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            (self.tr("Faces"), ("faces",)),
            (self.tr("Delay"), ("delay_ms",)),
            (self.tr("Pictures and detections a second"), ("captured", "detected")),
            (self.tr("Processor"), ("processor",)),
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Words and minutes that there is room for."""
        every = 1 if event.size().width() >= NARROW else 2
        for plot in self._plots:
            marked = range(every, int(PAST_S / 60), every)
            plot.getAxis("bottom").setTicks([[(-m, self.tr("{count} min").format(count=-m)) for m in marked]])
        shown = event.size().width() >= ALL_FROM
        self._heads[-1].setVisible(shown)
        self._plots[-1].setVisible(shown)
        self._grid.setColumnStretch(len(self._plots) - 1, int(shown))
        self.redraw()
        super().resizeEvent(event)

    def redraw(self) -> None:
        """Draw the past as it is now."""
        now, moments = time.monotonic(), self._past.moments
        minutes = [(moment.at - now) / 60 for moment in moments]
        for curve, key in self._curves:
            curve.setData(minutes, [getattr(moment, key) for moment in moments])
        for plot, (_, keys) in zip(self._plots, self._parts(), strict=True):
            values = [getattr(moment, key) for moment in moments for key in keys]
            highest = max((value for value in values if math.isfinite(value)), default=0.0)
            plot.setYRange(0, max(highest * 1.1, LEAST[keys[0]]), padding=0)
        said = []
        for head, (name, keys) in zip(self._heads, self._parts(), strict=True):
            figures = self._figures(moments[-1] if moments else None, keys)
            said.append(f"{name}: {' · '.join(figures)}" if figures else name)
            marked = (f'<span style="color:{COLOURS[key]}">■</span> {f}' for key, f in zip(keys, figures, strict=False))
            head.setText(EM_SPACE.join((self._heading(name, keys), *marked)))
        self.setAccessibleDescription(" · ".join(said))

    def _heading(self, name: str, keys: tuple[str, ...]) -> str:
        """*name*, or a short one where it would push the figures out."""
        head = self._heads[0]
        fits = head.fontMetrics().horizontalAdvance(name) + FIGURES <= head.width()
        return name if fits or len(keys) < 2 else self.tr("Rates")

    def _figures(self, now: Moment | None, keys: tuple[str, ...]) -> list[str]:
        """What the curves *keys* are at just now; nothing where nothing runs."""
        values = [] if now is None else [getattr(now, key) for key in keys]
        if not all(map(math.isfinite, values)):
            return []
        return [f"{value:.0f}{UNITS.get(key, '')}" for key, value in zip(keys, values, strict=False)]

    def _recolour(self) -> None:
        for plot in self._plots:
            recolour(plot, self._theme)
