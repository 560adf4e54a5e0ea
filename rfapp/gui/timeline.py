"""Where in a file we are, where there are faces in it, and the way to somewhere else."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QHelpEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QToolButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from rfapp.gui.face_band import FaceBand
from rfapp.gui.texts import clock, number_of_faces
from rfapp.gui.theme import Theme
from rfapp.runtime import FaceCounts
from rfapp.sources import SourceInfo

#: While the handle is dragged the picture follows this often; each seek costs a decode from the last key frame on.
SEEK_EVERY_MS = 60
#: In a narrower time line the button that finds all faces has no words.
WORDY = 620


class _ClickSlider(QSlider):
    """A slider that goes where it is clicked."""

    def _parts(self) -> tuple[QRect, QRect]:
        """The groove and the handle."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        style, kind, part = self.style(), QStyle.ComplexControl.CC_Slider, QStyle.SubControl
        return (
            style.subControlRect(kind, option, part.SC_SliderGroove, self),
            style.subControlRect(kind, option, part.SC_SliderHandle, self),
        )

    def span(self) -> tuple[int, int]:
        """Where the middle of the handle is at the smallest value, in pixels from the left, and how far it can go."""
        groove, handle = self._parts()
        return groove.x() + handle.width() // 2, max(1, groove.width() - handle.width())

    def value_at(self, x: int) -> int:
        """The value that stands *x* pixels from the left."""
        left, width = self.span()
        return QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), x - left, width)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        _, handle = self._parts()
        if event.button() == Qt.MouseButton.LeftButton and not handle.contains(event.position().toPoint()):
            self.setValue(self.value_at(round(event.position().x())))
            self.sliderMoved.emit(self.value())
        super().mousePressEvent(event)


class Timeline(QWidget):
    """``sought`` carries a time in seconds. ``find_wanted``: all faces of the video are to be found."""

    sought = Signal(float)
    find_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._duration = 0.0
        self._stills: float | None = None
        self._counts: FaceCounts | None = None
        self._position = QLabel(objectName="muted")
        self._end = QLabel(objectName="muted")
        self._slider = _ClickSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(self.tr("Position in the file"))
        self._slider.setSingleStep(1000)
        self._slider.setPageStep(10_000)
        self._slider.installEventFilter(self)
        self.band = FaceBand(theme, self._slider.span, self._tip)
        self.previous = self._button("previous", self.tr("Previous stretch with faces (Ctrl+←)"))
        self.next = self._button("next", self.tr("Next stretch with faces (Ctrl+→)"))
        self.find_all = self._button("find", "")
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.band)
        column.addWidget(self._slider)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 14, 6)
        row.setSpacing(10)
        row.addWidget(self._position)
        jumps = QHBoxLayout()
        jumps.setSpacing(0)
        for button in (self.previous, self.next):
            jumps.addWidget(button)
        row.addLayout(jumps)
        row.addLayout(column, 1)
        row.addWidget(self._end)
        row.addWidget(self.find_all)
        self.show_counts(None)
        self.offer_finding(False)
        theme.changed.connect(self._recolour)
        self._recolour()
        self._later = QTimer(self, singleShot=True, interval=SEEK_EVERY_MS)
        self._later.timeout.connect(self._seek)
        self._slider.sliderMoved.connect(self._moved)
        self._slider.actionTriggered.connect(self._stepped)
        self.band.pointed.connect(self._point)
        self.previous.clicked.connect(self.go_back)
        self.next.clicked.connect(self.go_on)
        self.find_all.clicked.connect(self.find_wanted)

    def _button(self, icon: str, tip: str) -> QToolButton:
        button = QToolButton(toolTip=tip, accessibleName=tip.partition(" (")[0])
        button.setProperty("icon_name", icon)
        return button

    def _recolour(self) -> None:
        for button in (self.previous, self.next, self.find_all):
            button.setIcon(self._theme.icon(button.property("icon_name")))

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

    # ---------------------------------------------------------------------------------------------------------- faces

    def offer_finding(self, offered: bool, *, running: bool = False, rest: bool = False) -> None:
        """Whether all faces of what is open can be found, whether that is under way, and whether it is only the *rest*
        that has to be found."""
        self.find_all.setVisible(offered)
        self.find_all.setEnabled(not running)
        text, tip = self.tr("Find all faces"), self.tr("Find the faces of the whole video in the background (A)")
        if rest:
            text, tip = self.tr("Find the rest"), self.tr("Go on finding the faces of the video in the background (A)")
        if text != self.find_all.text():
            self.find_all.setText(text)
            self.find_all.setAccessibleName(text)
            self.find_all.setToolTip(tip)

    def show_counts(self, counts: FaceCounts | None) -> None:
        """Draw where there are faces, and lead to them; None: it is not known."""
        self._counts = counts
        self.band.show_counts(counts, self._duration)
        for button in (self.previous, self.next):
            button.setVisible(counts is not None)
            button.setEnabled(counts is not None and counts.most > 0)

    def go_on(self) -> None:
        """Go to where the next faces come."""
        if self._counts is not None and (stretch := self._counts.next_stretch(self._slider.value() / 1000)) is not None:
            self.go_to(stretch.begin_s)

    def go_back(self) -> None:
        """Go back to where the last faces came."""
        if self._counts is None:
            return
        if (stretch := self._counts.previous_stretch(self._slider.value() / 1000)) is not None:
            self.go_to(stretch.begin_s)

    def go_to(self, time_s: float) -> None:
        """Go to *time_s* at once: the picture follows."""
        self._later.stop()
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(time_s * 1000))
        self._position.setText(self._text(time_s))
        self.sought.emit(time_s)

    def _point(self, time_s: float) -> None:
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(time_s * 1000))
        self._moved(self._slider.value())

    def _tip(self, time_s: float) -> str:
        told = self._text(time_s)
        if self._counts is None:
            return told
        faces = self._counts.at(time_s)
        return f"{told} · " + (self.tr("not looked at yet") if faces is None else number_of_faces(faces))

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if watched is self._slider and isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self._tip(self._slider.value_at(event.pos().x()) / 1000), self._slider)
            return True
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        style = Qt.ToolButtonStyle
        wordy = event.size().width() >= WORDY
        self.find_all.setToolButtonStyle(style.ToolButtonTextBesideIcon if wordy else style.ToolButtonIconOnly)
        super().resizeEvent(event)

    def _text(self, time_s: float, *, end: bool = False) -> str:
        if self._stills is not None:
            return str(round(time_s * self._stills) + (0 if end else 1))
        return clock(time_s, hours=self._duration >= 3600)

    def _moved(self, value: int) -> None:
        self._position.setText(self._text(value / 1000))
        if not self._later.isActive():
            self._later.start()

    def _stepped(self, _action: int) -> None:
        if not self._slider.isSliderDown():
            self._moved(self._slider.sliderPosition())

    def _seek(self) -> None:
        self.sought.emit(self._slider.sliderPosition() / 1000)
