"""Curves of the last minutes: faces, delay, rates."""

from __future__ import annotations

import math
import time

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from rfapp.gui.curves import PALETTE, recolour
from rfapp.gui.past import PAST_S, Moment, Past
from rfapp.gui.theme import Theme

HEIGHT = 132


class History(QWidget):
    """Three small plots side by side over the last five minutes, the present at the right."""

    def __init__(self, theme: Theme, past: Past, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="history")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(HEIGHT)
        self._theme, self._past = theme, past
        grid = QGridLayout(self)
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
            plot.getAxis("bottom").setTickSpacing(1, 1)
            plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            for place, key in enumerate(keys):
                pen = pg.mkPen(PALETTE[(column + 3 * place) % len(PALETTE)], width=2)
                self._curves.append((plot.plot(pen=pen, connect="finite"), key))
            grid.addWidget(head, 0, column)
            grid.addWidget(plot, 1, column)
            self._heads.append(head)
            self._plots.append(plot)
        theme.changed.connect(self._recolour)
        self._recolour()

    def _parts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            (self.tr("Faces"), ("faces",)),
            (self.tr("Delay"), ("delay_ms",)),
            (self.tr("Pictures and detections a second"), ("captured", "detected")),
        )

    def redraw(self) -> None:
        """Draw the past as it is now."""
        now, moments = time.monotonic(), self._past.moments
        minutes = [(moment.at - now) / 60 for moment in moments]
        for curve, key in self._curves:
            curve.setData(minutes, [getattr(moment, key) for moment in moments])
        for plot, (_, keys) in zip(self._plots, self._parts(), strict=True):
            values = [getattr(moment, key) for moment in moments for key in keys]
            highest = max((value for value in values if math.isfinite(value)), default=0.0)
            plot.setYRange(0, max(highest * 1.1, 1.0), padding=0)
        for head, text in zip(self._heads, self._texts(moments[-1] if moments else None), strict=True):
            head.setText(text)
        self.setAccessibleDescription(" · ".join(head.text() for head in self._heads))

    def _texts(self, now: Moment | None) -> tuple[str, str, str]:
        """What stands over the plots: their names, and the figures of now."""
        faces, delay, rates = (name for name, _ in self._parts())
        if now is None or not math.isfinite(now.captured):
            return faces, delay, rates
        return (
            faces if math.isnan(now.faces) else f"{faces}: {now.faces:.0f}",
            delay if math.isnan(now.delay_ms) else f"{delay}: {now.delay_ms:.0f} ms",
            f"{rates}: {now.captured:.0f} · {now.detected:.0f}",
        )

    def _recolour(self) -> None:
        for plot in self._plots:
            recolour(plot, self._theme)
