"""The window: the picture in the middle, the source above, the settings beside, the figures below."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from rfapp.datasets.runs import RunFolder
from rfapp.gui import dialogs
from rfapp.gui import memory as memory_store
from rfapp.gui.bridge import LiveBridge
from rfapp.gui.controls import Choice
from rfapp.gui.live_page import NARROW, LivePage
from rfapp.gui.memory import Memory
from rfapp.gui.models_page import ModelsPage, model_choices
from rfapp.gui.play_list import PlayList
from rfapp.gui.saving import Saver, new_recording, told_of_recording
from rfapp.gui.source_picker import CameraFinder, icon_for, short_name
from rfapp.gui.status_line import StatusLine
from rfapp.gui.theme import Theme, app_icon
from rfapp.gui.toolbar import LIVE, MODELS, TRAIN, Toolbar
from rfapp.places import log_dir
from rfapp.runtime import Ended, Idle, LivePipeline, LiveResult, Opening, Paused, Recording, Running, State
from rfapp.settings import Settings
from rfapp.sources import Camera, SourceInfo
from rfapp.sources.kinds import natural

if TYPE_CHECKING:
    from rfapp.gui.training_page import TrainingPage

log = logging.getLogger(__name__)

#: The figures of the status line change this often.
STATUS_EVERY_MS = 400
SAVE_AFTER_MS = 500
#: Right and left go so far in a video; in pictures to the next one.
STEP_S = 5.0


class Window(QWidget):
    """The main window. It watches a pipeline and gives it commands."""

    first_painted = Signal()

    def __init__(
        self,
        pipeline: LivePipeline,
        theme: Theme,
        *,
        models: tuple[tuple[str, str], ...],
        remember: bool = True,
    ) -> None:
        super().__init__()
        self._pipeline, self._theme, self._remember = pipeline, theme, remember
        self._settings = pipeline.settings
        self._memory = memory_store.load(memory_store.memory_file()) if remember else Memory()
        self._address = ""
        self._info: SourceInfo | None = None
        self._was_painted = False
        self.setWindowTitle("rfapp")
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(360, 300)
        self.finder = CameraFinder(self)
        self._saver = Saver(self)
        self.play_list = PlayList(self)
        self.play_list.wanted.connect(self._open)
        self._build(models)
        self._connect()
        self._shortcuts()
        self._status_timer = QTimer(self, interval=STATUS_EVERY_MS)
        self._status_timer.timeout.connect(self._refresh_status)
        self._status_timer.start()
        self._save_later = QTimer(self, singleShot=True, interval=SAVE_AFTER_MS)
        self._save_later.timeout.connect(self._save_settings)
        self._hide_how = "blur"
        self._show_settings()
        self.pane.show_settings(self._settings)
        self._place_window()
        self._show_state(Idle())
        self.view.setFocus()

    # ------------------------------------------------------------------------------ building

    def _build(self, models: tuple[tuple[str, str], ...]) -> None:
        self.toolbar = Toolbar(self._theme, self.finder)
        self.live_page = LivePage(self._theme, self.play_list, models, remember=self._remember)
        self.stage, self.view, self.strip = self.live_page.stage, self.live_page.stage.view, self.live_page.strip
        self.timeline, self.scans, self.pane = self.live_page.timeline, self.live_page.scans, self.live_page.pane
        self.models_page = ModelsPage(self._theme)
        self.status = StatusLine()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.live_page)
        self._train_holder = QWidget(objectName="page")
        QVBoxLayout(self._train_holder).setContentsMargins(0, 0, 0, 0)
        self.training_page: TrainingPage | None = None
        self._pages.addWidget(self._train_holder)
        self._pages.addWidget(self.models_page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.toolbar)
        outer.addWidget(self._pages, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        self.bridge = LiveBridge(self._pipeline, self)
        self.bridge.result_arrived.connect(self._show_result)
        self.bridge.state_changed.connect(self._show_state)
        self.bridge.error_happened.connect(self.stage.show_problem)
        self.bridge.recording_ended.connect(self._recording_ended)
        toolbar, stage = self.toolbar, self.stage
        toolbar.picker.set_recent(self._memory.recent)
        for signal, act in (
            (toolbar.picker.chosen, self.open),
            (toolbar.picker.file_wanted, self._choose_files),
            (toolbar.picker.folder_wanted, partial(self._choose, dialogs.ask_folder)),
            (toolbar.picker.stream_wanted, partial(self._choose, dialogs.ask_stream)),
            (toolbar.play_clicked, self.play_or_pause),
            (toolbar.stop_clicked, self._pipeline.stop),
            (toolbar.snapshot_clicked, self.save_snapshot),
            (toolbar.record_clicked, self.toggle_recording),
            (toolbar.hide_clicked, self.toggle_hiding),
            (toolbar.mirror_clicked, self.toggle_mirror),
            (toolbar.full_screen_clicked, self.toggle_full_screen),
            (toolbar.pane_clicked, self.show_pane),
            (toolbar.page_chosen, self.show_page),
            (toolbar.about_wanted, partial(dialogs.tell_about, self)),
            (toolbar.log_wanted, self._show_log),
            (toolbar.report_wanted, self._report),
            (toolbar.crops_wanted, self.save_crops),
            (toolbar.history_wanted, self.live_page.toggle_history),
            (toolbar.send_wanted, self.toggle_sending),
            (toolbar.find_wanted, self.find_all),
            (toolbar.quit_wanted, self.close),
            (stage.open_wanted, self._open_or_retry),
            (stage.file_wanted, self._choose_files),
            (stage.folder_wanted, partial(self._choose, dialogs.ask_folder)),
            (stage.cancel_wanted, self._pipeline.stop),
            (self.view.painted, self._painted),
            (self.view.double_clicked, self.toggle_full_screen),
            (self.view.face_clicked, self.show_or_hide_face),
            (self.live_page.resized, self._show_strip),
            (self.timeline.sought, self._pipeline.seek),
            (self.timeline.find_wanted, self.find_all),
            (self.scans.said, self.tell),
            (self.strip.sought, self._pipeline.seek),
            (self.pane.changed, self._settings_changed),
            (self.models_page.chosen, self._use_model),
            (self.models_page.changed, self._models_changed),
            (self._saver.said, self.tell),
        ):
            signal.connect(act)

    def _shortcuts(self) -> None:
        for keys, act in (
            ("F", self.toggle_full_screen),
            ("F11", self.toggle_full_screen),
            ("M", self.toggle_mirror),
            ("R", self.toggle_recording),
            ("H", self.toggle_hiding),
            ("T", self.toggle_tracking),
            ("S", self.save_snapshot),
            ("C", self.save_crops),
            ("G", self.live_page.toggle_history),
            ("L", self.toggle_thumbnails),
            ("V", self.toggle_sending),
            ("A", self.find_all),
            ("Ctrl+Right", self.timeline.go_on),
            ("Ctrl+Left", self.timeline.go_back),
            ("N", self.play_list.next),
            ("P", self.play_list.previous),
            (".", partial(self._pipeline.step, 1)),
            (",", partial(self._pipeline.step, -1)),
            ("]", partial(self._change_speed, 2.0)),
            ("[", partial(self._change_speed, 0.5)),
            ("Backspace", partial(self._change_speed, 0.0)),
            ("Ctrl+,", lambda: self.show_pane(not self.pane.isVisible())),
            ("Ctrl+O", self._choose_files),
            ("Ctrl+Shift+O", partial(self._choose, dialogs.ask_folder)),
            ("Ctrl+Q", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # ------------------------------------------------------------------------------ commands

    @Slot(str)
    def open(self, address: str) -> None:
        """Play *address* (as in ``rfapp.sources.open_source``)."""
        self.play_list.forget()
        self._open(address)

    def open_all(self, addresses: Sequence[str]) -> None:
        """Play *addresses* one after the other."""
        self.play_list.start(addresses)

    @Slot(str)
    def _open(self, address: str) -> None:
        self._address = address
        self.show_page(LIVE)
        self.stage.clear()
        self.toolbar.picker.show_title(address, self.play_list.numbered(short_name(address)))
        self._pipeline.open(address, title=short_name(address))

    @Slot(str)
    def _open_or_retry(self, address: str) -> None:
        if address or self._address:
            self.open(address or self._address)

    def play_or_pause(self) -> None:
        """Pause what runs, go on with what is paused, start again what has ended."""
        if isinstance(self._pipeline.state, Running | Opening):
            self._pipeline.pause()
        elif self._address:
            self._pipeline.resume()

    def save_snapshot(self) -> None:
        """Save the shown picture at its own size, with what is painted over it, to the user's folder of pictures."""
        result = self.view.looked_at
        if result is not None:
            self._saver.snapshot(result, self._settings.drawn)

    def save_crops(self) -> None:
        """Save each face of the shown picture, cut out upright, to the user's folder of pictures."""
        result = self.view.looked_at
        if result is not None:
            self._saver.crops(result)

    def find_all(self) -> None:
        """Find the faces of every frame of the video that is open, in the background."""
        self.scans.start(self._settings)

    def toggle_recording(self) -> None:
        """Record what is shown to the user's folder of videos, or complete the recording."""
        if self._pipeline.recording is not None:
            self._pipeline.stop_recording()
        elif isinstance(self._pipeline.state, Running | Paused):
            self.record(new_recording())
        self.toolbar.show_recording(self._pipeline.recording is not None)

    def record(self, path: Path) -> None:
        """Record what is shown to the video *path* from the next frame on."""
        self._pipeline.record(path)
        self.toolbar.show_recording(True)
        self._refresh_status()

    def toggle_sending(self) -> None:
        """Send what is played to a virtual camera, or stop it."""
        if self._pipeline.sending is None:
            self._pipeline.send()
        else:
            self._pipeline.stop_sending()
        self._refresh_status()

    @Slot(object)
    def _recording_ended(self, recording: Recording) -> None:
        self.toolbar.show_recording(self._pipeline.recording is not None)
        self._refresh_status()
        self.tell(told_of_recording(recording))

    def _report(self) -> None:
        if path := dialogs.ask_report_file(self):
            self._saver.report(Path(path))

    def toggle_tracking(self) -> None:
        """Follow the faces from frame to frame, or stop it."""
        self._change(self._settings.changed(tracking_on=not self._settings.tracking.on))

    def toggle_hiding(self) -> None:
        """Hide the faces in the way that was last chosen, or show them."""
        hidden = self._settings.hiding.how != "off"
        self._change(self._settings.changed(hiding_how="off" if hidden else self._hide_how))

    @Slot(int)
    def show_or_hide_face(self, number: int) -> None:
        """While faces are hidden: show the face with this *number*, or hide it again."""
        self._pipeline.show_face(number, number not in self._pipeline.shown_faces)

    def _show_or_hide_nth(self, place: int) -> None:
        """The same for the face that stands at this *place* from the left, the first being 0."""
        result = self.view.result
        faces = None if result is None else result.detections
        if self._settings.hiding.how == "off" or faces is None or faces.tracks is None or place >= len(faces):
            return
        sides = faces.boxes[:, 0] + faces.boxes[:, 2]
        order = (-sides if self._settings.view.mirror else sides).argsort(kind="stable")
        self.show_or_hide_face(int(faces.tracks[order[place]]))

    def toggle_mirror(self) -> None:
        self._change(self._settings.changed(view_mirror=not self._settings.view.mirror))

    def toggle_thumbnails(self) -> None:
        """Show what else is in the folder or on the list, or leave it out."""
        self._change(self._settings.changed(view_thumbnails=not self._settings.view.thumbnails))

    def toggle_full_screen(self) -> None:
        if self._pages.currentIndex() != LIVE:
            return
        full = not self.isFullScreen()
        for part in (self.toolbar, self.status):
            part.setVisible(not full)
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.live_page.lay_out()
        self._show_timeline()

    @Slot(int)
    def show_page(self, number: int) -> None:
        """Turn to the live view (LIVE), to training (TRAIN) or to the models (MODELS)."""
        if number == TRAIN:
            self._make_training_page()
        self._pages.setCurrentIndex(number)
        self.toolbar.show_page(number)
        if number == MODELS:
            self.models_page.show_current(self._settings.detector.model)
            self.models_page.refresh()
        else:
            self.view.setFocus()

    def _make_training_page(self) -> None:
        """Only when it is wanted: the library that draws its curves takes its time to load."""
        if self.training_page is None:
            from rfapp.gui.training_page import TrainingPage

            self.training_page = TrainingPage(self._theme)
            self.training_page.chosen.connect(self._use_run)
            holder = self._train_holder.layout()
            assert holder is not None
            holder.addWidget(self.training_page)

    @Slot(str)
    def _use_run(self, folder: str) -> None:
        self._change(self._settings.changed(detector_model=folder))
        self.show_page(LIVE)

    def _step(self, direction: int) -> None:
        result, info = self.view.result, self._info
        if result is not None and info is not None and info.seekable:
            step = 1.0 / info.rate if info.stills and info.rate else STEP_S
            self._pipeline.seek(max(0.0, result.frame.time_s + direction * step))

    def _change_speed(self, times: float) -> None:
        """Play a video so many *times* as fast as now; 0: at its own speed again."""
        speed = self._settings.source.speed * times if times else 1.0
        self._change(self._settings.changed(source_speed=min(max(speed, 0.25), 8.0)))

    def _choose_files(self) -> None:
        if paths := dialogs.ask_files(self, self._memory.recent):
            self.open_all(paths)

    def _choose(self, ask: Callable[[QWidget, Sequence[str]], str]) -> None:
        if address := ask(self, self._memory.recent):
            self.open(address)

    # ------------------------------------------------------------------------------ settings

    def _change(self, settings: Settings) -> None:
        self.pane.show_settings(settings)
        self._settings_changed(settings)

    @Slot(object)
    def _settings_changed(self, settings: Settings) -> None:
        if settings.view.language != self._settings.view.language:
            self.tell(self.tr("The window changes its language when it is started the next time."))
        self._settings = settings
        self._show_settings()
        self._pipeline.apply(settings)
        self._save_later.start()

    def _show_settings(self) -> None:
        settings = self._settings
        self._theme.want(settings.view.theme)
        self.view.set_view(self._settings.drawn)
        hidden = settings.hiding.how != "off"
        self.view.set_clickable(hidden)
        if hidden:
            self._hide_how = settings.hiding.how
        self.toolbar.hide_faces.setChecked(hidden)
        self.toolbar.mirror.setChecked(settings.view.mirror)
        self.strip.hide_faces(settings.hiding)
        self._show_strip()

    def _save_settings(self) -> None:
        if self._remember:
            self._saver.settings(self._settings)

    @Slot(str)
    def _use_model(self, name: str) -> None:
        self._change(self._settings.changed(detector_model=name))
        self.models_page.show_current(name)

    @Slot()
    def _models_changed(self) -> None:
        control = self.pane.control("detector_model")
        assert isinstance(control, Choice)
        control.set_choices(model_choices())

    @Slot(bool)
    def show_pane(self, shown: bool) -> None:
        """Open or close the settings pane."""
        self.toolbar.pane.setChecked(shown)
        self.live_page.show_pane(shown)
        if self.width() >= NARROW:
            self._memory = Memory(self._memory.geometry, shown, self._memory.recent)

    # ------------------------------------------------------------------------------ what the pipeline tells

    @Slot(object)
    def _show_result(self, result: LiveResult) -> None:
        if result.frame.generation == self._pipeline.generation:
            self.stage.show_result(result, self._pipeline.state)
            self.timeline.show_time(result.frame.time_s)
            self.strip.show_result(result)
            self.stage.show_loading(self._pipeline.loading is not None)

    @Slot(object)
    def _painted(self, result: LiveResult) -> None:
        if result.fresh and not result.repeated:
            self._pipeline.statistics.frame_painted(result.frame)

    @Slot(object)
    def _show_state(self, state: State) -> None:
        if isinstance(state, Idle):
            self._address = ""
            self.toolbar.picker.show_title("", "")
        if isinstance(state, Running | Paused) and self._address:
            self._remember_source(state.info)
        self._info = getattr(state, "info", None)
        if isinstance(state, Ended):
            # A single picture is at its end at once, and is to be looked at.
            self.play_list.ended(self._settings.source.picture_seconds if state.info.stills else 0.0)
        else:
            self.play_list.stopped()
        self.stage.show_state(state)
        self.toolbar.show_state(state)
        self._show_timeline()
        self._refresh_status()

    def _remember_source(self, info: SourceInfo) -> None:
        if info.live and icon_for(self._address) == "camera":
            self._address = f"camera:{info.title}"  # by name, so that it is found again another day
        self.toolbar.picker.show_title(self._address, self.play_list.numbered(info.title))
        self._memory = self._memory.opened(_whole(self._address))
        self.toolbar.picker.set_recent(self._memory.recent)

    @Slot(str)
    def tell(self, text: str) -> None:
        """Show a sentence over the picture until it is put away."""
        self.stage.banner.tell(text)

    @Slot()
    def _show_strip(self) -> None:
        self.live_page.show_strip(self._info, wanted=self._settings.view.thumbnails)

    def _show_timeline(self) -> None:
        self.live_page.show_source(self._address, self._info, thumbnails=self._settings.view.thumbnails)
        self.toolbar.offer_finding(self.scans.possible)

    def _refresh_status(self) -> None:
        self.status.show_pipeline(self._pipeline, self.view.result)
        self.toolbar.show_sending(self._pipeline.sending is not None)
        self.live_page.note(self._pipeline)

    def look_for_cameras(self) -> None:
        """Find cameras for the empty window; they are offered as soon as they are known."""
        self.finder.found.connect(self._cameras_found)
        self.finder.look()

    @Slot(object)
    def _cameras_found(self, cameras: Sequence[Camera]) -> None:
        self.stage.show_cameras(cameras)

    # ------------------------------------------------------------------------------ the window itself

    def resizeEvent(self, event: QResizeEvent) -> None:
        before, now = event.oldSize().width(), event.size().width()
        if now < NARROW and (before >= NARROW or before < 0):
            self.toolbar.pane.setChecked(False)
            self.live_page.show_pane(False)
        elif before < NARROW <= now and self._memory.pane_open:
            self.show_pane(True)
        self.toolbar.fit(now, narrow=now < NARROW)
        super().resizeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that no widget with the focus had a use for."""
        key = event.key()
        if key == Qt.Key.Key_Space:
            self.play_or_pause()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._step(1 if key == Qt.Key.Key_Right else -1)
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9:
            self._show_or_hide_nth(key - Qt.Key.Key_1)
        elif key == Qt.Key.Key_Escape and self.isFullScreen():
            self.toggle_full_screen()
        elif key == Qt.Key.Key_Escape and self.width() < NARROW and self.pane.isVisible():
            self.show_pane(False)
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Nobody looks at a minimised window: detection sleeps until it is back."""
        if event.type() == QEvent.Type.WindowStateChange:
            self._pipeline.sleep(self.isMinimized())
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_all(sorted(paths, key=natural))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            # After this event, when the children are painted, too.
            QTimer.singleShot(0, self.first_painted.emit)

    def _place_window(self) -> None:
        if self._memory.geometry and self.restoreGeometry(QByteArray(self._memory.geometry)):
            self.setWindowState(self.windowState() & ~Qt.WindowState.WindowFullScreen)
        else:
            screen = QGuiApplication.primaryScreen().availableSize()
            self.resize(min(1180, screen.width() - 40), min(760, screen.height() - 80))
        shown = self._memory.pane_open and self.width() >= NARROW
        self.pane.setVisible(shown)
        self.toolbar.pane.setChecked(shown)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not (self._may_close() and self.scans.may_close()):
            event.ignore()
            return
        if self._save_later.isActive():
            self._save_later.stop()
            self._save_settings()
        if self._remember:
            geometry = bytes(self.saveGeometry().data())
            memory = Memory(geometry, self._memory.pane_open, self._memory.recent)
            try:
                memory_store.save(memory, memory_store.memory_file())
            except OSError as error:
                log.warning("%s", error)
        self.scans.close()
        self._saver.close()
        self._status_timer.stop()
        self.bridge.disconnect_from_pipeline()
        super().closeEvent(event)

    def _may_close(self) -> bool:
        """Ask what becomes of a training that is under way."""
        running = [] if self.training_page is None else self.training_page.running()
        answer = dialogs.ask_about_training(self, running[0].name) if running else "go on"
        if answer == "stop":
            for folder in running:
                RunFolder(folder).stop()
        return answer is not None

    def _show_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_dir())))


def _whole(address: str) -> str:
    """A path that still leads there when the app is started from another folder."""
    path = Path(address)
    return str(path.resolve()) if path.exists() else address
