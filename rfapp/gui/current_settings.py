"""The settings in use: one snapshot after the other, given to the pipeline and kept for the next start."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from rfapp.gui.saving import Saver
from rfapp.runtime import LivePipeline
from rfapp.settings import Settings

SAVE_AFTER_MS = 500


class CurrentSettings(QObject):
    """``changed`` carries the snapshot of before and the new one. ``overruled`` carries the new one before that, where
    something else than the settings pane has changed it. *saver*: None when nothing is to be kept."""

    changed = Signal(object, object)
    overruled = Signal(object)

    def __init__(self, pipeline: LivePipeline, saver: Saver | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pipeline, self._saver = pipeline, saver
        self.now = pipeline.settings
        self._save_later = QTimer(self, singleShot=True, interval=SAVE_AFTER_MS)
        self._save_later.timeout.connect(self._save)

    def change(self, **values: Any) -> None:
        """Change some settings, named as in ``Settings.changed``."""
        self.put(self.now.changed(**values))

    def put(self, settings: Settings) -> None:
        """Use *settings*, and show them in the pane."""
        self.overruled.emit(settings)
        self.take(settings)

    @Slot(object)
    def take(self, settings: Settings) -> None:
        """Use *settings*, which the pane shows already."""
        before, self.now = self.now, settings
        self.changed.emit(before, settings)
        self._pipeline.apply(settings)
        self._save_later.start()

    def close(self) -> None:
        """Hand over at once what was to be saved in a moment."""
        if self._save_later.isActive():
            self._save_later.stop()
            self._save()

    def _save(self) -> None:
        if self._saver is not None:
            self._saver.settings(self.now)
