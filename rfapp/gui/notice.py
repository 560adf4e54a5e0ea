"""What stands where the picture would be (nothing open, an error), and the strip over the picture (a problem)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from rfapp.gui.theme import Theme

Action = tuple[str, Callable[[], None]]


class Card(QWidget):
    """An icon, a title, a sentence and buttons, in the middle of its room. The first button is the obvious one."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icon_name = "sample"
        self._icon = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._title = QLabel(objectName="title", alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self._text = QLabel(objectName="muted", alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._buttons = QVBoxLayout(spacing=8)
        column = QVBoxLayout(spacing=10)
        column.addStretch(2)
        for label in (self._icon, self._title, self._text):
            label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
            column.addWidget(label)
        column.addSpacing(8)
        column.addLayout(self._buttons)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(20, 16, 20, 16)
        row.addStretch(1)
        row.addLayout(column, 100)
        row.addStretch(1)
        self._column = column
        theme.changed.connect(self._recolour)

    def tell(self, icon: str, title: str, text: str, actions: Sequence[Action]) -> None:
        """Say something else."""
        self._icon_name = icon
        self._title.setText(title)
        self._text.setText(text)
        self._text.setVisible(bool(text))
        while (item := self._buttons.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for place, (label, act) in enumerate(actions):
            button = QPushButton(label, objectName="primary" if place == 0 else "")
            button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            button.setMinimumWidth(220)
            button.clicked.connect(lambda _checked=False, act=act: act())
            self._buttons.addWidget(button, alignment=Qt.AlignmentFlag.AlignHCenter)
            button.show()  # with the sentence; the layout would show it one round of events later
        self._recolour()

    def _recolour(self) -> None:
        self._icon.setPixmap(self._theme.icon(self._icon_name).pixmap(48, 48))


class Banner(QFrame):
    """One sentence over the lower edge of the picture, with a button that puts it away."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, objectName="banner")
        self._room = parent
        self._theme = theme
        self._icon = QLabel()
        self._text = QLabel(wordWrap=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._close = QToolButton(toolTip=self.tr("Put away"), accessibleName=self.tr("Put this message away"))
        self._close.clicked.connect(self.hide)
        row = self._row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 6, 8)
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addWidget(self._close, alignment=Qt.AlignmentFlag.AlignTop)
        theme.changed.connect(self._recolour)
        self._recolour()
        self.hide()

    @property
    def text(self) -> str:
        return self._text.text()

    def tell(self, text: str) -> None:
        """Show *text* until it is put away or another one comes."""
        self._text.setText(text)
        self.show()
        self.fit()
        self.raise_()

    def fit(self) -> None:
        """Take the place at the lower edge of the parent."""
        room = self._room.rect()
        width = min(room.width() - 24, 720)
        height = self._row.totalHeightForWidth(width)
        self.setGeometry((room.width() - width) // 2, room.height() - height - 12, width, height)

    def _recolour(self) -> None:
        self._icon.setPixmap(self._theme.icon("warning").pixmap(20, 20))
        self._close.setIcon(self._theme.icon("close"))
