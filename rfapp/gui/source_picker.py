"""The button that says what is open and offers what can be opened."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from rfapp.gui.area_picker import AreaPicker
from rfapp.gui.texts import translated
from rfapp.gui.theme import Theme
from rfapp.sources import Camera, is_picture, is_video, list_cameras
from rfapp.sources.kinds import without_password
from rfapp.text import Text, mark

log = logging.getLogger(__name__)

#: While the menu is open cameras are looked for again this often: one may be plugged in meanwhile.
LOOK_AGAIN_MS = 2500


class CameraFinder(QObject):
    """Looks for cameras on a thread of its own, since on some systems that takes seconds."""

    found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self.cameras: Sequence[Camera] | None = None
        self.found.connect(self._remember)

    def look(self) -> None:
        """Look once; ``found`` carries the cameras. A search that is under way is not started twice."""
        if not self._busy:
            self._busy = True
            threading.Thread(target=self._look, name="camera finder", daemon=True).start()

    def _look(self) -> None:
        try:
            cameras: Sequence[Camera] = list_cameras()
        except Exception:
            log.exception("looking for cameras")
            cameras = []
        with contextlib.suppress(RuntimeError):  # the window may have gone meanwhile
            self.found.emit(cameras)

    @Slot(object)
    def _remember(self, cameras: Sequence[Camera]) -> None:
        self._busy = False
        self.cameras = cameras


class SourcePicker(QToolButton):
    """``chosen`` carries an address as in ``rfapp.sources.open_source``."""

    chosen = Signal(str)
    file_wanted = Signal()
    folder_wanted = Signal()
    stream_wanted = Signal()

    def __init__(self, theme: Theme, finder: CameraFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="source")
        self._theme = theme
        self._finder = finder
        self._title = ""
        self._icon_name = "camera"
        self._recent: Sequence[str] = ()
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Source of pictures"))
        self.setToolTip(self.tr("Choose a camera, a video or pictures"))
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.setMenu(menu)
        self._camera_actions: list[QAction] = []
        self._after_cameras = menu.addSeparator()
        self._sample = self._entry(self.tr("Built-in sample"), "sample", lambda: self.chosen.emit("sample"))
        self._file = self._entry(self.tr("Open video or picture…"), "film", self.file_wanted.emit)
        self._file.setShortcut("Ctrl+O")
        self._folder = self._entry(self.tr("Open folder of pictures…"), "folder", self.folder_wanted.emit)
        self._folder.setShortcut("Ctrl+Shift+O")
        self._stream = self._entry(self.tr("Open network stream…"), "stream", self.stream_wanted.emit)
        self._screen = self._entry(self.tr("Screen"), "screen", lambda: self.chosen.emit("screen"))
        self._screens = self._screen_menu(menu)
        self._areas = AreaPicker(theme, self)
        self._areas.picked.connect(self.chosen)
        self._area = self._entry(self.tr("Part of the screen…"), "screen", self._areas.start)
        menu.addSeparator()
        self._recent_menu = menu.addMenu(self.tr("Recent"))
        self._again = QTimer(self, interval=LOOK_AGAIN_MS)
        self._again.timeout.connect(finder.look)
        finder.found.connect(self._show_cameras)
        menu.aboutToShow.connect(self._prepare)
        menu.aboutToHide.connect(self._again.stop)
        theme.changed.connect(self._recolour)
        self.show_title("", "")
        self._show_cameras(None)
        self._recolour()

    def _entry(self, text: str, icon: str, act: object) -> QAction:
        action = self.menu().addAction(text)
        action.setData(icon)
        action.triggered.connect(act)
        return action

    def _screen_menu(self, menu: QMenu) -> QMenu:
        """One entry a screen; filled when there are several."""
        several = QMenu(self.tr("Screen"), menu)
        menu.insertMenu(self._screen, several)
        several.menuAction().setVisible(False)
        return several

    def _show_screens(self) -> None:
        screens = QGuiApplication.screens()
        self._screen.setVisible(len(screens) == 1)
        self._screens.menuAction().setVisible(len(screens) > 1)
        self._screens.clear()
        for number, screen in enumerate(screens, 1):
            size = screen.size() * screen.devicePixelRatio()
            text = self.tr("Screen {number} ({width}×{height})").format(
                number=number, width=size.width(), height=size.height()
            )
            self._screens.addAction(text).triggered.connect(
                lambda _checked=False, number=number: self.chosen.emit(f"screen:{number}")
            )

    def show_title(self, address: str, title: str) -> None:
        """Say what is open; an empty title says that nothing is."""
        self._title = (translated(title) if isinstance(title, Text) else title) or self.tr("Choose a source")
        self._icon_name = icon_for(address)
        self._elide()
        self._recolour()

    def set_room(self, pixels: int) -> None:
        """Take at most so many pixels; a longer name is cut in its middle."""
        self.setMaximumWidth(max(64, pixels))
        self._elide()

    def set_recent(self, recent: Sequence[str]) -> None:
        self._recent = recent

    def _elide(self) -> None:
        room = min(self.maximumWidth(), 340) - 62
        # Too little of a name tells nothing.
        named = room >= min(100, self.fontMetrics().horizontalAdvance(self._title))
        self.setToolButtonStyle(
            Qt.ToolButtonStyle.ToolButtonTextBesideIcon if named else Qt.ToolButtonStyle.ToolButtonIconOnly
        )
        self.setText(self.fontMetrics().elidedText(self._title, Qt.TextElideMode.ElideMiddle, room) + "  ▾")
        self.setToolTip(self._title)

    def _prepare(self) -> None:
        self._show_screens()
        self._recent_menu.clear()
        for address in self._recent:
            action = self._recent_menu.addAction(self._theme.icon(icon_for(address)), short_name(address))
            action.setToolTip(without_password(address))
            action.triggered.connect(lambda _checked=False, address=address: self.chosen.emit(address))
        self._recent_menu.setEnabled(bool(self._recent))
        self._finder.look()
        self._again.start()

    @Slot(object)
    def _show_cameras(self, cameras: Sequence[Camera] | None) -> None:
        wanted: list[tuple[str, str | None]] = (
            [(self.tr("Looking for cameras…"), None)]
            if cameras is None
            else [(camera.name, camera.address) for camera in cameras] or [(self.tr("No camera found"), None)]
        )
        if wanted == [(action.text(), action.data()) for action in self._camera_actions]:
            return  # an open menu must not flicker every time the cameras are looked for
        for action in self._camera_actions:
            self.menu().removeAction(action)
            action.deleteLater()
        self._camera_actions = []
        for text, address in wanted:
            action = QAction(text, self.menu())
            action.setData(address)
            action.setEnabled(address is not None)
            action.setIcon(self._theme.icon("camera"))
            if address is not None:
                action.triggered.connect(lambda _checked=False, address=address: self.chosen.emit(address))
            self.menu().insertAction(self._after_cameras, action)
            self._camera_actions.append(action)

    def _recolour(self) -> None:
        self.setIcon(self._theme.icon(self._icon_name))
        for action in (self._sample, self._file, self._folder, self._stream, self._screen, self._area):
            action.setIcon(self._theme.icon(action.data()))
        for action in self._camera_actions:
            action.setIcon(self._theme.icon("camera"))
        self._screens.setIcon(self._theme.icon("screen"))
        self._recent_menu.setIcon(self._theme.icon("recent"))


def icon_for(address: str) -> str:
    """The name of the icon for an address."""
    if "://" in address:
        return "stream"
    if address == "sample" or is_picture(address):
        return "sample"
    if address.partition(":")[0] == "screen":
        return "screen"
    if is_video(address):
        return "film"
    if address.isdecimal() or address.partition(":")[0] in {"camera", ""}:
        return "camera"
    return "folder" if Path(address).is_dir() else "film"


def short_name(address: str) -> str:
    """What a person would call it: the name of a camera or file without its path."""
    if address == "sample":
        return translated(mark("Sample"))
    if address.startswith("camera:"):
        return address.removeprefix("camera:")
    if address.partition(":")[0] == "screen":
        return _name_of_screen(address.removeprefix("screen").removeprefix(":"))
    if "://" in address:
        return without_password(address)
    return Path(address).name or address


def _name_of_screen(which: str) -> str:
    if which in {"", "1"}:
        return translated(mark("Screen"))
    numbers = which.split(",")
    if len(numbers) != 4:
        return translated(mark("Screen {number}").format(number=which))
    left, top, width, height = numbers
    part = mark("Part of the screen ({width}×{height} at {left}, {top})")
    return translated(part.format(width=width, height=height, left=left, top=top))
