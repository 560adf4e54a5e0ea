"""Where in a file we are, and the way to somewhere else."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QStyle, QStyleOptionSlider, QWidget

from rfapp.sources import SourceInfo

#: While the handle is dragged the picture follows this often; each seek costs a decode from the last key frame on.
SEEK_EVERY_MS = 60


class _ClickSlider(QSlider):
    """A slider that goes where it is clicked."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        style, kind = self.style(), QStyle.ComplexControl.CC_Slider
        handle = style.subControlRect(kind, option, QStyle.SubControl.SC_SliderHandle, self)
        if event.button() == Qt.MouseButton.LeftButton and not handle.contains(event.position().toPoint()):
            groove = style.subControlRect(kind, option, QStyle.SubControl.SC_SliderGroove, self)
            span = max(1, groove.width() - handle.width())
            place = round(event.position().x()) - groove.x() - handle.width() // 2
            self.setValue(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), place, span))
            self.sliderMoved.emit(self.value())
        super().mousePressEvent(event)


class Timeline(QWidget):
    """``sought`` carries a time in seconds."""

    sought = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._duration = 0.0
        self._stills: float | None = None
        self._position = QLabel(objectName="muted")
        self._end = QLabel(objectName="muted")
        self._slider = _ClickSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(self.tr("Position in the file"))
        self._slider.setSingleStep(1000)
        self._slider.setPageStep(10_000)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 14, 6)
        row.setSpacing(12)
        row.addWidget(self._position)
        row.addWidget(self._slider, 1)
        row.addWidget(self._end)
        self._later = QTimer(self, singleShot=True, interval=SEEK_EVERY_MS)
        self._later.timeout.connect(self._seek)
        self._slider.sliderMoved.connect(self._moved)
        self._slider.actionTriggered.connect(self._stepped)

    def show_source(self, info: SourceInfo | None) -> None:
        """Take the length of *info*; hidden where there is nothing to seek in."""
        useful = info is not None and info.seekable and bool(info.duration_s)
        self.setVisible(useful)
        if info is None or not info.duration_s:
            return
        self._duration = info.duration_s
        self._stills = info.rate if info.stills else None
        step = 1.0 / info.rate if info.stills and info.rate else 5.0
        with QSignalBlocker(self._slider):
            self._slider.setRange(0, max(1, round(self._duration * 1000)))
            self._slider.setSingleStep(max(1, round(step * 1000)))
            self._slider.setPageStep(max(1, round(self._duration * 100)))
        self._end.setText(self._text(self._duration, end=True))
        # The label must not change its width while the numbers run.
        widest = self._position.fontMetrics().horizontalAdvance(self._end.text())
        self._position.setMinimumWidth(widest)
        self.show_time(0.0)

    def show_time(self, time_s: float) -> None:
        """Follow the picture, unless a hand is on the slider."""
        if self._slider.isSliderDown() or self._later.isActive():
            return
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(time_s * 1000))
        self._position.setText(self._text(time_s))

    def _text(self, time_s: float, *, end: bool = False) -> str:
        if self._stills is not None:
            return str(round(time_s * self._stills) + (0 if end else 1))
        minutes, seconds = divmod(int(time_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours or self._duration >= 3600 else f"{minutes:02}:{seconds:02}"

    def _moved(self, value: int) -> None:
        self._position.setText(self._text(value / 1000))
        if not self._later.isActive():
            self._later.start()

    def _stepped(self, _action: int) -> None:
        if not self._slider.isSliderDown():
            self._moved(self._slider.sliderPosition())

    def _seek(self) -> None:
        self.sought.emit(self._slider.sliderPosition() / 1000)
