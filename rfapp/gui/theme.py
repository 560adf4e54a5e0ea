"""Colours, icons and the style sheet: one look, light and dark, on every system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QTemporaryDir, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from rfapp.places import resources


@dataclass(frozen=True, slots=True)
class Colours:
    """One colour scheme. Text on its ground has a contrast of at least 4.5 to 1 (tests/gui/test_theme.py)."""

    window: str
    panel: str
    raised: str
    hover: str
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    warning: str
    recording: str
    stage: str  # around the picture
    stage_empty: str  # where a picture would be


DARK = Colours(
    window="#16181c",
    panel="#1b1e23",
    raised="#272b32",
    hover="#323740",
    border="#343a43",
    text="#e7eaee",
    muted="#a0a9b4",
    accent="#34c7b0",
    on_accent="#05211d",
    warning="#ffb454",
    recording="#ff7a70",
    stage="#0c0d10",
    stage_empty="#121417",
)
LIGHT = Colours(
    window="#f3f5f7",
    panel="#ffffff",
    raised="#edf0f3",
    hover="#e1e6eb",
    border="#d3d9e0",
    text="#1a1f26",
    muted="#56606c",
    accent="#0a7a6d",
    on_accent="#ffffff",
    warning="#9a5b00",
    recording="#c02626",
    stage="#16181c",
    stage_empty="#e9edf1",
)


class Theme(QObject):
    """The colour scheme in force. ``changed`` is sent when it becomes another one."""

    changed = Signal()

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self._application = application
        self._wanted = "system"
        self._marks = QTemporaryDir()
        self.colours = LIGHT
        application.setStyle("Fusion")
        application.styleHints().colorSchemeChanged.connect(self._follow)
        self._follow()

    def want(self, wanted: str) -> None:
        """``system``, ``light`` or ``dark``."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._follow()

    def _follow(self) -> None:
        system = self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
        self.colours = DARK if self._wanted == "dark" or (self._wanted == "system" and system) else LIGHT
        self._application.setPalette(_palette(self.colours))
        self._application.setStyleSheet(_style_sheet(self.colours, self._draw_marks()))
        self.changed.emit()

    def _draw_marks(self) -> Path:
        """Arrows and ticks in today's colours, as the files that a style sheet asks for."""
        folder = Path(self._marks.path())
        marks = {"down": self.colours.muted, "up": self.colours.muted, "check": self.colours.on_accent}
        for name, colour in marks.items():
            for pixels, suffix in ((12, ""), (24, "@2x")):
                _pixmap(name, colour, pixels).save(str(folder / f"{name}-{colour[1:]}{suffix}.png"))
        return folder

    def icon(self, name: str) -> QIcon:
        """The icon *name* of ``resources/icons`` in the colour of text."""
        icon = QIcon()
        shades = {QIcon.Mode.Normal: self.colours.text, QIcon.Mode.Disabled: self.colours.border}
        for mode, colour in shades.items():
            for pixels in (16, 20, 24, 32, 48, 64, 96):
                icon.addPixmap(_pixmap(name, colour, pixels), mode)
        return icon


@lru_cache(maxsize=512)
def _pixmap(name: str, colour: str, pixels: int) -> QPixmap:
    text = (resources() / "icons" / f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    pixmap = QPixmap(QSize(pixels, pixels))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(text.encode())).render(painter)
    painter.end()
    return pixmap


def app_icon() -> QIcon:
    """The program's own icon."""
    icon = QIcon()
    for pixels in (16, 32, 48, 64, 128, 256):
        icon.addPixmap(_pixmap("app", "#000000", pixels))
    return icon


def _palette(colours: Colours) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for where, colour in {
        role.Window: colours.window,
        role.WindowText: colours.text,
        role.Base: colours.panel,
        role.AlternateBase: colours.raised,
        role.Text: colours.text,
        role.PlaceholderText: colours.muted,
        role.Button: colours.raised,
        role.ButtonText: colours.text,
        role.BrightText: colours.text,
        role.ToolTipBase: colours.raised,
        role.ToolTipText: colours.text,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Accent: colours.accent,
        role.Link: colours.accent,
        role.Light: colours.hover,
        role.Midlight: colours.hover,
        role.Mid: colours.border,
        role.Dark: colours.border,
        role.Shadow: colours.border,
    }.items():
        palette.setColor(where, QColor(colour))
    for where in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, where, QColor(colours.muted))
    return palette


