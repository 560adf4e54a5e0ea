"""The line under the time line that says how far the search for all faces is, and what is done."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QToolButton, QWidget

from rfapp.gui.theme import Theme

#: In a narrower window the words have more of the room.
ROOMY = 560


class ScanBar(QWidget):
    """One line under the time line: how far it is with a button that cancels, or what was found with one that saves; of
    a part also one that starts over."""

    cancelled = Signal()
    over_wanted = Signal()
    save_wanted = Signal()
    put_away = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__(objectName="scanBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self.setAccessibleName(self.tr("All faces of the video"))
        self._progress = QProgressBar(textVisible=False, accessibleName=self.tr("Progress"))
        self._progress.setRange(0, 1000)
        self._progress.setFixedHeight(6)
        self._text = QLabel(objectName="muted", wordWrap=True)
        self.cancel = QPushButton(self.tr("Cancel"), objectName="small")
        self.cancel.setAccessibleDescription(self.tr("What was found until now is kept."))
        self.cancel.clicked.connect(self.cancelled)
        self.over = QToolButton(text=self.tr("Start over"), accessibleName=self.tr("Start over"))
        self.over.setToolTip(self.tr("Look through the video from its beginning again"))
        self.over.clicked.connect(self.over_wanted)
        self.save = QPushButton(self.tr("Save results…"), objectName="small")
        self.save.clicked.connect(self.save_wanted)
        self._close = QToolButton(toolTip=self.tr("Put away"), accessibleName=self.tr("Put this line away"))
        self._close.clicked.connect(self.put_away)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 4, 10, 6)
        row.setSpacing(12)
        row.addWidget(self._progress)
        row.addWidget(self._text, 1)
        for button in (self.cancel, self.over, self.save, self._close):
            row.addWidget(button)
        theme.changed.connect(self._recolour)
        self._recolour()
        self.hide()

    def _recolour(self) -> None:
        self._close.setIcon(self._theme.icon("close"))
        self.over.setIcon(self._theme.icon("reset"))

    def resizeEvent(self, event: QResizeEvent) -> None:
        roomy, style = event.size().width() >= ROOMY, Qt.ToolButtonStyle
        self._progress.setFixedWidth(120 if roomy else 50)
        self.over.setToolButtonStyle(style.ToolButtonTextBesideIcon if roomy else style.ToolButtonIconOnly)
        super().resizeEvent(event)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_progress(self, text: str, part: float | None) -> None:
        """It is under way; *part*: how far, from 0 to 1, None where that is not known."""
        self._say(text)
        self._progress.setRange(0, 0 if part is None else 1000)
        self._progress.setValue(round((part or 0.0) * 1000))
        self._show_only(self._progress, self.cancel)

    def show_found(self, text: str, about: str, *, can_save: bool, can_go_on: bool = False) -> None:
        """It is over. *about*: how it was looked for. *can_go_on*: there is a rest, and so a way to start over."""
        self._say(text)
        self._text.setToolTip(about)
        self._show_only(self._close, *[self.save] * can_save, *[self.over] * can_go_on)

    def _show_only(self, *shown: QWidget) -> None:
        for widget in (self._progress, self.cancel, self.over, self.save, self._close):
            widget.setVisible(widget in shown)

    def _say(self, text: str) -> None:
        if text != self._text.text():
            self._text.setText(text)
            self._text.setToolTip("")
            self.setAccessibleDescription(text)
