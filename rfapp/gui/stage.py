"""The middle of the window: the picture, or a card that says why there is none, and messages over it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QWidget

from rfapp.errors import CameraBlack, CameraFailed, CameraLost, CameraNotFound, RfappError
from rfapp.gui.live_view import LiveView
from rfapp.gui.notice import Action, Banner, Card
from rfapp.gui.texts import hint_of, message_of, sentence_of
from rfapp.gui.theme import Theme
from rfapp.runtime import Ended, Failed, Idle, LiveResult, Opening, Paused, Running, State
from rfapp.sources import Camera

log = logging.getLogger(__name__)

#: The empty window offers at most so many buttons.
MOST_ACTIONS = 5


class Stage(QWidget):
    """Shows results and states of a pipeline. ``open_wanted`` carries an address, "" to try the last one again."""

    open_wanted = Signal(str)
    file_wanted = Signal()
    folder_wanted = Signal()
    cancel_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: State = Idle()
        self._cameras: Sequence[Camera] = ()
        self.view = LiveView(theme, self)
        self.card = Card(theme, self)
        self.banner = Banner(theme, self)
        self._loading = QLabel(self, objectName="loading", alignment=Qt.AlignmentFlag.AlignCenter)
        self._loading.setText(self.tr("Loading model…"))
        self._loading.hide()

    def clear(self) -> None:
        """Another source is being opened: nothing of the last one stays."""
        self.banner.hide()
        self.view.show_result(None)

    @Slot(object)
    def show_cameras(self, cameras: Sequence[Camera]) -> None:
        """Offer *cameras* in the empty window."""
        self._cameras = cameras
        if isinstance(self._state, Idle):
            self._tell_empty()

    def show_result(self, result: LiveResult, state: State) -> None:
        """Show a picture with its faces, unless the source went away meanwhile."""
        if not isinstance(state, Running | Paused | Ended):
            return  # a slow detection that ended after its camera went away
        if self.card.isVisible():
            self._show_card(False)
        self.view.show_result(result)

    def show_state(self, state: State) -> None:
        """Say what there is to say about *state*."""
        self._state = state
        match state:
            case Idle():
                self.view.show_result(None)
                self._tell_empty()
            case Opening(title, None):
                if self.view.result is None:
                    self.card.tell("camera", self.tr("Opening “{title}”…").format(title=title), "", self._cancel())
                    self._show_card(True)
            case Opening(title, problem):
                self._tell_lost(title, problem)
            case Running() | Paused():
                if self.view.result is not None:
                    self._show_card(False)
            case Ended(info, problem):
                if problem is not None:
                    self.show_problem(problem)
                if self.view.result is None:
                    self.card.tell("film", self.tr("“{title}” has ended").format(title=info.title), "", [])
            case Failed(error):
                self._tell_failed(error)

    def _tell_empty(self) -> None:
        actions: list[Action] = []
        for camera in self._cameras:
            use = self.tr("Use “{name}”").format(name=camera.name)
            actions.append((use, partial(self.open_wanted.emit, camera.address)))
        actions += [
            (self.tr("Play the built-in sample"), partial(self.open_wanted.emit, "sample")),
            (self.tr("Open video or picture…"), self.file_wanted.emit),
            (self.tr("Open folder of pictures…"), self.folder_wanted.emit),
        ]
        self.card.tell(
            "sample",
            self.tr("Find faces"),
            self.tr("Choose a camera, or drop a video, a picture or a folder here. Nothing leaves this computer."),
            actions[:MOST_ACTIONS],
        )
        self._show_card(True)

    def _tell_lost(self, title: str, problem: RfappError | None) -> None:
        text = "" if problem is None else sentence_of(problem)
        self.card.tell(
            "warning",
            self.tr("Waiting for “{title}”").format(title=title),
            f"{text} " + self.tr("It goes on by itself when the pictures come back."),
            self._cancel(),
        )
        self.view.show_result(None)
        self._show_card(True)

    def _tell_failed(self, error: RfappError) -> None:
        actions: list[Action] = [(self.tr("Try again"), partial(self.open_wanted.emit, ""))]
        if isinstance(error, CameraNotFound | CameraFailed | CameraLost | CameraBlack):
            actions.append((self.tr("Play the built-in sample"), partial(self.open_wanted.emit, "sample")))
        else:
            actions.append((self.tr("Open something else…"), self.file_wanted.emit))
        self.card.tell("warning", message_of(error), hint_of(error), actions)
        self.view.show_result(None)
        self._show_card(True)

    def _cancel(self) -> list[Action]:
        return [(self.tr("Cancel"), self.cancel_wanted.emit)]

    @Slot(object)
    def show_problem(self, error: RfappError) -> None:
        """Say something that ends nothing in the strip over the picture."""
        log.warning("%s", error)
        self.banner.tell(sentence_of(error))

    def show_loading(self, loading: bool) -> None:
        """“Loading model…” over a picture that runs before its detector does."""
        result = self.view.result
        self._loading.setVisible(loading and result is not None and result.detections is None)
        if self._loading.isVisible():
            self._loading.raise_()

    def _show_card(self, shown: bool) -> None:
        self.card.setVisible(shown)
        if shown:
            self.card.raise_()
            self.banner.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.view.setGeometry(self.rect())
        self.card.setGeometry(self.rect())
        self.banner.fit()
        self._loading.adjustSize()
        self._loading.move((self.width() - self._loading.width()) // 2, 18)
        super().resizeEvent(event)