def _style_sheet(c: Colours, marks: Path) -> str:
    down, up = f"{marks.as_posix()}/down-{c.muted[1:]}.png", f"{marks.as_posix()}/up-{c.muted[1:]}.png"
    check = f"{marks.as_posix()}/check-{c.on_accent[1:]}.png"
    return f"""
QToolTip {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.border}; padding: 5px 7px; }}
QWidget#toolbar {{ background: {c.panel}; border-bottom: 1px solid {c.border}; }}
QWidget#pane, QWidget#pane QScrollArea, QWidget#paneContent {{ background: {c.panel}; }}
QWidget#pane {{ border-left: 1px solid {c.border}; }}
QWidget#statusLine {{ background: {c.panel}; border-top: 1px solid {c.border}; }}
QWidget#timeline {{ background: {c.panel}; border-top: 1px solid {c.border}; }}
QWidget#scanBar {{ background: {c.panel}; }}
QPushButton#small {{ padding: 3px 10px; }}
QListView#strip {{ background: {c.panel}; border: none; border-top: 1px solid {c.border}; outline: none; }}
QLabel#muted, QLabel#unit {{ color: {c.muted}; }}
QLabel#heading {{ color: {c.muted}; font-weight: 600; }}
QLabel#title {{ font-size: 17px; font-weight: 600; }}
QLabel#faces {{ font-weight: 600; }}
QLabel#recording {{ font-weight: 600; color: {c.recording}; }}
QFrame#banner {{ background: {c.raised}; border: 1px solid {c.warning}; border-radius: 8px; }}
QFrame#rule {{ background: {c.border}; border: none; max-height: 1px; min-height: 1px; }}
QToolButton {{ background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 5px; }}
QToolButton:hover {{ background: {c.hover}; }}
QToolButton:pressed, QToolButton:checked {{ background: {c.raised}; border-color: {c.border}; }}
QToolButton:focus {{ border-color: {c.accent}; }}
QToolButton#source {{ background: {c.raised}; border-color: {c.border}; padding: 5px 10px; }}
QToolButton#source:hover {{ background: {c.hover}; }}
QToolButton::menu-indicator {{ image: none; }}
QToolButton#tab {{ padding: 5px 12px; color: {c.muted}; }}
QToolButton#tab:checked {{ color: {c.text}; font-weight: 600; }}
QWidget#page {{ background: {c.window}; }}
QListWidget {{ background: {c.panel}; border: 1px solid {c.border}; border-radius: 8px; padding: 4px; outline: none; }}
QListWidget::item {{ padding: 8px 8px; border-radius: 5px; }}
QListWidget::item:selected {{ background: {c.accent}; color: {c.on_accent}; }}
QLabel#loading {{ background: rgba(8, 12, 14, 190); color: #eef3f5; border-radius: 14px; padding: 6px 16px; }}
QPlainTextEdit {{ background: {c.panel}; border: 1px solid {c.border}; border-radius: 8px; padding: 4px; }}
QScrollArea#form {{ background: {c.panel}; border: 1px solid {c.border}; border-radius: 8px; }}
QSplitter::handle {{ background: transparent; }}
QProgressBar {{ background: {c.border}; border: none; border-radius: 4px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 4px; }}
QPushButton::menu-indicator {{ image: none; }}
QToolButton#fold {{ color: {c.muted}; font-weight: 600; padding: 4px 8px 4px 0; }}
QToolButton#fold:checked:!hover {{ background: transparent; }}
QToolButton#fold:checked:!focus {{ border-color: transparent; }}
QPushButton {{ background: {c.raised}; border: 1px solid {c.border}; border-radius: 6px; padding: 7px 14px; }}
QPushButton:hover {{ background: {c.hover}; }}
QPushButton:focus {{ border-color: {c.accent}; }}
QPushButton:disabled {{ color: {c.muted}; }}
QPushButton#picture {{ padding: 0; border: none; border-radius: 0; background: transparent; }}
QPushButton#picture:focus {{ border: 2px solid {c.accent}; }}
QScrollArea#found, QWidget#foundRow {{ background: transparent; border: none; }}
QPushButton#primary {{ background: {c.accent}; color: {c.on_accent}; border-color: {c.accent}; font-weight: 600; }}
QPushButton#primary:focus {{ border: 2px solid {c.text}; padding: 6px 13px; }}
QComboBox, QSpinBox, QDoubleSpinBox {{ background: {c.raised}; border: 1px solid {c.border}; border-radius: 6px;
  padding: 3px 8px; min-height: 20px; selection-background-color: {c.accent};
  selection-color: {c.on_accent}; }}
QComboBox:hover, QSpinBox:hover, QDoubleSpinBox:hover {{ background: {c.hover}; }}
QComboBox:focus, QSpinBox:focus, QDoubleSpinBox:focus {{ border-color: {c.accent}; }}
QComboBox QLineEdit {{ background: transparent; border: none; padding: 0; }}
QComboBox::drop-down {{ border: none; width: 20px; }}
QComboBox::down-arrow {{ image: url({down}); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: {c.panel}; border: 1px solid {c.border}; padding: 3px; outline: none; }}
QSpinBox::up-button, QDoubleSpinBox::up-button {{ subcontrol-position: top right; border: none; width: 18px; }}
QSpinBox::down-button, QDoubleSpinBox::down-button {{ subcontrol-position: bottom right; border: none; width: 18px; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url({up}); width: 9px; height: 9px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url({down}); width: 9px; height: 9px; }}
QCheckBox {{ spacing: 9px; padding: 2px 0; }}
QCheckBox::indicator, QListView::indicator {{ width: 16px; height: 16px; border-radius: 4px;
  border: 1px solid {c.muted};
  background: {c.panel}; }}
QCheckBox::indicator:hover, QCheckBox::indicator:focus {{ border-color: {c.accent}; }}
QCheckBox::indicator:checked, QListView::indicator:checked {{
  background: {c.accent}; border-color: {c.accent}; image: url({check}); }}
QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {c.border}; }}
QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {c.accent}; }}
QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {c.accent};
  border: none; }}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus {{ background: {c.text}; }}
QMenu {{ background: {c.panel}; border: 1px solid {c.border}; padding: 5px; }}
QMenu::item {{ padding: 6px 26px 6px 10px; border-radius: 5px; }}
QMenu::item:selected {{ background: {c.accent}; color: {c.on_accent}; }}
QMenu::item:disabled {{ color: {c.muted}; background: transparent; }}
QMenu::icon {{ padding-left: 8px; }}
QMenu::separator {{ height: 1px; background: {c.border}; margin: 5px 6px; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {c.border}; border-radius: 4px; min-height: 30px; margin: 1px 2px; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle:horizontal {{ background: {c.border}; border-radius: 4px; min-width: 30px; margin: 2px 1px; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page
  {{ height: 0; width: 0; background: transparent; }}
"""
