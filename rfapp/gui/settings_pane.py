"""The settings pane, made from the schema in ``rfapp.settings``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rfapp.gui.controls import Choices, Control, Switch, control_for
from rfapp.gui.flow import scrolling
from rfapp.gui.texts import translated
from rfapp.gui.theme import Theme
from rfapp.settings import Setting, Settings, all_settings
from rfapp.text import mark

GROUP_TITLES = {
    "detector": mark("Detection"),
    "tracking": mark("Followed faces"),
    "hiding": mark("Privacy"),
    "view": mark("Picture"),
    "source": mark("Source"),
    "live": mark("Live pictures"),
    "recording": mark("Recording"),
}
CHOICE_TEXTS = {
    "auto": mark("automatic"),
    "cpu": mark("processor"),
    "cuda": mark("NVIDIA graphics card"),
    "mps": mark("Apple graphics"),
    "openvino": "OpenVINO",
    "torch": "PyTorch",
    "original": mark("original"),
    "off": mark("off"),
    "blur": mark("blurred"),
    "pixelate": mark("in blocks"),
    "fill": mark("filled"),
    "ellipse": mark("ellipse"),
    "box": mark("box"),
    "annotated": mark("as shown"),
    "clean": mark("the bare picture"),
    "hidden": mark("with hidden faces"),
    "system": mark("as the desktop"),
    "light": mark("light"),
    "dark": mark("dark"),
    # Languages are called what their speakers call them, so that these can be found whatever the window speaks.
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "zh_CN": "简体中文",
}


class SettingsPane(QWidget):
    """Every setting, acting at once: ``changed`` carries the new snapshot."""

    changed = Signal(object)

    def __init__(self, theme: Theme, choices: Mapping[str, Choices], parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="pane")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._given = choices
        self._settings = Settings()
        self._controls: dict[str, Control] = {}
        content = QWidget(objectName="paneContent")
        column = QVBoxLayout(content)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(6)
        for group, title in GROUP_TITLES.items():
            shown = [s for s in all_settings([group]) if not s.about.advanced]
            if shown:
                column.addWidget(QLabel(translated(title), objectName="heading"))
                column.addLayout(self._grid(shown))
                column.addSpacing(10)
        self._more = QWidget()
        more = QVBoxLayout(self._more)
        more.setContentsMargins(0, 0, 0, 0)
        more.addLayout(self._grid([s for s in all_settings() if s.about.advanced]))
        self._fold = QToolButton(objectName="fold", text=self.tr("More settings"), checkable=True)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.setAccessibleName(self.tr("More settings"))
        self._fold.toggled.connect(self._unfold)
        column.addWidget(self._fold, alignment=Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._more)
        column.addStretch(1)
        reset = QPushButton(self.tr("Back to defaults"), toolTip=self.tr("Set everything in this pane to its default"))
        reset.clicked.connect(lambda: self._change_all(Settings()))
        column.addWidget(reset, alignment=Qt.AlignmentFlag.AlignLeft)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(1, 0, 0, 0)
        outer.addWidget(scrolling(content, ""))
        self._unfold(False)
        theme.changed.connect(self._recolour)

    def _grid(self, settings: list[Setting]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for setting in settings:
            about = setting.about
            name = translated(about.label)
            control = control_for(setting, name, self._choices(setting))
            control.setToolTip(_tool_tip(setting))
            control.changed.connect(lambda value, setting=setting: self._changed(setting, value))
            self._controls[setting.name] = control
            row = grid.rowCount()
            if isinstance(control, Switch):
                grid.addWidget(control, row, 0, 1, 2)
            else:
                label = QLabel(name, toolTip=_tool_tip(setting))
                label.setBuddy(control)
                grid.addWidget(label, row, 0)
                grid.addWidget(control, row, 1)
        return grid

    def _choices(self, setting: Setting) -> Choices:
        about = setting.about
        if about.choices_from is not None:
            return self._given[about.choices_from]
        unit = f" {about.unit}" if about.unit else ""
        return tuple(
            (translated(CHOICE_TEXTS.get(c, c)) if isinstance(c, str) else f"{c}{unit}", c) for c in about.choices or ()
        )

    def control(self, name: str) -> Control:
        """The widget of one setting, named as in ``detector_score``."""
        return self._controls[name]

    def show_settings(self, settings: Settings) -> None:
        """Show *settings* without telling anybody."""
        self._settings = settings
        for setting in all_settings():
            self._controls[setting.name].set_value(getattr(getattr(settings, setting.group), setting.key))

    def _changed(self, setting: Setting, value: Any) -> None:
        group = dataclasses.replace(getattr(self._settings, setting.group), **{setting.key: value})
        self._settings = dataclasses.replace(self._settings, **{setting.group: group})
        self.changed.emit(self._settings)

    def _change_all(self, settings: Settings) -> None:
        self.show_settings(settings)
        self.changed.emit(settings)

    def _recolour(self) -> None:
        self._unfold(self._fold.isChecked())

    def _unfold(self, open_: bool) -> None:
        self._more.setVisible(open_)
        self._fold.setIcon(self._theme.icon("down" if open_ else "right"))


def _tool_tip(setting: Setting) -> str:
    about = setting.about
    limits = ""
    if about.minimum is not None and about.maximum is not None:
        unit = f" {about.unit}" if about.unit else ""
        limits = f" ({about.minimum:g} – {about.maximum:g}{unit})"
    # As rich text, so that long help is wrapped.
    return f"<p>{translated(about.help)}{limits}</p>"
