"""The window: the picture in the middle, the source above, the settings beside, the figures below."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QEvent, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rfapp import __version__
from rfapp import settings as settings_store
from rfapp.errors import CameraBlack, CameraFailed, CameraLost, CameraNotFound, RfappError
from rfapp.gui import memory as memory_store
from rfapp.gui.bridge import LiveBridge
from rfapp.gui.controls import Choice
from rfapp.gui.live_view import LiveView
from rfapp.gui.memory import Memory
from rfapp.gui.models_page import ModelsPage
from rfapp.gui.notice import Action, Banner, Card
from rfapp.gui.settings_pane import SettingsPane, translated
from rfapp.gui.source_picker import CameraFinder, SourcePicker, icon_for, short_name
from rfapp.gui.status_line import StatusLine
from rfapp.gui.theme import Theme, app_icon
from rfapp.gui.timeline import Timeline
from rfapp.runtime import Ended, Failed, Idle, LivePipeline, LiveResult, Opening, Paused, Running, State
from rfapp.settings import Settings
from rfapp.sources.kinds import PICTURES, VIDEOS
from rfapp.weights import known

log = logging.getLogger(__name__)

PANE_WIDTH = 312
LIVE, MODELS = 0, 1
#: In a narrower window the settings lie over the picture instead of beside it.
NARROW = 760
#: The figures of the status line change this often.
STATUS_EVERY_MS = 400
SAVE_AFTER_MS = 500


class Window(QWidget):
    """The main window. It owns no thread: it watches a pipeline and gives it commands."""

    first_painted = Signal()
    _saving_failed = Signal(str)

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
        self._info_shown: object = None
        self._was_painted = False
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(360, 300)
        self.finder = CameraFinder(self)
        self.bridge = LiveBridge(pipeline, self)
        self.bridge.result_arrived.connect(self._show_result)
        self.bridge.state_changed.connect(self._show_state)
        self.bridge.error_happened.connect(self.show_problem)
        self._build(models)
        self._shortcuts()
        self._status_timer = QTimer(self, interval=STATUS_EVERY_MS)
        self._status_timer.timeout.connect(self._refresh_status)
        self._status_timer.start()
        # A disk may take its time; the window does not wait for it.
        self._writer = ThreadPoolExecutor(1, "settings")
        self._saving_failed.connect(self.tell)
        self._save_later = QTimer(self, singleShot=True, interval=SAVE_AFTER_MS)
        self._save_later.timeout.connect(self._save_settings)
        theme.changed.connect(self._recolour)
        theme.want(self._settings.view.theme)
        self.view.set_view(self._settings.view)
        self.pane.show_settings(self._settings)
        self._recolour()
        self._place_window()
        self._show_state(Idle())
        self.view.setFocus()

    # ------------------------------------------------------------------------------ building

    def _build(self, models: tuple[tuple[str, str], ...]) -> None:
        self.toolbar = self._build_toolbar()
        self._stage = QWidget()
        self.view = LiveView(self._theme, self._stage)
        self.card = Card(self._theme, self._stage)
        self.banner = Banner(self._theme, self._stage)
        self._loading = QLabel(self._stage, objectName="loading", alignment=Qt.AlignmentFlag.AlignCenter)
        self._loading.setStyleSheet(
            "background: rgba(8, 12, 14, 190); color: #eef3f5; border-radius: 14px; padding: 6px 16px;"
        )
        self._loading.hide()
        self.view.painted.connect(self._painted)
        self.view.double_clicked.connect(self.toggle_full_screen)
        self.timeline = Timeline()
        self.timeline.sought.connect(self._pipeline.seek)
        self.timeline.show_source(None)
        self.pane = SettingsPane(self._theme, {"models": models}, self)
        self.pane.changed.connect(self._settings_changed)
        self.status = StatusLine()
        self._middle = QWidget()
        column = QVBoxLayout(self._middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._stage, 1)
        column.addWidget(self.timeline)
        self._body = QWidget()
        self._middle.setParent(self._body)
        self.pane.setParent(self._body)
        self._body.installEventFilter(self)
        self._stage.installEventFilter(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.toolbar)
        self.models_page = ModelsPage(self._theme)
        self.models_page.chosen.connect(self._use_model)
        self.models_page.changed.connect(self._models_changed)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._body)
        self._pages.addWidget(self.models_page)
        outer.addWidget(self._pages, 1)
        outer.addWidget(self.status)

    def _build_toolbar(self) -> QWidget:
        toolbar = QWidget(objectName="toolbar")
        toolbar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.picker = SourcePicker(self._theme, self.finder)
        self.picker.chosen.connect(self.open)
        self.picker.file_wanted.connect(self._choose_file)
        self.picker.folder_wanted.connect(self._choose_folder)
        self.picker.set_recent(self._memory.recent)
        self.play_button = self._button("play", self.tr("Play or pause (Space)"), self.play_or_pause)
        self.stop_button = self._button("stop", self.tr("Stop and close the source"), self._pipeline.stop)
        self.mirror_button = self._button("mirror", self.tr("Mirror the picture (M)"), self.toggle_mirror)
        self.mirror_button.setCheckable(True)
        self.full_screen_button = self._button("fullscreen", self.tr("Full screen (F)"), self.toggle_full_screen)
        self.pane_button = self._button("settings", self.tr("Settings (Ctrl+,)"), self._pane_clicked)
        self.pane_button.setCheckable(True)
        self.menu_button = self._button("menu", self.tr("Menu"), lambda: None)
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setMenu(self._build_menu())
        row = QHBoxLayout(toolbar)
        row.setContentsMargins(10, 7, 10, 7)
        row.setSpacing(4)
        row.addWidget(self.picker)
        row.addSpacing(6)
        row.addWidget(self.play_button)
        row.addWidget(self.stop_button)
        row.addStretch(1)
        self.tabs = QWidget()
        tabs = QHBoxLayout(self.tabs)
        tabs.setContentsMargins(0, 0, 12, 0)
        tabs.setSpacing(2)
        self._tab_group = QButtonGroup(self)
        for number, text in enumerate((self.tr("Live"), self.tr("Models"))):
            tab = QToolButton(text=text, checkable=True, objectName="tab", accessibleName=text, toolTip=text)
            tab.setChecked(number == LIVE)
            self._tab_group.addButton(tab, number)
            tabs.addWidget(tab)
        self._tab_group.idClicked.connect(self.show_page)
        row.addWidget(self.tabs)
        for button in (self.mirror_button, self.full_screen_button, self.pane_button, self.menu_button):
            row.addWidget(button)
        return toolbar

    def _button(self, icon: str, tip: str, act: object) -> QToolButton:
        button = QToolButton(toolTip=tip, accessibleName=tip.partition(" (")[0])
        button.setProperty("icon_name", icon)
        button.clicked.connect(lambda _checked=False: act())  # type: ignore[operator]
        return button

    def _build_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction(self.tr("Live"), lambda: self.show_page(LIVE))
        menu.addAction(self.tr("Models"), lambda: self.show_page(MODELS))
        menu.addSeparator()
        menu.addAction(self.tr("About rfapp"), self._about)
        menu.addAction(self.tr("Show the log"), self._show_log)
        menu.addSeparator()
        close = menu.addAction(self.tr("Quit"), self.close)
        close.setShortcut(QKeySequence.StandardKey.Quit)
        return menu

    def _shortcuts(self) -> None:
        for keys, act in (
            ("F", self.toggle_full_screen),
            ("F11", self.toggle_full_screen),
            ("M", self.toggle_mirror),
            ("Ctrl+,", lambda: self.show_pane(not self.pane.isVisible())),
            ("Ctrl+O", self._choose_file),
            ("Ctrl+Shift+O", self._choose_folder),
            ("Ctrl+Q", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # ------------------------------------------------------------------------------ commands

    @Slot(str)
    def open(self, address: str) -> None:
        """Play *address* (as in ``rfapp.sources.open_source``)."""
        self._address = address
        self.banner.hide()
        self.view.show_result(None)
        self.picker.show_title(address, short_name(address))
        self._pipeline.open(address, title=short_name(address))

    @Slot(int)
    def show_page(self, number: int) -> None:
        """Turn to the live view (LIVE) or the page of models (MODELS)."""
        self._pages.setCurrentIndex(number)
        self._tab_group.button(number).setChecked(True)
        for button in (self.mirror_button, self.full_screen_button, self.pane_button):
            button.setEnabled(number == LIVE)
        if number == MODELS:
            self.models_page.show_current(self._settings.detector.model)
            self.models_page.refresh()
        else:
            self.view.setFocus()

    @Slot(str)
    def _use_model(self, name: str) -> None:
        self._change(self._settings.changed(detector_model=name))
        self.models_page.show_current(name)

    @Slot()
    def _models_changed(self) -> None:
        control = self.pane.control("detector_model")
        assert isinstance(control, Choice)
        control.set_choices(tuple((name, name) for name in known()))

    def play_or_pause(self) -> None:
        """Pause what runs, go on with what is paused, start again what has ended."""
        if isinstance(self._pipeline.state, Running | Opening):
            self._pipeline.pause()
        elif self._address:
            self._pipeline.resume()

    def toggle_mirror(self) -> None:
        self._change(self._settings.changed(view_mirror=not self._settings.view.mirror))

    def toggle_full_screen(self) -> None:
        if self._pages.currentIndex() != LIVE:
            return
        full = not self.isFullScreen()
        for part in (self.toolbar, self.status):
            part.setVisible(not full)
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self._lay_out_body()
        self._show_timeline()

    def _step(self, direction: int) -> None:
        result, state = self.view.result, self._pipeline.state
        info = getattr(state, "info", None)
        if result is not None and info is not None and info.seekable:
            step = 1.0 / info.rate if info.stills and info.rate else 5.0
            self._pipeline.seek(max(0.0, result.frame.time_s + direction * step))

    def _choose_file(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in sorted(PICTURES | VIDEOS))
        path, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Open video or picture"),
            self._last_folder(),
            self.tr("Videos and pictures ({patterns});;All files (*)").format(patterns=patterns),
        )
        if path:
            self.open(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self.tr("Open folder of pictures"), self._last_folder())
        if path:
            self.open(path)

    def _last_folder(self) -> str:
        for address in self._memory.recent:
            path = Path(address)
            if path.is_absolute() and path.exists():
                return str(path if path.is_dir() else path.parent)
        return str(Path.home())

    # ------------------------------------------------------------------------------ settings

    def _change(self, settings: Settings) -> None:
        self.pane.show_settings(settings)
        self._settings_changed(settings)

    @Slot(object)
    def _settings_changed(self, settings: Settings) -> None:
        self._settings = settings
        self._theme.want(settings.view.theme)
        self.view.set_view(settings.view)
        self.mirror_button.setChecked(settings.view.mirror)
        self._pipeline.apply(settings)
        self._save_later.start()

    def _save_settings(self) -> None:
        if self._remember:
            self._writer.submit(self._write_settings, self._settings)

    def _write_settings(self, settings: Settings) -> None:
        try:
            settings_store.save(settings, settings_store.settings_file())
        except OSError as error:
            log.warning("saving the settings: %s", error)
            self._saving_failed.emit(self.tr("The settings could not be saved: {error}").format(error=error))

    def _pane_clicked(self) -> None:
        self.show_pane(self.pane_button.isChecked())

    def show_pane(self, shown: bool) -> None:
        """Open or close the settings pane."""
        self.pane_button.setChecked(shown)
        self.pane.setVisible(shown)
        self._lay_out_body()
        if self.width() >= NARROW:
            self._memory = Memory(self._memory.geometry, shown, self._memory.recent)

    # ------------------------------------------------------------------------------ what the pipeline tells

    @Slot(object)
    def _show_result(self, result: LiveResult) -> None:
        if result.frame.generation != self._pipeline.generation:
            return
        if not isinstance(self._pipeline.state, Running | Paused | Ended):
            return  # a slow detection that ended after its camera went away
        if self.card.isVisible():
            self._show_card(False)
        self.view.show_result(result)
        self.timeline.show_time(result.frame.time_s)
        self._show_loading()

    @Slot(object)
    def _painted(self, result: LiveResult) -> None:
        if result.fresh and not result.repeated:
            self._pipeline.statistics.frame_painted(result.frame)

    @Slot(object)
    def _show_state(self, state: State) -> None:
        match state:
            case Idle():
                self._address = ""
                self.view.show_result(None)
                self.picker.show_title("", "")
                self._tell_empty()
            case Opening(title, None):
                if self.view.result is None:
                    self.card.tell(
                        "camera", self.tr("Opening “{title}”…").format(title=title), "", self._leave_action()
                    )
                    self._show_card(True)
            case Opening(title, problem):
                self._tell_lost(title, problem)
            case Running() | Paused():
                self._running(state)
            case Ended(info, problem):
                if problem is not None:
                    self.show_problem(problem)
                if self.view.result is None:
                    self.card.tell("film", self.tr("“{title}” has ended").format(title=info.title), "", [])
            case Failed(error):
                self._tell_failed(error)
        self._info_shown = getattr(state, "info", None)
        self._show_timeline()
        self._recolour()
        self._show_loading()
        self._refresh_status()

    def _running(self, state: Running | Paused) -> None:
        if self._address:
            if state.info.live and icon_for(self._address) == "camera":
                self._address = f"camera:{state.info.title}"  # by name, so that it is found again another day
            self.picker.show_title(self._address, state.info.title)
            if self._address not in self._memory.recent[:1]:
                self._memory = self._memory.opened(_whole(self._address))
                self.picker.set_recent(self._memory.recent)
        if self.view.result is not None:
            self._show_card(False)

    def _tell_empty(self) -> None:
        actions: list[Action] = [
            (self.tr("Play the built-in sample"), lambda: self.open("sample")),
            (self.tr("Open video or picture…"), self._choose_file),
            (self.tr("Open folder of pictures…"), self._choose_folder),
        ]
        for camera in reversed(self.finder.cameras or ()):
            use = self.tr("Use “{name}”").format(name=camera.name)
            actions.insert(0, (use, partial(self.open, camera.address)))
        self.card.tell(
            "sample",
            self.tr("Find faces"),
            self.tr("Choose a camera, or drop a video, a picture or a folder here. Nothing leaves this computer."),
            actions[:5],
        )
        self._show_card(True)

    def _tell_lost(self, title: str, problem: RfappError | None) -> None:
        text = "" if problem is None else self._sentence(problem)
        self.card.tell(
            "warning",
            self.tr("Waiting for “{title}”").format(title=title),
            text + " " + self.tr("It goes on by itself when the pictures come back."),
            self._leave_action(),
        )
        self.view.show_result(None)
        self._show_card(True)

    def _tell_failed(self, error: RfappError) -> None:
        actions: list[Action] = []
        if self._address:
            actions.append((self.tr("Try again"), lambda: self.open(self._address)))
        if isinstance(error, CameraNotFound | CameraFailed | CameraLost | CameraBlack):
            actions.append((self.tr("Play the built-in sample"), lambda: self.open("sample")))
        else:
            actions.append((self.tr("Open something else…"), self._choose_file))
        self.card.tell("warning", translated_error(error), _hint(error), actions)
        self.view.show_result(None)
        self._show_card(True)

    def _leave_action(self) -> list[Action]:
        return [(self.tr("Cancel"), self._pipeline.stop)]

    @Slot(object)
    def show_problem(self, error: RfappError) -> None:
        """Say something that ends nothing in the strip over the picture."""
        log.warning("%s", error)
        self.tell(self._sentence(error))

    def tell(self, text: str) -> None:
        """Show a sentence over the picture until it is put away."""
        self.banner.tell(text)

    def _sentence(self, error: RfappError) -> str:
        return f"{translated_error(error)} {_hint(error)}".strip()

    def _show_card(self, shown: bool) -> None:
        self.card.setVisible(shown)
        if shown:
            self.card.raise_()
            self.banner.raise_()
        self._loading.raise_()

    def _show_loading(self) -> None:
        """“Loading model…” over a picture that runs before its detector does."""
        result = self.view.result
        shown = result is not None and result.detections is None and self._pipeline.loading is not None
        if shown and self._loading.isHidden():
            self._loading.setText(self.tr("Loading model…"))
            self._loading.adjustSize()
            self._loading.move((self._stage.width() - self._loading.width()) // 2, 18)
        self._loading.setVisible(shown)

    def _show_timeline(self) -> None:
        self.timeline.show_source(None if self.isFullScreen() else self._info_shown)  # type: ignore[arg-type]
        if self.view.result is not None:
            self.timeline.show_time(self.view.result.frame.time_s)

    def _refresh_status(self) -> None:
        self.status.show_pipeline(self._pipeline, self.view.result)
        self._show_loading()

    # ------------------------------------------------------------------------------ the window itself

    def _recolour(self) -> None:
        running = isinstance(self._pipeline.state, Running)
        self.play_button.setProperty("icon_name", "pause" if running else "play")
        self.play_button.setEnabled(not isinstance(self._pipeline.state, Idle | Opening))
        self.stop_button.setEnabled(not isinstance(self._pipeline.state, Idle))
        for button in self.toolbar.findChildren(QToolButton):
            name = button.property("icon_name")
            if name:
                button.setIcon(self._theme.icon(name))
        self.mirror_button.setChecked(self._settings.view.mirror)

    def _lay_out_body(self) -> None:
        room = self._body.rect()
        full = self.isFullScreen()
        narrow = room.width() < NARROW
        pane = not self.pane.isHidden() and not full
        width = min(PANE_WIDTH, room.width() - 40)
        self.pane.setGeometry(QRect(room.right() + 1 - width, 0, width, room.height()) if not full else QRect())
        self._middle.setGeometry(room.adjusted(0, 0, -width if pane and not narrow else 0, 0))
        self.pane.raise_()

    def _lay_out_stage(self) -> None:
        room = self._stage.rect()
        self.view.setGeometry(room)
        self.card.setGeometry(room)
        self.banner.fit()
        self._loading.move((room.width() - self._loading.width()) // 2, 18)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            if watched is self._body:
                self._lay_out_body()
            elif watched is self._stage:
                self._lay_out_stage()
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        before, now = event.oldSize().width(), event.size().width()
        if now < NARROW <= before or (before < 0 and now < NARROW):
            self._hide_pane_for_room()
        elif before < NARROW <= now and self._memory.pane_open:
            self.show_pane(True)
        self.tabs.setVisible(now >= NARROW)  # in a narrow window the menu leads there
        self.picker.set_room(now - (420 if now >= NARROW else 268))
        super().resizeEvent(event)

    def _hide_pane_for_room(self) -> None:
        self.pane_button.setChecked(False)
        self.pane.hide()
        self._lay_out_body()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that no widget with the focus had a use for."""
        key = event.key()
        if key == Qt.Key.Key_Space:
            self.play_or_pause()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._step(1 if key == Qt.Key.Key_Right else -1)
        elif key == Qt.Key.Key_Escape and self.isFullScreen():
            self.toggle_full_screen()
        elif key == Qt.Key.Key_Escape and self.width() < NARROW and self.pane.isVisible():
            self.show_pane(False)
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                self.open(url.toLocalFile())
                return

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
        self.setWindowTitle("rfapp")
        shown = self._memory.pane_open and self.width() >= NARROW
        self.pane.setVisible(shown)
        self.pane_button.setChecked(shown)

    def look_for_cameras(self) -> None:
        """Find cameras for the empty state; they are offered as soon as they are known."""
        self.finder.found.connect(self._cameras_found)
        self.finder.look()

    @Slot(object)
    def _cameras_found(self, _cameras: object) -> None:
        if isinstance(self._pipeline.state, Idle):
            self._tell_empty()

    def closeEvent(self, event: QCloseEvent) -> None:
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
        self._writer.shutdown()
        self._status_timer.stop()
        self.bridge.disconnect_from_pipeline()
        super().closeEvent(event)

    def _about(self) -> None:
        QMessageBox.about(
            self,
            self.tr("About rfapp"),
            self.tr(
                "<h3>rfapp {version}</h3><p>Finds faces live: in the webcam, in videos, in pictures.</p>"
                "<p>Nothing leaves this computer.</p>"
            ).format(version=__version__),
        )

    def _show_log(self) -> None:
        from PySide6.QtCore import QUrl
        from PySide6.QtGui import QDesktopServices

        from rfapp.places import log_dir

        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_dir())))


def translated_error(error: RfappError) -> str:
    return translated(error.message_template).format(**error.values)


def _hint(error: RfappError) -> str:
    return translated(error.hint_template).format(**error.values) if error.hint_template else ""


def _whole(address: str) -> str:
    """A path that still leads there when the app is started from another folder."""
    path = Path(address)
    return str(path.resolve()) if path.exists() else address
