"""The page of models: what is there, what it is good for, and the ways to get more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFileDialog,
    QFormLayout,
    QFrame,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from rfapp.gui.flow import Flow, scrolling
from rfapp.gui.task_line import TaskLine
from rfapp.gui.texts import filled, translated
from rfapp.gui.theme import Theme
from rfapp.models.config import ARCHITECTURES
from rfapp.text import mark
from rfapp.weights import float_models, known
from rfapp.weights.downloads import DOWNLOADS, Download, fetch
from rfapp.weights.manifest import Model

#: Words of the manifests.
LEVELS = {"easy": mark("easy"), "medium": mark("medium"), "hard": mark("hard")}
ORIGINAL = mark("original")
#: Said of a network that takes seconds for a picture.
NOT_LIVE = mark("accurate, not live")
#: In a narrower page its halves stand below each other.
NARROW = 640
#: Calls that “Measure speed” takes the middle of.
CALLS = 30


def model_choices() -> tuple[tuple[str, str], ...]:
    """How the models to choose from are called in lists, and their names."""
    models = known()
    return tuple((titled(models[name]), name) for name in float_models())


def titled(model: Model) -> str:
    """Its name, and what has to be known before it is chosen."""
    return model.name if model.config.live else f"{model.name} ({translated(NOT_LIVE)})"


class ModelsPage(QWidget):
    """``chosen`` carries the name of the model that is to find the faces; ``changed`` tells that the list did."""

    chosen = Signal(str)
    changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._models: dict[str, Model] = {}
        self._current = ""
        self._speeds: dict[str, str] = {}
        self.list = QListWidget(accessibleName=self.tr("Models"))
        self.list.setMinimumSize(190, 120)
        self.list.currentItemChanged.connect(lambda *_: self._show_chosen())
        self.list.itemActivated.connect(lambda *_: self._use())
        content = QWidget(objectName="page")
        self._halves = QBoxLayout(QBoxLayout.Direction.LeftToRight, content)
        self._halves.setContentsMargins(18, 16, 18, 16)
        self._halves.setSpacing(18)
        self._halves.addLayout(self._build_left(), 2)
        self._halves.addLayout(self._build_right(), 3)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content, "page"))
        theme.changed.connect(self._recolour)
        self._recolour()
        self.refresh()

    # ------------------------------------------------------------------------------ building

    def _build_left(self) -> QVBoxLayout:
        column = QVBoxLayout(spacing=8)
        column.addWidget(QLabel(self.tr("Models"), objectName="title"))
        column.addWidget(self.list, 1)
        column.addWidget(self._build_untrained())
        self.import_button = QPushButton(self.tr("Import a checkpoint…"))
        self.import_button.setToolTip(self.tr("Make a model out of a published RetinaFace file (.pth, .safetensors)"))
        self.import_button.clicked.connect(self._choose_import)
        self.download_button = QPushButton(self.tr("Download…"))
        self.download_button.setToolTip(self.tr("Published weights; nothing is fetched before you choose one"))
        menu = QMenu(self.download_button)
        for item in DOWNLOADS.values():
            if not item.body:
                text = filled("{title} — {size:.0f} MB", title=item.title, size=item.bytes / 1e6)
                menu.addAction(text, partial(self.download, item)).setToolTip(item.licence)
        menu.setToolTipsVisible(True)
        self.download_button.setMenu(menu)
        column.addLayout(Flow((self.import_button, self.download_button)))
        return column

    def _build_untrained(self) -> QLabel:
        """What is known, but not there to choose: networks that nobody has published weights of."""
        text = self.tr("{names}: accurate, not live. Nobody has published weights of these networks: train one first.")
        names = ", ".join(name for name, config in ARCHITECTURES.items() if not config.live)
        return QLabel(filled(text, names=names), objectName="muted", wordWrap=True)

    def _build_right(self) -> QVBoxLayout:
        column = QVBoxLayout(spacing=12)
        self._title = QLabel(objectName="title", wordWrap=True)
        column.addWidget(self._title)
        form = QFormLayout(horizontalSpacing=16, verticalSpacing=8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._facts: dict[str, QLabel] = {}
        for key, label in (
            ("network", self.tr("Network")),
            ("size", self.tr("Size")),
            ("ap", self.tr("WIDER FACE")),
            ("speed", self.tr("Speed here")),
            ("origin", self.tr("Origin")),
            ("licence", self.tr("Licence")),
            ("file", self.tr("File")),
        ):
            value = QLabel(wordWrap=True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            form.addRow(QLabel(label, objectName="muted"), value)
            self._facts[key] = value
        column.addLayout(form)
        self.use_button = QPushButton(self.tr("Use this model"), objectName="primary")
        self.use_button.clicked.connect(self._use)
        self.measure_button = QPushButton(self.tr("Measure speed"))
        self.measure_button.clicked.connect(self._measure)
        self.verify_button = QPushButton(self.tr("Verify"), toolTip=self.tr("Make sure that the file is whole"))
        self.verify_button.clicked.connect(self._verify)
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.clicked.connect(self._ask_remove)
        column.addLayout(Flow((self.use_button, self.measure_button, self.verify_button, self.remove_button)))
        column.addWidget(QFrame(objectName="rule"))
        self.tasks = TaskLine()
        self.tasks.busy_changed.connect(self._show_busy)
        column.addWidget(self.tasks)
        column.addStretch(1)
        return column

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window what is known of a model stands below the list."""
        narrow = event.size().width() < NARROW
        self._halves.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)
        super().resizeEvent(event)

    # ------------------------------------------------------------------------------ the list

    def refresh(self) -> None:
        """Read the list anew, keeping the choice where it can be kept."""
        before = self._chosen_name() or self._current
        self._models = known()
        self.list.clear()
        for name, model in self._models.items():
            item = QListWidgetItem(name)
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setToolTip(model.title)
            self.list.addItem(item)
            if name == before:
                self.list.setCurrentItem(item)
        if self.list.currentItem() is None and self.list.count():
            self.list.setCurrentRow(0)
        self._mark_current()

    def show_current(self, name: str) -> None:
        """Mark the model that finds the faces just now."""
        self._current = name
        self._mark_current()

    def _mark_current(self) -> None:
        for row in range(self.list.count()):
            item = self.list.item(row)
            name = item.data(Qt.ItemDataRole.UserRole)
            title = titled(self._models[name])
            item.setText(f"{title}   ✓" if name == self._current else title)
        self._show_chosen()

    def _chosen_name(self) -> str:
        item = self.list.currentItem()
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    def _show_chosen(self) -> None:
        model = self._models.get(self._chosen_name())
        for button in (self.use_button, self.measure_button, self.verify_button, self.remove_button):
            button.setEnabled(model is not None and not self.tasks.busy)
        if model is None:
            return
        self.remove_button.setEnabled(not model.shipped and not self.tasks.busy)
        self.remove_button.setToolTip(self.tr("It comes with rfapp and stays") if model.shipped else "")
        self.use_button.setText(self.tr("In use") if model.name == self._current else self.tr("Use this model"))
        self._title.setText(model.title or model.name)
        facts = {
            "network": model.config.architecture
            if model.config.live
            else f"{model.config.architecture}: {translated(NOT_LIVE)}",
            "size": filled("{size:.1f} MB", size=model.bytes / 1e6) if model.bytes else "",
            "ap": _precision(model.ap) or self.tr("not measured"),
            "speed": self._speeds.get(model.name, self.tr("not measured")),
            "origin": model.origin,
            "licence": model.licence or self.tr("not stated: ask whoever gave you the file"),
            "file": str(model.path),
        }
        for key, text in facts.items():
            self._facts[key].setText(text)

    def _recolour(self) -> None:
        self.import_button.setIcon(self._theme.icon("folder"))
        self.download_button.setIcon(self._theme.icon("down"))

    # ------------------------------------------------------------------------------ what the buttons do

    def _use(self) -> None:
        name = self._chosen_name()
        if name and name != self._current:
            self.chosen.emit(name)

    def _measure(self) -> None:
        name = self._chosen_name()
        said = self.tr("{ms:.1f} ms a picture of {size} ({where})")

        def work(tell: Callable[[int, int], bool]) -> tuple[str, str]:
            from rfapp.detector import FaceDetector
            from rfapp.looking import built_in_picture

            picture, times = built_in_picture(), []
            with FaceDetector(name) as detector:
                detector.warm_up(picture.shape[1], picture.shape[0])
                for count in range(CALLS):
                    began = time.perf_counter()
                    detector(picture)
                    times.append(time.perf_counter() - began)
                    if not tell(count + 1, CALLS):
                        break
                where = f"{detector.device_title}, {detector.engine} {detector.precision}"
            return name, filled(said, ms=median(times) * 1e3, size="640×640", where=where)

        self.tasks.start(work, self.tr("Measuring {name}…").format(name=name), self._measured)

    @Slot(object)
    def _measured(self, result: tuple[str, str]) -> None:
        self._speeds[result[0]] = result[1]
        self._show_chosen()

    def _verify(self) -> None:
        model = self._models[self._chosen_name()]

        def work(tell: Callable[[int, int], bool]) -> str:
            from rfapp.weights import verify

            verify(model)
            return model.name

        self.tasks.start(
            work,
            self.tr("Verifying {name}…").format(name=model.name),
            lambda name: self.tasks.tell(self.tr("{name} is whole.").format(name=name)),
        )

    def _ask_remove(self) -> None:
        name = self._chosen_name()
        answer = QMessageBox.question(
            self,
            self.tr("Remove a model"),
            self.tr("Remove “{name}” and delete its file?").format(name=name),
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove one of the user's own models."""

        def work(tell: Callable[[int, int], bool]) -> str:
            from rfapp.weights.removing import remove_model

            return remove_model(name).name

        self.tasks.start(
            work,
            self.tr("Removing {name}…").format(name=name),
            lambda gone: self._changed(self.tr("{name} is gone.").format(name=gone)),
        )

    def _choose_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Import a checkpoint"),
            str(Path.home()),
            self.tr("Checkpoints (*.pth *.pt *.safetensors *.whl *.onnx *.tar);;All files (*)"),
        )
        if path:
            self.import_file(Path(path))

    def import_file(self, path: Path) -> None:
        """Make a model out of *path* and try it on the built-in picture."""

        def work(tell: Callable[[int, int], bool]) -> Any:
            return _import(path, None)

        self.tasks.start(work, self.tr("Importing {file}…").format(file=path.name), self._imported)

    def download(self, item: Download, folder: Path | None = None) -> None:
        """Fetch published weights and import them."""

        def work(tell: Callable[[int, int], bool]) -> Any:
            from rfapp.places import cache_dir

            file = fetch(item, folder or cache_dir() / "downloads", tell)
            done = _import(file, item.name)
            file.unlink(missing_ok=True)
            return done

        self.tasks.start(work, self.tr("Downloading {title}…").format(title=item.title), self._imported)

    @Slot(object)
    def _imported(self, done: Any) -> None:
        text = self.tr("{name} is ready.").format(name=done.model.name)
        self._changed(f"{translated(done.warning)} {text}".strip())
        for row in range(self.list.count()):
            if self.list.item(row).data(Qt.ItemDataRole.UserRole) == done.model.name:
                self.list.setCurrentRow(row)

    @Slot(bool)
    def _show_busy(self, busy: bool) -> None:
        for button in (self.import_button, self.download_button):
            button.setEnabled(not busy)
        self._show_chosen()

    def _changed(self, told: str) -> None:
        self.tasks.tell(told)
        self.refresh()
        self.changed.emit()


def _precision(ap: Mapping[str, float]) -> str:
    """ "640: easy 89.4, medium 83.2 · original: …" out of the manifest's "640 easy" and so on."""
    sizes: dict[str, list[str]] = {}
    for key, value in ap.items():
        size, _, level = key.rpartition(" ")
        sizes.setdefault(size, []).append(filled("{level} {value:.1f}", level=LEVELS.get(level, level), value=value))
    return " · ".join(
        filled("{size}: {values}", size=ORIGINAL if size == ORIGINAL else size, values=", ".join(values))
        for size, values in sizes.items()
    )


def _import(path: Path, name: str | None) -> Any:
    from rfapp.detector import try_out
    from rfapp.engines import import_torch

    import_torch()
    from rfapp.weights import import_weights

    return import_weights(path, try_out=try_out, name=name)
