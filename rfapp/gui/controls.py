"""One widget for each kind of setting; all of them have ``value``, ``set_value`` and the signal ``changed``."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QSpinBox,
    QWidget,
)

from rfapp.errors import SettingsError
from rfapp.gui.texts import translated
from rfapp.settings import Setting, check_setting

Choices = tuple[tuple[str, Any], ...]


class _WheelOnlyWithFocus(QObject):
    """The wheel scrolls the pane; it changes a value only in the widget that was clicked."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


class Control(QWidget):
    """What all of them have in common. ``changed`` carries the new value."""

    changed = Signal(object)

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self._guard = _WheelOnlyWithFocus(self)

    def _add(self, widget: QWidget, name: str, stretch: int = 0) -> None:
        widget.setAccessibleName(name)
        widget.setAccessibleDescription(translated(self.setting.about.help))
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self._guard)
        self._row.addWidget(widget, stretch)

    def set_value(self, value: Any) -> None:
        raise NotImplementedError

    def value(self) -> Any:
        raise NotImplementedError


class Switch(Control):
    """On or off; carries its own label."""

    def __init__(self, setting: Setting, label: str) -> None:
        super().__init__(setting)
        self._box = QCheckBox(label)
        self._add(self._box, label)
        self._box.toggled.connect(self.changed.emit)

    def value(self) -> bool:
        return self._box.isChecked()

    def set_value(self, value: bool) -> None:
        with QSignalBlocker(self._box):
            self._box.setChecked(value)


class Choice(Control):
    """One of several; where the setting is a number with some usual values, any other can be typed."""

    def __init__(self, setting: Setting, label: str, choices: Choices) -> None:
        super().__init__(setting)
        self._box = QComboBox()
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._box.setMinimumContentsLength(8)
        self._choices: Choices = ()
        self._typed = setting.about.words
        self._add(self._box, label, 1)
        self.set_choices(choices)
        if self._typed:
            self._box.setEditable(True)
            self._box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            line = self._box.lineEdit()
            assert line is not None
            line.editingFinished.connect(self._take_typed)
            self._last: Any = setting.default
        self._box.activated.connect(lambda _index: self._pick())

    def set_choices(self, choices: Choices) -> None:
        """Offer other choices, keeping the present one where it is among them."""
        present = self._box.currentData()
        with QSignalBlocker(self._box):
            self._box.clear()
            for text, value in choices:
                self._box.addItem(text, value)
            self._choices = choices
        if present is not None:
            self.set_value(present)

    def value(self) -> Any:
        if not self._typed:
            return self._box.currentData()
        text = self._box.currentText().strip()
        named = dict(self._choices)
        if text in named:
            return named[text]
        return check_setting(self.setting, text.removesuffix(self.setting.about.unit).strip())

    def set_value(self, value: Any) -> None:
        with QSignalBlocker(self._box):
            place = self._box.findData(value)
            if place < 0 and not self._typed:
                # A weights file or a run's folder that was named on the command line.
                self._box.addItem(str(value), value)
                place = self._box.count() - 1
            if place >= 0:
                self._box.setCurrentIndex(place)
            else:
                self._box.setCurrentText(f"{value} {self.setting.about.unit}".strip())
        if self._typed:
            self._last = value
        self._box.setToolTip(self._box.currentText())

    def _pick(self) -> None:
        self._tell(self._box.currentData())

    def _take_typed(self) -> None:
        try:
            value = self.value()
        except SettingsError:
            self.set_value(self._last)  # as it was; the limits stand in the tool tip
            return
        self._tell(value)

    def _tell(self, value: Any) -> None:
        if self._typed:
            if value == self._last:
                return
            self._last = value
            self.set_value(value)
        self._box.setToolTip(self._box.currentText())
        self.changed.emit(value)


class Number(Control):
    """A number with limits; a slider beside the box where dragging makes sense."""

    def __init__(self, setting: Setting, label: str, *, slider: bool) -> None:
        super().__init__(setting)
        about = setting.about
        self._step = about.step or 1
        low, high = about.minimum or 0, about.maximum or 0
        self._slider: QSlider | None = None
        if slider:
            self._slider = QSlider(Qt.Orientation.Horizontal)
            self._slider.setRange(0, round((high - low) / self._step))
            self._slider.setPageStep(max(1, self._slider.maximum() // 10))
            self._add(self._slider, label, 1)
            self._slider.valueChanged.connect(self._slid)
        self._low = low
        self._box: QSpinBox | QDoubleSpinBox
        if isinstance(setting.default, float):
            self._box = QDoubleSpinBox()
            self._box.setDecimals(2 if self._step < 0.1 else 1)
        else:
            self._box = QSpinBox()
        self._box.setRange(type(setting.default)(low), type(setting.default)(high))
        self._box.setSingleStep(type(setting.default)(self._step))
        self._box.setKeyboardTracking(False)
        self._box.setAlignment(Qt.AlignmentFlag.AlignRight)
        if about.unit:
            self._box.setSuffix(f" {about.unit}")
        self._add(self._box, label, 0 if slider else 1)
        if slider:
            self._box.setFixedWidth(90)  # so that all sliders end in one line
        self._box.valueChanged.connect(self._typed)

    def value(self) -> float | int:
        value = self._box.value()
        return round(value, 6) if isinstance(value, float) else value

    def set_value(self, value: float) -> None:
        with QSignalBlocker(self._box):
            self._box.setValue(type(self.setting.default)(value))
        self._follow()

    def _follow(self) -> None:
        if self._slider is not None:
            with QSignalBlocker(self._slider):
                self._slider.setValue(round((self._box.value() - self._low) / self._step))

    def _slid(self, place: int) -> None:
        value = self._low + place * self._step
        with QSignalBlocker(self._box):
            self._box.setValue(type(self.setting.default)(value))
        self.changed.emit(self.value())

    def _typed(self, _value: float) -> None:
        self._follow()
        self.changed.emit(self.value())


def control_for(setting: Setting, label: str, choices: Choices) -> Control:
    """The widget for *setting*; *choices* are its labelled values, if it has some."""
    if isinstance(setting.default, bool):
        return Switch(setting, label)
    if choices or not isinstance(setting.default, int | float):
        return Choice(setting, label, choices)
    return Number(setting, label, slider=not setting.about.advanced)
