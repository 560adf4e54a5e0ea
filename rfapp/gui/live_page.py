"""The page of the live picture: the picture, what is below it, and the settings beside or over it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from rfapp.gui.past import Past
from rfapp.gui.play_list import PlayList
from rfapp.gui.scan import ScanControl
from rfapp.gui.settings_pane import SettingsPane
from rfapp.gui.stage import Stage
from rfapp.gui.strip import Strip
from rfapp.gui.theme import Theme
from rfapp.gui.timeline import Timeline
from rfapp.runtime import LivePipeline
from rfapp.sources import SourceInfo

if TYPE_CHECKING:
    from rfapp.gui.history import History

PANE_WIDTH = 312
#: In a narrower page the settings lie over the picture instead of beside it.
NARROW = 760
#: In a lower page there is no room for thumbnails.
LOW = 360


class LivePage(QWidget):
    """Stage, curves, thumbnails, time line and the line of a scan in a column; the settings pane at its right."""

    resized = Signal()

    def __init__(
        self, theme: Theme, play_list: PlayList, models: tuple[tuple[str, str], ...], *, remember: bool
    ) -> None:
        super().__init__()
        self._theme = theme
        self.stage = Stage(theme)
        self.strip = Strip(theme, play_list)
        self.timeline = Timeline(theme)
        self.scans = ScanControl(theme, self.timeline, remember=remember, parent=self)
        self.past = Past()
        self.history: History | None = None
        self._middle = QWidget(self)
        self._column = QVBoxLayout(self._middle)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.stage, 1)
        for below in (self.strip, self.timeline, self.scans.bar):
            self._column.addWidget(below)
        self.pane = SettingsPane(theme, {"models": models})
        self.pane.setParent(self)

    def show_pane(self, shown: bool) -> None:
        """Open or close the settings."""
        self.pane.setVisible(shown)
        self.lay_out()

    def toggle_history(self) -> None:
        """Show the curves of the last minutes under the picture, or put them away."""
        if self.history is None:  # only now: the library that draws it takes its time to load
            from rfapp.gui.history import History

            self.history = History(self._theme, self.past)
            self.history.hide()
            self._column.insertWidget(1, self.history)
        self.history.setVisible(self.history.isHidden())
        self.history.redraw()

    def note(self, pipeline: LivePipeline) -> None:
        """Remember the figures of now for the curves; called a few times a second."""
        self.past.note(pipeline, self.stage.view.result, time.monotonic())
        if self.history is not None and self.history.isVisible():
            self.history.redraw()
        self.stage.show_loading(pipeline.loading is not None)

    def show_source(self, address: str, info: SourceInfo | None, *, thumbnails: bool) -> None:
        """*info* is what is open at *address*; *thumbnails*: whether what lies beside it is to be shown."""
        self.show_strip(info, wanted=thumbnails)
        full = self.window().isFullScreen()
        self.timeline.show_source(None if full else info)
        self.scans.show_source(address, info, full_screen=full)
        if self.stage.view.result is not None:
            self.timeline.show_time(self.stage.view.result.frame.time_s)

    def show_strip(self, info: SourceInfo | None, *, wanted: bool) -> None:
        """Show the thumbnails of what lies beside the source, where they are *wanted* and there is room."""
        useful = self.strip.show_source(info, self.stage.view.result)
        self.strip.setVisible(useful and wanted and not self.window().isFullScreen() and self.height() >= LOW)

    def lay_out(self) -> None:
        """Give the settings and the rest their places; in full screen the settings have none."""
        room, full = self.rect(), self.window().isFullScreen()
        beside = not self.pane.isHidden() and not full and room.width() >= NARROW
        width = min(PANE_WIDTH, room.width() - 40)
        self.pane.setGeometry(QRect() if full else QRect(room.right() + 1 - width, 0, width, room.height()))
        self._middle.setGeometry(room.adjusted(0, 0, -width if beside else 0, 0))
        self.pane.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.lay_out()
        self.resized.emit()
