"""The band over the time line that shows where in a video there are faces, and how many."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from rfapp.gui.theme import Theme
from rfapp.runtime import FaceCounts

HEIGHT = 18
#: So far it stays away from the slider below, whose done part has the same colour.
_GAP = 4
#: One face is so high, a part of the whole; what was looked at and has none is a line of so many pixels.
_ONE, _LINE = 0.4, 2
#: Even a single frame is so many pixels wide.
_NARROWEST = 2


class FaceBand(QWidget):
    """``pointed`` carries a time in seconds that was clicked or dragged to.

    *span*: where time 0 is, in pixels from the left, and how many pixels the whole video takes. *tip*: what there is
    to say about a time.
    """

    pointed = Signal(float)

    def __init__(self, theme: Theme, span: Callable[[], tuple[int, int]], tip: Callable[[float], str]) -> None:
        super().__init__()
        self._theme, self._span, self._tip = theme, span, tip
        self._counts: FaceCounts | None = None
        self._duration = 0.0
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Where there are faces"))
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(100, HEIGHT)

    def show_counts(self, counts: FaceCounts | None, duration_s: float) -> None:
        """Draw *counts*, of a video of so many seconds; None: nothing is known, and the band goes away."""
        self._counts, self._duration = counts, duration_s
        self.setVisible(counts is not None)
        self.update()

    def time_at(self, x: float) -> float:
        """The time that stands *x* pixels from the left."""
        left, width = self._span()
        return min(max((x - left) / max(1, width), 0.0), 1.0) * self._duration

    # ---------------------------------------------------------------------------------------------------------- paint

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._counts is None or self._duration <= 0:
            return
        ratio = self.devicePixelRatioF()  # in whole pixels of the screen, whatever its scale
        painter = QPainter(self)
        painter.scale(1 / ratio, 1 / ratio)
        left, width = (round(pixels * ratio) for pixels in self._span())
        most = _widened(
            self._counts.most_between(np.linspace(0.0, self._duration, width + 1)), ceil(_NARROWEST * ratio)
        )
        bottom, high = round((self.height() - _GAP) * ratio), max(2, self._counts.most)
        line, accent = QColor(self._theme.colours.muted), QColor(self._theme.colours.accent)
        line.setAlphaF(0.55)
        begins = np.flatnonzero(np.diff(most, prepend=-2))
        for begin, end in zip(begins, np.append(begins[1:], width), strict=True):
            faces = int(most[begin])
            if faces < 0:
                continue
            part = _ONE + (1 - _ONE) * (faces - 1) / (high - 1)
            height = round(part * (HEIGHT - _GAP) * ratio) if faces else round(_LINE * ratio)
            where = QRect(left + int(begin), bottom - height, int(end - begin), height)
            painter.fillRect(where, accent if faces else line)
        painter.end()

    # ---------------------------------------------------------------------------------------------------------- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.pointed.emit(self.time_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        time_s = self.time_at(event.position().x())
        QToolTip.showText(event.globalPosition().toPoint(), self._tip(time_s), self)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.pointed.emit(time_s)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self._tip(self.time_at(event.pos().x())), self)
            return True
        return super().event(event)


def _widened(most: npt.NDArray[np.int32], pixels: int) -> npt.NDArray[np.int32]:
    """With every place that has faces at least so many *pixels* wide."""
    wide = most.copy()
    for shift in range(1, min(pixels, len(most))):
        wide[shift:] = np.maximum(wide[shift:], np.where(most[:-shift] > 0, most[:-shift], -1))
    return wide
