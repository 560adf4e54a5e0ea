"""Choosing a part of the screen: by dragging over it, or by typing where it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from PySide6.QtCore import QObject, QPoint, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QRegion,
    QScreen,
)
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from rfapp.gui.theme import Theme
from rfapp.sources.screen import LEAST

#: The menu that led here must have gone before the screens are dimmed, and before they are photographed for that.
MENU_GONE_MS = 250
_DIM = QColor(0, 0, 0, 130)


def pixels_of(area: QRect, screen: QRect, ratio: float) -> QRect:
    """*area*, in the coordinates of windows, in pixels of the whole desktop.

    *screen*: the geometry of the screen that it lies on, and *ratio* the pixels for a unit there. Qt leaves a screen's
    corner where the system has it and scales only what is on it. What lies beyond the screen is cut off.
    """
    edges = area.normalized().intersected(screen)
    left, top = (edges.left() - screen.left()) * ratio, (edges.top() - screen.top()) * ratio
    right, bottom = left + edges.width() * ratio, top + edges.height() * ratio
    corner = screen.topLeft() + QPoint(round(left), round(top))
    return QRect(corner.x(), corner.y(), round(right) - round(left), round(bottom) - round(top))


def ratio_of(screen: QScreen) -> float:
    """Pixels for a unit of windows on *screen*, as what reads the screen counts them: macOS counts units."""
    return 1.0 if sys.platform == "darwin" else screen.devicePixelRatio()


def desktop() -> QRect:
    """All screens together, in pixels."""
    whole = QRect()
    for screen in QGuiApplication.screens():
        whole = whole.united(pixels_of(screen.geometry(), screen.geometry(), ratio_of(screen)))
    return whole


def address_of(area: QRect) -> str:
    """The address of *area*, which is in pixels of the whole desktop."""
    return f"screen:{area.left()},{area.top()},{area.width()},{area.height()}"


class Veil(QWidget):
    """Lies over a whole screen, dims it, and lets a part of it be marked. ``accepted`` carries the part, in pixels."""

    accepted = Signal(QRect)
    cancelled = Signal()
    numbers_wanted = Signal()
    marked = Signal()

    def __init__(self, screen: QScreen, theme: Theme) -> None:
        super().__init__(None, Qt.WindowType.FramelessWindowHint | Qt.WindowType.WindowStaysOnTopHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._theme = theme
        self._screen_rect, self._ratio = screen.geometry(), ratio_of(screen)
        # A picture of the screen instead of a transparent window: not every desktop can do the latter.
        self._picture = screen.grabWindow(0)
        self._from: QPoint | None = None
        self._dragged = False
        self._area = QRect()  # in this widget's coordinates
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName(self.tr("Part of the screen"))
        self.setGeometry(screen.geometry())
        self._tell()

    @property
    def pixels(self) -> QRect:
        """What is marked, in pixels of the whole desktop; empty where nothing is."""
        if self._area.isEmpty():
            return QRect()
        return pixels_of(self._area.translated(self._screen_rect.topLeft()), self._screen_rect, self._ratio)

    def clear(self) -> None:
        """Nothing is marked any more."""
        self._area = QRect()
        self._tell()

    def told(self) -> str:
        """What is said on it."""
        area = self.pixels
        if area.isEmpty():
            return self.tr("Drag over the part of the screen to watch. Enter: type numbers instead. Esc: cancel.")
        text = self.tr("{width}×{height} at {left}, {top}. Enter or a double click: watch it. Esc: cancel.")
        return text.format(width=area.width(), height=area.height(), left=area.left(), top=area.top())

    def _tell(self) -> None:
        self.setAccessibleDescription(self.told())
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._from, self._dragged = event.position().toPoint(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._from is None:
            return
        here = event.position().toPoint()
        if not self._dragged and (here - self._from).manhattanLength() < 4:
            return  # a hand that trembles while it clicks
        self._dragged = True
        # Of two corners, so that nothing is added to the width as QRect(QPoint, QPoint) does.
        left, right = sorted((self._from.x(), here.x()))
        top, bottom = sorted((self._from.y(), here.y()))
        self._area = QRect(left, top, right - left, bottom - top).intersected(self.rect())
        self.marked.emit()
        self._tell()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._from = None
        area = self.pixels
        if area.width() < LEAST or area.height() < LEAST:
            self.clear()  # too small for a face

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._area.contains(event.position().toPoint()):
            self.accepted.emit(self.pixels)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self._area.isEmpty():
                self.numbers_wanted.emit()
            else:
                self.accepted.emit(self.pixels)
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """The system's own way of closing windows, on any of several screens, ends all of it."""
        super().closeEvent(event)
        self.cancelled.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(self.rect(), self._picture)
        painter.setClipRegion(self.rect() if self._area.isEmpty() else self._outside())
        painter.fillRect(self.rect(), _DIM)
        painter.setClipping(False)
        accent = QColor(self._theme.colours.accent)
        if not self._area.isEmpty():
            painter.setPen(QPen(accent, 2))
            painter.drawRect(self._area.adjusted(-1, -1, 0, 0))
        self._paint_words(painter)
        painter.end()

    def _outside(self) -> QRegion:
        return QRegion(self.rect()).subtracted(QRegion(self._area))

    def _paint_words(self, painter: QPainter) -> None:
        """What is told, at the top, or at the bottom where the marked part is at the top."""
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        room = self.rect().adjusted(24, 24, -24, -24)
        words = painter.boundingRect(room, flags, self.told()).adjusted(-14, -9, 14, 9)
        words.moveCenter(QPoint(self.rect().center().x(), 0))
        words.moveTop(24)
        if self._area.intersects(words):
            words.moveBottom(self.rect().bottom() - 24)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(self._theme.colours.border))
        painter.setBrush(QColor(self._theme.colours.panel))
        painter.drawRoundedRect(words, 8, 8)
        painter.setPen(QColor(self._theme.colours.text))
        painter.drawText(words, flags, self.told())


