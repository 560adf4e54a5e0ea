"""The form that says what a training is to be: pictures, network, first weights, recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rfapp.errors import RfappError
from rfapp.gui.saving import examples_folder
from rfapp.gui.tasks import Task
from rfapp.gui.texts import filled, sentence_of, translated
from rfapp.models.config import ARCHITECTURES
from rfapp.text import mark
from rfapp.weights import float_models

RECIPES = {"quick": mark("quick"), "fine-tune": mark("fine-tune"), "published": mark("published")}
DEVICES = {"auto": mark("automatic"), "cpu": mark("processor"), "cuda": mark("NVIDIA graphics card")}


class _PathChoice(QWidget):
    """A path with a button that chooses it; ``changed`` carries it."""

    changed = Signal(str)

    def __init__(self, what: str, choose: Callable[[], str], unset: str) -> None:
        super().__init__()
        self._choose = choose
        self._unset = unset
        self.path = ""
        self._label = QLabel(objectName="muted")
        self._label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._button = QPushButton(self.tr("Choose…"), accessibleName=what)
        self._button.clicked.connect(self._ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._label, 1)
        row.addWidget(self._button)
        self.set_path("")

    def _ask(self) -> None:
        if path := self._choose():
            self.set_path(path)

    def set_path(self, path: str) -> None:
        self.path = path
        text = Path(path).name or path if path else self._unset
        self._label.setText(text)
        self._label.setToolTip(path)
        if path:
            self.changed.emit(path)


class TrainingForm(QWidget):
    """``started`` tells that Start was pressed with everything there."""

    started = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._checking: Task | None = None
        self.data = _PathChoice(self.tr("Labelled pictures"), self._choose_data, self.tr("none yet"))
        self.data.changed.connect(self._check)
        self.negatives = _PathChoice(self.tr("Pictures without faces"), self._choose_folder, self.tr("none"))
        self.model = QComboBox(accessibleName=self.tr("Network"))
        self.model.addItems(list(ARCHITECTURES))
        self.start_from = QComboBox(accessibleName=self.tr("First weights"))
        self.recipe = QComboBox(accessibleName=self.tr("Recipe"))
        for name, title in RECIPES.items():
            self.recipe.addItem(translated(title), name)
        self.epochs = QSpinBox(minimum=0, maximum=100_000, accessibleName=self.tr("Epochs"))
        self.epochs.setSpecialValueText(self.tr("as the recipe says"))
        self.batch = QSpinBox(minimum=0, maximum=1024, accessibleName=self.tr("Batch"))
        self.batch.setSpecialValueText(self.tr("as the recipe says"))
        for box in (self.epochs, self.batch):
            box.lineEdit().setTextMargins(6, 0, 0, 0)  # their words begin where those of the lists do
        self.device = QComboBox(accessibleName=self.tr("Device"))
        for name, title in DEVICES.items():
            self.device.addItem(translated(title), name)
        self.output = _PathChoice(self.tr("Folder of the run"), self._choose_folder, self.tr("rfapp's own"))
        form = QFormLayout(horizontalSpacing=12, verticalSpacing=8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, widget in (
            (self.tr("Pictures"), self.data),
            (self.tr("Without faces"), self.negatives),
            (self.tr("Network"), self.model),
            (self.tr("Start from"), self.start_from),
            (self.tr("Recipe"), self.recipe),
            (self.tr("Epochs"), self.epochs),
            (self.tr("Batch"), self.batch),
            (self.tr("Device"), self.device),
            (self.tr("Folder"), self.output),
        ):
            label = QLabel(text)
            label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # as high as its row
            form.addRow(label, widget)
        self._form = form
        self.use_examples = self._offer(1, self.data)
        self.use_as_empty = self._offer(3, self.negatives)
        self.findings = QLabel(objectName="muted", wordWrap=True)
        self.findings.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.start_button = QPushButton(self.tr("Start"), objectName="primary")
        self.start_button.clicked.connect(self._start)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(QLabel(self.tr("Train a model"), objectName="title"))
        column.addLayout(form)
        column.addWidget(self.findings)
        column.addWidget(self.start_button)

    def fill_start_from(self) -> None:
        """Offer the models that there are by now."""
        before = self.start_from.currentData()
        self.start_from.clear()
        self.start_from.addItem(self.tr("chance"), "")
        for name in float_models():
            self.start_from.addItem(name, name)
        self.start_from.setCurrentIndex(max(0, self.start_from.findData(before)))

    def _offer(self, row: int, choice: _PathChoice) -> QPushButton:
        """A button that chooses the examples that were kept, in the *row* below *choice*."""
        button = QPushButton(objectName="small")
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: choice.set_path(str(examples_folder().path)))
        choice.changed.connect(self.offer_examples)
        self._form.insertRow(row, "", button)
        self._form.setRowVisible(button, False)
        return button

    @Slot()
    def offer_examples(self) -> None:
        """Offer the examples that were kept, where nothing is chosen yet. As long as there is no face in any of them
        they can only be pictures without faces."""
        folder = examples_folder()
        count = folder.count()
        empty = count.pictures > 0 and not count.with_faces
        for button, choice, fits in (
            (self.use_examples, self.data, count.with_faces > 0),
            (self.use_as_empty, self.negatives, empty),
        ):
            button.setText(self.tr("Use my examples ({count})").format(count=count.pictures))
            button.setToolTip(str(folder.path))
            self._form.setRowVisible(button, fits and not choice.path)

    def _start(self) -> None:
        if self.data.path:
            self.started.emit()
        else:
            self.findings.setText(self.tr("Choose labelled pictures first."))

    def _choose_data(self) -> str:
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Labels (cancel to choose a folder)"), str(Path.home()), self.tr("Labels (*);;All files (*)")
        )
        return path or self._choose_folder()

    def _choose_folder(self) -> str:
        return QFileDialog.getExistingDirectory(self, self.tr("Choose a folder"), str(Path.home()))

    @Slot(str)
    def _check(self, path: str) -> None:
        """Look at the labels beside Qt's thread and say what was found."""
        summary = self.tr(
            "{format}: {usable} of {pictures} pictures can be used, {faces} faces, {landmarks} of them with landmarks."
        )
        more = self.tr("Findings: {count}. “rfapp data check” lists them.")

        def work(tell: Callable[[int, int], bool]) -> str:
            from rfapp.datasets import clean, open_dataset, summarise

            data = open_dataset(Path(path))
            found = summarise(data, clean(data))
            told = filled(
                summary,
                format=found.format,
                usable=found.usable,
                pictures=found.pictures,
                faces=found.faces,
                landmarks=found.with_landmarks,
            )
            return f"{told} {filled(more, count=len(found.findings))}" if len(found.findings) else told

        self.findings.setText(self.tr("Looking at the labels…"))
        self._checking = Task(work, self)
        self._checking.succeeded.connect(self.findings.setText)
        self._checking.failed.connect(self._check_failed)
        self._checking.start()

    @Slot(object)
    def _check_failed(self, error: RfappError) -> None:
        self.findings.setText(sentence_of(error))

    def command(self, folder: Path) -> list[str]:
        """The command line that is started; it can be given in a terminal just as well."""
        words = ["train", "--data", self.data.path, "--model", self.model.currentText()]
        words += ["--recipe", self.recipe.currentData(), "--device", self.device.currentData()]
        if self.negatives.path:
            words += ["--negatives", self.negatives.path]
        if self.start_from.currentData():
            words += ["--init", self.start_from.currentData()]
        if self.epochs.value():
            words += ["--epochs", str(self.epochs.value())]
        if self.batch.value():
            words += ["--batch", str(self.batch.value())]
        return [*words, "--output", str(folder)]
