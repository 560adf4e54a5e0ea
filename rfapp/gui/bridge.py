"""Brings what worker threads tell onto Qt's thread, without ever letting it pile up."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from rfapp.errors import RfappError
from rfapp.runtime import LivePipeline, LiveResult, Mailbox, State


class LiveBridge(QObject):
    """Turns the callbacks of a pipeline into signals. Make it on Qt's thread.

    Results go through a one-slot mailbox and one signal that is not sent again before it was answered: while painting
    is slow, results are skipped, never stored.
    """

    result_arrived = Signal(object)
    state_changed = Signal(object)
    error_happened = Signal(object)
    recording_ended = Signal(object)
    _something_new = Signal()

    def __init__(self, pipeline: LivePipeline, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._statistics = pipeline.statistics
        self._results: Mailbox[LiveResult] = Mailbox()
        self._announced = False
        self._something_new.connect(self._take)
        self._unsubscribe = pipeline.subscribe(
            self._on_result, self._on_state, self._on_error, self.recording_ended.emit
        )

    def disconnect_from_pipeline(self) -> None:
        """Hear nothing more."""
        self._unsubscribe()
        self._results.close()

    def _on_result(self, result: LiveResult) -> None:
        replaced = self._results.put(result)
        if replaced is not None and replaced.fresh and not replaced.repeated:
            self._statistics.frame_dropped(replaced.frame)
        if not self._announced:
            self._announced = True
            self._something_new.emit()

    def _on_state(self, state: State) -> None:
        self.state_changed.emit(state)

    def _on_error(self, error: RfappError) -> None:
        self.error_happened.emit(error)

    @Slot()
    def _take(self) -> None:
        # Cleared first: what arrives between here and `take` announces itself again, which costs an empty round.
        self._announced = False
        result = self._results.take(timeout=0)
        if result is not None:
            self.result_arrived.emit(result)
