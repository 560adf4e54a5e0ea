"""The window: the picture in the middle, the source above, the settings beside, the figures below."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

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
from PySide6.QtWidgets import QVBoxLayout, QWidget

from rfapp.gui import dialogs
from rfapp.gui import memory as memory_store
from rfapp.gui.bridge import LiveBridge
from rfapp.gui.commands import PictureCommands
from rfapp.gui.controls import Choice
from rfapp.gui.current_settings import CurrentSettings
from rfapp.gui.live_page import NARROW, LivePage
from rfapp.gui.memory import Memory
from rfapp.gui.models_page import model_choices
from rfapp.gui.pages import Pages
from rfapp.gui.player import Player
from rfapp.gui.saving import Saver
from rfapp.gui.source_picker import CameraFinder
from rfapp.gui.status_line import StatusLine
from rfapp.gui.theme import Theme, app_icon
from rfapp.gui.toolbar import LIVE, MODELS, Toolbar
from rfapp.places import log_dir
from rfapp.runtime import Idle, LivePipeline, LiveResult, State
from rfapp.settings import Settings
from rfapp.sources.kinds import natural

log = logging.getLogger(__name__)

#: The figures of the status line change this often.
STATUS_EVERY_MS = 400


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
        self._memory = memory_store.load(memory_store.memory_file()) if remember else Memory()
        self._was_painted = False
        self.setWindowTitle("rfapp")
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(360, 300)
        self.finder = CameraFinder(self)
        self._saver = Saver(self)
        self.settings = CurrentSettings(pipeline, self._saver if remember else None, self)
        self._build(models)
        self.commands = PictureCommands(pipeline, self.view, self.settings, self._saver, self)
        self._connect()
        self._shortcuts()
        self._status_timer = QTimer(self, interval=STATUS_EVERY_MS)
        self._status_timer.timeout.connect(self._refresh_status)
        self._status_timer.start()
        self._show_settings()
        self.pane.show_settings(self.settings.now)
        self._place_window()
        self._show_state(Idle())
        self.view.setFocus()

    # ------------------------------------------------------------------------------ building

    def _build(self, models: tuple[tuple[str, str], ...]) -> None:
        self.toolbar = Toolbar(self._theme, self.finder)
        self.player = Player(self._pipeline, self.toolbar.picker, self._memory.recent, self)
        self.live_page = LivePage(self._theme, self.player.play_list, models, remember=self._remember)
        self.stage, self.view, self.strip = self.live_page.stage, self.live_page.stage.view, self.live_page.strip
        self.timeline, self.scans, self.pane = self.live_page.timeline, self.live_page.scans, self.live_page.pane
        self.pages = Pages(self._theme, self.live_page)
        self.status = StatusLine()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.toolbar)
        outer.addWidget(self.pages, 1)
        outer.addWidget(self.status)

    def _connect(self) -> None:
        self.bridge = LiveBridge(self._pipeline, self)
        self.bridge.result_arrived.connect(self._show_result)
        self.bridge.state_changed.connect(self._show_state)
        self.bridge.error_happened.connect(self.stage.show_problem)
        self.bridge.recording_ended.connect(self.commands.recording_ended)
        toolbar, stage, player, commands = self.toolbar, self.stage, self.player, self.commands
        for signal, act in (
            (player.opening, partial(self.show_page, LIVE)),
            (player.opening, self.stage.clear),
            (toolbar.play_clicked, player.play_or_pause),
            (toolbar.stop_clicked, self._pipeline.stop),
            (toolbar.snapshot_clicked, commands.save_snapshot),
            (toolbar.record_clicked, commands.toggle_recording),
            (toolbar.hide_clicked, commands.toggle_hiding),
            (toolbar.mirror_clicked, commands.toggle_mirror),
            (toolbar.full_screen_clicked, self.toggle_full_screen),
            (toolbar.pane_clicked, self.show_pane),
            (toolbar.page_chosen, self.show_page),
            (toolbar.about_wanted, partial(dialogs.tell_about, self)),
            (toolbar.log_wanted, self._show_log),
            (toolbar.report_wanted, self._report),
            (toolbar.crops_wanted, commands.save_crops),
            (toolbar.example_wanted, commands.examples.keep),
            (toolbar.history_wanted, self.live_page.toggle_history),
            (toolbar.send_wanted, commands.toggle_sending),
            (toolbar.find_wanted, self.find_all),
            (toolbar.quit_wanted, self.close),
            (stage.open_wanted, player.open_or_retry),
            (stage.file_wanted, player.choose_files),
            (stage.folder_wanted, player.choose_folder),
            (stage.cancel_wanted, self._pipeline.stop),
            (self.view.painted, self._painted),
            (self.view.double_clicked, self.toggle_full_screen),
            (self.view.face_clicked, commands.show_or_hide_face),
            (self.live_page.resized, self._show_strip),
            (self.timeline.sought, self._pipeline.seek),
            (self.timeline.find_wanted, self.find_all),
            (self.scans.said, self.tell),
            (self.strip.sought, self._pipeline.seek),
            (self.pane.changed, self.settings.take),
            (self.settings.overruled, self.pane.show_settings),
            (self.settings.changed, self._settings_changed),
            (commands.outputs_changed, self._outputs_changed),
            (commands.said, self.tell),
            (self.pages.models.chosen, self._use_model),
            (self.pages.models.changed, self._models_changed),
            (self.pages.run_chosen, self._use_run),
            (self._saver.said, self.tell),
        ):
            signal.connect(act)

    def _shortcuts(self) -> None:
        player, commands = self.player, self.commands
        for keys, act in (
            ("F", self.toggle_full_screen),
            ("F11", self.toggle_full_screen),
            ("M", commands.toggle_mirror),
            ("R", commands.toggle_recording),
            ("H", commands.toggle_hiding),
            ("T", commands.toggle_tracking),
            ("S", commands.save_snapshot),
            ("C", commands.save_crops),
            ("K", commands.examples.keep),
            ("G", self.live_page.toggle_history),
            ("L", commands.toggle_thumbnails),
            ("V", commands.toggle_sending),
            ("A", self.find_all),
            ("Ctrl+Right", self.timeline.go_on),
            ("Ctrl+Left", self.timeline.go_back),
            ("N", player.play_list.next),
            ("P", player.play_list.previous),
            (".", partial(self._pipeline.step, 1)),
            (",", partial(self._pipeline.step, -1)),
            ("]", partial(commands.change_speed, 2.0)),
            ("[", partial(commands.change_speed, 0.5)),
            ("Backspace", partial(commands.change_speed, 0.0)),
            ("Ctrl+,", lambda: self.show_pane(not self.pane.isVisible())),
            ("Ctrl+O", player.choose_files),
            ("Ctrl+Shift+O", player.choose_folder),
            ("Ctrl+Q", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # ------------------------------------------------------------------------------ commands

    def find_all(self) -> None:
        """Find the faces of every frame of the video that is open, or of the rest of it, in the background."""
        self.scans.start()

    def _report(self) -> None:
        if path := dialogs.ask_report_file(self):
            self._saver.report(Path(path))

    def toggle_full_screen(self) -> None:
        if not self.pages.live_is_shown:
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
        self.pages.models.show_current(self.settings.now.detector.model)
        self.pages.turn_to(number)
        self.toolbar.show_page(number)
        if number != MODELS:
            self.view.setFocus()

    @Slot(str)
    def _use_run(self, folder: str) -> None:
        self.settings.change(detector_model=folder)
        self.show_page(LIVE)

    # ------------------------------------------------------------------------------ settings

    @Slot(object, object)
    def _settings_changed(self, before: Settings, now: Settings) -> None:
        if now.view.language != before.view.language:
            self.tell(self.tr("The window changes its language when it is started the next time."))
        self._show_settings()

    def _show_settings(self) -> None:
        settings = self.settings.now
        self._theme.want(settings.view.theme)
        self.view.set_view(settings.drawn)
        hidden = settings.hiding.how != "off"
        self.view.set_clickable(hidden)
        self.toolbar.hide_faces.setChecked(hidden)
        self.toolbar.mirror.setChecked(settings.view.mirror)
        self.strip.hide_faces(settings.hiding)
        self.scans.use(settings)
        self._show_strip()

    @Slot(str)
    def _use_model(self, name: str) -> None:
        self.settings.change(detector_model=name)
        self.pages.models.show_current(name)

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
            self._memory = replace(self._memory, pane_open=shown)

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
        self.player.show_state(state, self.settings.now.source.picture_seconds)
        self.stage.show_state(state)
        self.toolbar.show_state(state)
        self._show_timeline()
        self._refresh_status()

    @Slot()
    def _outputs_changed(self) -> None:
        self.toolbar.show_recording(self._pipeline.recording is not None)
        self._refresh_status()

    @Slot(str)
    def tell(self, text: str) -> None:
        """Show a sentence over the picture until it is put away."""
        self.stage.banner.tell(text)

    @Slot()
    def _show_strip(self) -> None:
        self.live_page.show_strip(self.player.info, wanted=self.settings.now.view.thumbnails)

    def _show_timeline(self) -> None:
        thumbnails = self.settings.now.view.thumbnails
        self.live_page.show_source(self.player.address, self.player.info, thumbnails=thumbnails)
        self.toolbar.offer_finding(self.scans.possible)

    def _refresh_status(self) -> None:
        self.status.show_pipeline(self._pipeline, self.view.result)
        self.toolbar.show_sending(self._pipeline.sending is not None)
        self.live_page.note(self._pipeline)

    def look_for_cameras(self) -> None:
        """Find cameras for the empty window; they are offered as soon as they are known."""
        self.finder.found.connect(self.stage.show_cameras)
        self.finder.look()

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
            self.player.play_or_pause()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            if self.view.result is not None:
                self.player.leap(self.view.result.frame.time_s, 1 if key == Qt.Key.Key_Right else -1)
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9:
            self.commands.show_or_hide_nth(key - Qt.Key.Key_1)
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
            self.player.open_all(sorted(paths, key=natural))

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
        # The scans first: they only ask, while training is stopped at once.
        if not (self.scans.may_close() and self.pages.may_close()):
            event.ignore()
            return
        self.settings.close()
        if self._remember:
            geometry = bytes(self.saveGeometry().data())
            memory = Memory(geometry, self._memory.pane_open, self.player.recent)
            try:
                memory_store.save(memory, memory_store.memory_file())
            except OSError as error:
                log.warning("%s", error)
        self.scans.close()
        self._saver.close()
        self._status_timer.stop()
        self.bridge.disconnect_from_pipeline()
        super().closeEvent(event)

    def _show_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_dir())))
