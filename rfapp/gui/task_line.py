"""One slow thing at a time: what is being done, how far it is, and how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from rfapp.errors import RfappError
from rfapp.gui.tasks import Task
from rfapp.gui.texts import sentence_of
from rfapp.weights.downloads import Cancelled


class TaskLine(QWidget):
    """A sentence, and below it, while something is under way, a bar and a button that cancels it.

    ``busy_changed`` tells whether something is under way from now on.
    """

    busy_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._then: Callable[[Any], None] = self.tell
        self._said = QLabel(wordWrap=True)
        self._said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._bar = QProgressBar(textVisible=False)
        self._bar.setMaximumHeight(8)
        self._cancel = QPushButton(self.tr("Cancel"))
        self._cancel.clicked.connect(self._cancel_task)
        row = QHBoxLayout(spacing=10)
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        column = QVBoxLayout(self, spacing=8)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._said)
        column.addLayout(row)
        self._show_busy()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._task is not None

    def text(self) -> str:
        """What is said."""
        return self._said.text()

    def start(self, work: Callable[[Callable[[int, int], bool]], Any], text: str, then: Callable[[Any], None]) -> None:
        """Do *work* as a :class:`Task`, unless something is under way; meanwhile say *text*. *then* is given what it
        returned; an error is said here."""
        if self._task is not None:
            return
        self._task, self._then = Task(work, self), then
        self._task.advanced.connect(self._advance)
        self._task.succeeded.connect(self._succeeded)
        self._task.failed.connect(self._failed)
        self._said.setText(text)
        self._show_busy()
        self._task.start()

    def tell(self, text: str) -> None:
        """Say *text*."""
        self._said.setText(text)

    @Slot(object, object)
    def _advance(self, done: int, total: int) -> None:
        # In thousandths: Qt's bars count in 32 bits.
        self._bar.setRange(0, 1000 if total else 0)
        self._bar.setValue(round(1000 * done / total) if total else 0)

    @Slot(object)
    def _succeeded(self, result: object) -> None:
        self._end("")
        self._then(result)

    @Slot(object)
    def _failed(self, error: RfappError) -> None:
        self._end(self.tr("Cancelled.") if isinstance(error, Cancelled) else sentence_of(error))

    def _end(self, text: str) -> None:
        self._task = None
        self._said.setText(text)
        self._show_busy()

    @Slot()
    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _show_busy(self) -> None:
        self._bar.setRange(0, 0)
        self._bar.setVisible(self.busy)
        self._cancel.setVisible(self.busy)
        self.busy_changed.emit(self.busy)
