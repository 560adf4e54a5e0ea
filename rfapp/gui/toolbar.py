"""The row of buttons over the picture."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QMenu, QToolButton, QWidget

from rfapp.gui.source_picker import CameraFinder, SourcePicker
from rfapp.gui.theme import Theme
from rfapp.runtime import Ended, Idle, Opening, Paused, Running, State

LIVE, TRAIN, MODELS = 0, 1, 2
#: Tabs grow by so much when they are chosen, since their name is bold then; in pixels.
GROWTH = 16


class Toolbar(QWidget):
    """Source, play, stop; pages; mirror, full screen, settings, menu. It only tells what was clicked."""

    play_clicked = Signal()
    stop_clicked = Signal()
    snapshot_clicked = Signal()
    record_clicked = Signal()
    hide_clicked = Signal()
    mirror_clicked = Signal()
    full_screen_clicked = Signal()
    pane_clicked = Signal(bool)
    page_chosen = Signal(int)
    about_wanted = Signal()
    log_wanted = Signal()
    report_wanted = Signal()
    crops_wanted = Signal()
    example_wanted = Signal()
    find_wanted = Signal()
    history_wanted = Signal()
    send_wanted = Signal()
    quit_wanted = Signal()

    def __init__(self, theme: Theme, finder: CameraFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="toolbar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self.picker = SourcePicker(theme, finder)
        self.play = self._button("play", self.tr("Play or pause (Space)"))
        self.play.clicked.connect(self.play_clicked)
        self.stop = self._button("stop", self.tr("Stop and close the source"))
        self.stop.clicked.connect(self.stop_clicked)
        self.snapshot = self._button("snapshot", self.tr("Save the picture with its faces (S)"))
        self.snapshot.clicked.connect(self.snapshot_clicked)
        self.record = self._button("record", self.tr("Record what is shown (R)"), checkable=True)
        self.record.clicked.connect(self.record_clicked)
        self.hide_faces = self._button("hide", self.tr("Hide the faces (H)"), checkable=True)
        self.hide_faces.clicked.connect(self.hide_clicked)
        self.mirror = self._button("mirror", self.tr("Mirror the picture (M)"), checkable=True)
        self.mirror.clicked.connect(self.mirror_clicked)
        self.full_screen = self._button("fullscreen", self.tr("Full screen (F)"))
        self.full_screen.clicked.connect(self.full_screen_clicked)
        self.pane = self._button("settings", self.tr("Settings (Ctrl+,)"), checkable=True)
        self.pane.clicked.connect(self.pane_clicked)
        self.menu = self._button("menu", self.tr("Menu"))
        self.menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu.setMenu(self._build_menu())
        self._tabs = self._build_tabs()
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 7, 10, 7)
        row.setSpacing(4)
        row.addWidget(self.picker)
        row.addSpacing(6)
        row.addWidget(self.play)
        row.addWidget(self.stop)
        row.addWidget(self.record)
        row.addWidget(self.snapshot)
        row.addStretch(1)
        row.addWidget(self._tabs)
        for button in (self.hide_faces, self.mirror, self.full_screen, self.pane, self.menu):
            row.addWidget(button)
        theme.changed.connect(self._recolour)
        self._recolour()

    def _button(self, icon: str, tip: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton(toolTip=tip, accessibleName=tip.partition(" (")[0], checkable=checkable)
        button.setProperty("icon_name", icon)
        return button

    def _build_tabs(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 12, 0)
        row.setSpacing(2)
        self._pages = QButtonGroup(self)
        for number, text in self._page_names():
            tab = QToolButton(text=text, checkable=True, objectName="tab", accessibleName=text, toolTip=text)
            tab.setChecked(number == LIVE)
            self._pages.addButton(tab, number)
            row.addWidget(tab)
        self._pages.idClicked.connect(self.page_chosen.emit)
        return holder

    def _page_names(self) -> tuple[tuple[int, str], ...]:
        return (LIVE, self.tr("Live")), (TRAIN, self.tr("Train")), (MODELS, self.tr("Models"))

    def _build_menu(self) -> QMenu:
        menu = QMenu(self)
        for number, text in self._page_names():
            menu.addAction(text, partial(self.page_chosen.emit, number))
        menu.addSeparator()
        self._crops = menu.addAction(self.tr("Cut out the faces (C)"), self.crops_wanted.emit)
        self._example = menu.addAction(self.tr("Keep as an example (K)"), self.example_wanted.emit)
        self._find = menu.addAction(self.tr("Find all faces of the video (A)"), self.find_wanted.emit)
        self._send = menu.addAction(self.tr("Send to a virtual camera (V)"), self.send_wanted.emit)
        self._send.setCheckable(True)
        menu.addAction(self.tr("Curves of the last minutes (G)"), self.history_wanted.emit)
        menu.addSeparator()
        menu.addAction(self.tr("About rfapp"), self.about_wanted.emit)
        menu.addAction(self.tr("Report a problem…"), self.report_wanted.emit)
        menu.addAction(self.tr("Show the log"), self.log_wanted.emit)
        menu.addSeparator()
        menu.addAction(self.tr("Quit"), self.quit_wanted.emit)
        return menu

    def show_state(self, state: State) -> None:
        """Offer what makes sense now."""
        self.play.setProperty("icon_name", "pause" if isinstance(state, Running) else "play")
        self.play.setEnabled(not isinstance(state, Idle | Opening))
        self.stop.setEnabled(not isinstance(state, Idle))
        self.snapshot.setEnabled(isinstance(state, Running | Paused | Ended))
        self._crops.setEnabled(isinstance(state, Running | Paused | Ended))
        self._example.setEnabled(isinstance(state, Running | Paused | Ended))
        self.record.setEnabled(isinstance(state, Running | Paused))
        self._recolour()

    def offer_finding(self, offered: bool) -> None:
        """Whether all faces of what is open can be found."""
        self._find.setEnabled(offered)

    def show_recording(self, running: bool) -> None:
        """Say whether something is being recorded."""
        self.record.setChecked(running)
        tip = self.tr("Stop recording (R)") if running else self.tr("Record what is shown (R)")
        self.record.setToolTip(tip)
        self.record.setAccessibleName(tip.partition(" (")[0])

    def show_sending(self, sending: bool) -> None:
        """Say whether something is sent to a virtual camera."""
        self._send.setChecked(sending)

    def show_page(self, number: int) -> None:
        """Mark the page that is shown; what belongs to the picture rests while another one is."""
        self._pages.button(number).setChecked(True)
        for button in (self.hide_faces, self.mirror, self.full_screen, self.pane):
            button.setEnabled(number == LIVE)

    def fit(self, width: int, *, narrow: bool) -> None:
        """Share *width* out: in a narrow window the menu leads to the pages, and the name of the source is cut."""
        self._tabs.setVisible(not narrow)
        self.picker.set_room(width - self._others() - (0 if narrow else GROWTH))

    def _others(self) -> int:
        """What all but the source picker takes, in pixels."""
        row = self.layout()
        assert row is not None
        margins, items = row.contentsMargins(), [row.itemAt(place) for place in range(row.count())]
        shown = [item for item in items if item is not None and not (item.isEmpty() and item.spacerItem() is None)]
        wanted = sum(item.sizeHint().width() for item in shown if item.widget() is not self.picker)
        return margins.left() + margins.right() + row.spacing() * (len(shown) - 1) + wanted

    def _recolour(self) -> None:
        for button in self.findChildren(QToolButton):
            if name := button.property("icon_name"):
                button.setIcon(self._theme.icon(name))