class AreaDialog(QDialog):
    """The same with numbers, for those who don't use a mouse."""

    def __init__(self, whole: QRect, proposed: QRect, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Part of the screen"))
        form = QGridLayout()
        form.setColumnStretch(1, 1)
        self._left = self._box(form, self.tr("Left"), whole.left(), whole.right() + 1 - LEAST, proposed.left())
        self._top = self._box(form, self.tr("Top"), whole.top(), whole.bottom() + 1 - LEAST, proposed.top())
        self._width = self._box(form, self.tr("Width"), LEAST, whole.width(), proposed.width())
        self._height = self._box(form, self.tr("Height"), LEAST, whole.height(), proposed.height())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        told = self.tr("In pixels of the whole desktop: from {left}, {top} on, {width}×{height} large.")
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addWidget(
            QLabel(
                told.format(left=whole.left(), top=whole.top(), width=whole.width(), height=whole.height()),
                wordWrap=True,
                objectName="muted",
            )
        )
        column.addLayout(form)
        column.addWidget(buttons)
        self._left.selectAll()

    def _box(self, form: QGridLayout, name: str, low: int, high: int, value: int) -> QSpinBox:
        box = QSpinBox(accessibleName=name)
        box.setRange(low, max(low, high))
        box.setValue(value)
        box.setSuffix(" px")
        label = QLabel(name)
        label.setBuddy(box)
        row = form.rowCount()
        form.addWidget(label, row, 0)
        form.addWidget(box, row, 1)
        return box

    @property
    def area(self) -> QRect:
        return QRect(self._left.value(), self._top.value(), self._width.value(), self._height.value())


class AreaPicker(QObject):
    """Dims all screens until a part of one is chosen or it is given up. ``picked`` carries its address."""

    picked = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._window = parent
        self.veils: Sequence[Veil] = ()
        self._later = QTimer(self, singleShot=True, interval=MENU_GONE_MS)
        self._later.timeout.connect(self._begin)
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.screenAdded.connect(self.end)
        application.screenRemoved.connect(self.end)

    def start(self) -> None:
        """Dim the screens, when the menu has gone."""
        self._later.start()

    @Slot()
    def _begin(self) -> None:
        self.end()
        self.veils = [Veil(screen, self._theme) for screen in QGuiApplication.screens()]
        for veil in self.veils:
            veil.accepted.connect(self._accept)
            veil.cancelled.connect(self.end)
            veil.numbers_wanted.connect(self._ask)
            veil.marked.connect(self._marked)
            veil.showFullScreen()
        if self.veils:
            self.veils[0].activateWindow()
            self.veils[0].setFocus()

    @Slot()
    def end(self) -> None:
        """Give it up."""
        veils, self.veils = self.veils, ()
        for veil in veils:
            veil.close()

    @Slot()
    def _marked(self) -> None:
        """One part, on one screen."""
        for veil in self.veils:
            if veil is not self.sender():
                veil.clear()

    @Slot(QRect)
    def _accept(self, area: QRect) -> None:
        self.end()
        self.picked.emit(address_of(area))

    @Slot()
    def _ask(self) -> None:
        self.end()
        whole = desktop()
        proposed = QRect(0, 0, whole.width() // 2, whole.height() // 2)
        proposed.moveCenter(whole.center())
        dialog = AreaDialog(whole, proposed, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self.picked.emit(address_of(dialog.area)))
        dialog.open()
