"""Which source is played, and the commands that choose one and move in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from rfapp.gui import dialogs
from rfapp.gui.memory import with_newest
from rfapp.gui.play_list import PlayList
from rfapp.gui.source_picker import SourcePicker, icon_for, short_name
from rfapp.runtime import Ended, Idle, LivePipeline, Opening, Paused, Running, State
from rfapp.sources import SourceInfo

#: Right and left go so far in a video; in pictures to the next one.
STEP_S = 5.0


class Player(QObject):
    """Opens what the *picker* and the dialogs over *window* name. ``opening`` tells that another one is being opened.

    ``address``: what is played, "" for nothing. ``info``: what is known of it, None until it is open. ``recent``: what
    was played, the newest first.
    """

    opening = Signal()

    def __init__(self, pipeline: LivePipeline, picker: SourcePicker, recent: tuple[str, ...], window: QWidget) -> None:
        super().__init__(window)
        self._pipeline, self._picker, self._window = pipeline, picker, window
        self.address = ""
        self.info: SourceInfo | None = None
        self.recent = recent
        self.play_list = PlayList(self)
        self.play_list.wanted.connect(self._open)
        picker.set_recent(recent)
        picker.chosen.connect(self.open)
        picker.file_wanted.connect(self.choose_files)
        picker.folder_wanted.connect(self.choose_folder)
        picker.stream_wanted.connect(self.choose_stream)

    # ------------------------------------------------------------------------------ choosing

    @Slot(str)
    def open(self, address: str) -> None:
        """Play *address* (as in ``rfapp.sources.open_source``)."""
        self.play_list.forget()
        self._open(address)

    def open_all(self, addresses: Sequence[str]) -> None:
        """Play *addresses* one after the other."""
        self.play_list.start(addresses)

    @Slot(str)
    def open_or_retry(self, address: str) -> None:
        """Play *address*, or for "" once more what could not be played."""
        if address:
            self.open(address)
        elif self.address:
            self._open(self.address)  # it keeps its place on the list

    @Slot()
    def choose_files(self) -> None:
        """Ask for videos or pictures, and play them."""
        if paths := dialogs.ask_files(self._window, self.recent):
            self.open_all(paths)

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder of pictures, and play it."""
        self._choose(dialogs.ask_folder)

    @Slot()
    def choose_stream(self) -> None:
        """Ask for the address of a network stream, and play it."""
        self._choose(dialogs.ask_stream)

    def _choose(self, ask: Callable[[QWidget, Sequence[str]], str]) -> None:
        if address := ask(self._window, self.recent):
            self.open(address)

    @Slot(str)
    def _open(self, address: str) -> None:
        self.address = address
        self.opening.emit()
        self._picker.show_title(address, self.play_list.numbered(short_name(address)))
        self._pipeline.open(address, title=short_name(address))

    # ------------------------------------------------------------------------------ moving

    @Slot()
    def play_or_pause(self) -> None:
        """Pause what runs, go on with what is paused, start again what has ended."""
        if isinstance(self._pipeline.state, Running | Opening):
            self._pipeline.pause()
        elif self.address:
            self._pipeline.resume()

    def leap(self, time_s: float, direction: int) -> None:
        """From *time_s* go some seconds on (1) or back (-1); in pictures to the next one."""
        info = self.info
        if info is not None and info.seekable:
            step = 1.0 / info.rate if info.stills and info.rate else STEP_S
            self._pipeline.seek(max(0.0, time_s + direction * step))

    # ------------------------------------------------------------------------------ what becomes of it

    def show_state(self, state: State, picture_seconds: float) -> None:
        """Take note of the pipeline's *state*. A single picture of a list is looked at for *picture_seconds*."""
        if isinstance(state, Idle):
            self.address = ""
            self._picker.show_title("", "")
        if isinstance(state, Running | Paused) and self.address:
            self._remember(state.info)
        self.info = getattr(state, "info", None)
        if isinstance(state, Ended):
            # A single picture is at its end at once, and is to be looked at.
            self.play_list.ended(picture_seconds if state.info.stills else 0.0)
        else:
            self.play_list.stopped()

    def _remember(self, info: SourceInfo) -> None:
        if info.live and icon_for(self.address) == "camera":
            self.address = f"camera:{info.title}"  # by name, so that it is found again another day
        self._picker.show_title(self.address, self.play_list.numbered(info.title))
        self.recent = with_newest(self.recent, _whole(self.address))
        self._picker.set_recent(self.recent)


def _whole(address: str) -> str:
    """A path that still leads there when the app is started from another folder."""
    path = Path(address)
    return str(path.resolve()) if path.exists() else address
