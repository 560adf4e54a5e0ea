"""The strip of small pictures under the picture: what else is in the folder, or on the list of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    QStringListModel,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QColor, QHideEvent, QImage, QKeyEvent, QPainter, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from rfapp.gui.play_list import PlayList
from rfapp.gui.source_picker import icon_for, short_name
from rfapp.gui.theme import Theme
from rfapp.gui.thumbnailer import Thumbnail, Thumbnailer
from rfapp.runtime import LiveResult
from rfapp.settings import HidingSettings
from rfapp.sources import SourceInfo

#: Of a thumbnail, in logical pixels.
WIDTH, HEIGHT = 96, 64
_GAP, _NAME = 6, 20
_CELL = QSize(WIDTH + 2 * _GAP, HEIGHT + 2 * _GAP + _NAME)
_SCROLL_BAR = 10
#: Thumbnails are read for where the strip comes to rest.
REST_MS = 60

_Index = QModelIndex | QPersistentModelIndex


class _Model(QStringListModel):
    """The names of files (or other addresses), in order. Rows cost nothing until they are looked at: Qt's own list
    counts them, for a layout asks of each row whether it is there, which Python takes 0.2 s for with 50,000.
    """

    def __init__(self, thumbnails: Thumbnailer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self.names: Sequence[str | Path] = ()
        self.place = -1

    def show_names(self, names: Sequence[str | Path]) -> None:
        self.names, self.place = names, -1
        self.setStringList([""] * len(names))

    def thumbnail(self, row: int) -> tuple[bool, Thumbnail]:
        return self._thumbnails.get(str(self.names[row]))

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name = str(self.names[index.row()])
        if role == Qt.ItemDataRole.DisplayRole:
            return short_name(name)
        if role == Qt.ItemDataRole.ToolTipRole:
            _, made = self.thumbnail(index.row())
            return f"{short_name(name)}\n{made}" if isinstance(made, str) else short_name(name)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(index.row(), short_name(name))
        return None

    def _spoken(self, row: int, name: str) -> str:
        text = self.tr("{name}, {place} of {count}").format(name=name, place=row + 1, count=len(self.names))
        _, made = self.thumbnail(row)
        if isinstance(made, str):
            text += " · " + made
        return text + " · " + self.tr("shown now") if row == self.place else text


class _Painter(QStyledItemDelegate):
    """A thumbnail, or an icon where there is none, over its name."""

    def __init__(self, theme: Theme, model: _Model, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme, self._model = theme, model

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return _CELL

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        colours, row = self._theme.colours, index.row()
        cell: QRect = option.rect
        state: QStyle.StateFlag = option.state
        current = row == self._model.place
        focused = bool(state & QStyle.StateFlag.State_HasFocus)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if current or focused or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(QColor(colours.accent), 2) if current or focused else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.raised if current else colours.hover))
            if focused and not current:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor(colours.accent), 1, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(cell.adjusted(2, 2, -2, -2), 6, 6)
        self._paint_picture(painter, row, QRect(cell.left() + _GAP, cell.top() + _GAP, WIDTH, HEIGHT))
        self._paint_name(painter, cell, row, current=current)
        painter.restore()

    def _paint_picture(self, painter: QPainter, row: int, room: QRect) -> None:
        there, made = self._model.thumbnail(row)
        if isinstance(made, QImage):
            ratio = painter.device().devicePixelRatioF()
            size = (made.size() / ratio).expandedTo(QSize(1, 1))
            if size.width() > WIDTH or size.height() > HEIGHT:  # it was made for a screen with more pixels
                size.scale(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
            place = QRect(QPoint(), size)
            place.moveCenter(room.center())
            painter.drawImage(place, made)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.colours.stage_empty))
        painter.drawRoundedRect(room, 4, 4)
        if there:
            icon = "warning" if isinstance(made, str) else icon_for(str(self._model.names[row]))
            box = QRect(0, 0, 24, 24)
            box.moveCenter(room.center())
            self._theme.icon(icon).paint(painter, box)

    def _paint_name(self, painter: QPainter, cell: QRect, row: int, *, current: bool) -> None:
        font = painter.font()
        font.setBold(current)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.colours.text if current else self._theme.colours.muted))
        room = QRect(cell.left() + _GAP, cell.bottom() - _GAP - _NAME + 3, WIDTH, _NAME)
        name = short_name(str(self._model.names[row]))
        text = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter, text)


class Strip(QListView):
    """The pictures of a source that has several, else what is on *play_list*. A click goes there: ``sought`` carries
    the time of a picture on the source's clock.

    Left and Right go along it, Enter goes to where they have led. Only what can be seen is read from the disk, and
    nothing while the strip is hidden.
    """

    sought = Signal(float)

    def __init__(self, theme: Theme, play_list: PlayList, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="strip")
        self._play_list = play_list
        self._rate: float | None = None  # of a source with several pictures
        ratio = self.devicePixelRatio()
        self._thumbnails = Thumbnailer(round(WIDTH * ratio), round(HEIGHT * ratio), self)
        self._model = _Model(self._thumbnails, self)
        self.setModel(self._model)
        self.setItemDelegate(_Painter(theme, self._model, self))
        self.setAccessibleName(self.tr("Pictures of the folder or list"))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        # A click leaves the keyboard to the window, whose arrow keys go from picture to picture.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(_CELL.height() + _SCROLL_BAR + 2)
        self._at_rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._at_rest.timeout.connect(self._look)
        self._thumbnails.ready.connect(self._show_ready)
        self.clicked.connect(self._clicked)
        self.horizontalScrollBar().valueChanged.connect(self._moved)
        theme.changed.connect(self.viewport().update)
        self.hide()

    def show_source(self, info: SourceInfo | None, result: LiveResult | None) -> bool:
        """Show what there is to choose from besides *info*; False where there is nothing."""
        if info is not None and len(info.files) > 1:
            self._rate = info.rate
            self._show_names(info.files)
            self.show_result(result)
        else:
            self._rate = None
            self._show_names(self._play_list.addresses)
            self._show_place(self._play_list.place)
        return self._model.rowCount() > 1

    def show_result(self, result: LiveResult | None) -> None:
        """Follow the picture."""
        if result is not None and self._rate is not None:
            self._show_place(result.frame.index)

    def _show_names(self, names: Sequence[str | Path]) -> None:
        if names is not self._model.names and names != self._model.names:
            self._model.show_names(names)
            self._moved()

    def _show_place(self, place: int) -> None:
        """Mark the one that is shown, and have it in sight unless somebody is looking around with the mouse."""
        before = self._model.place
        if place == before or not 0 <= place < self._model.rowCount():
            return
        self._model.place = place
        index = self._model.index(place)
        if not self.underMouse():
            if not self.hasFocus() or self.currentIndex().row() in (-1, before):
                self.setCurrentIndex(index)  # where the keyboard goes on from
            self.scrollTo(index)
        for row in (before, place):
            if row >= 0:
                self.update(self._model.index(row))

    def hide_faces(self, hiding: HidingSettings) -> None:
        """Make the thumbnails unrecognisable while faces are hidden."""
        self._thumbnails.hide(None if hiding.how == "off" else hiding)
        self.viewport().update()
        self._moved()

    def _visible(self) -> range:
        width = _CELL.width()
        first = self.horizontalOffset() // width
        count = self.viewport().width() // width + 2
        return range(max(0, first), min(first + count, self._model.rowCount()))

    @Slot()
    def _moved(self) -> None:
        if self.isVisible():
            self._at_rest.start()

    @Slot()
    def _look(self) -> None:
        rows = self._visible()
        middle = (rows.start + rows.stop) / 2
        wanted = sorted(rows, key=lambda row: (row != self._model.place, abs(row - middle)))
        self._thumbnails.want([str(self._model.names[row]) for row in wanted])

    @Slot(str)
    def _show_ready(self, name: str) -> None:
        for row in self._visible():
            if str(self._model.names[row]) == name:
                self.update(self._model.index(row))

    @Slot(QModelIndex)
    def _clicked(self, index: QModelIndex) -> None:
        self._go(index.row())

    def _go(self, place: int) -> None:
        if self._rate is None:
            self._play_list.go(place)
        else:
            self.sought.emit(place / self._rate)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Only what leads along the strip; Space, say, is the window's."""
        keys = Qt.Key
        if event.key() in (keys.Key_Return, keys.Key_Enter):
            if self.currentIndex().isValid():
                self._go(self.currentIndex().row())
        elif event.key() in (keys.Key_Left, keys.Key_Right, keys.Key_Home, keys.Key_End, keys.Key_PageUp,
                             keys.Key_PageDown):  # fmt: skip
            super().keyPressEvent(event)
        else:
            event.ignore()

    def wheelEvent(self, event: Any) -> None:
        """A wheel that turns up and down goes along the strip, too."""
        delta = event.angleDelta()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - (delta.x() or delta.y()))
        event.accept()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._moved()
        if self._model.place >= 0:
            self.scrollTo(self._model.index(self._model.place))

    def hideEvent(self, event: QHideEvent) -> None:
        self._at_rest.stop()
        self._thumbnails.want(())
        super().hideEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._moved()
