"""The page of training: says what is wanted, starts `rfapp train` as a process of its own, and watches its folder.

The window knows training only as that process and as the run's folder (``rfapp.datasets.runs``): it can be closed and
opened again while a run goes on, and finds it by its folder.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import (
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from rfapp.datasets.runs import LOG, METRICS, Metrics, RunFolder, runs_in
from rfapp.gui import dialogs
from rfapp.gui.curves import Curves, Series
from rfapp.gui.flow import Flow, scrolling
from rfapp.gui.found_pictures import FoundPictures
from rfapp.gui.texts import filled
from rfapp.gui.theme import Theme
from rfapp.gui.training_form import TrainingForm
from rfapp.places import data_dir, log_dir
from rfapp.settings import write_whole

log = logging.getLogger(__name__)

#: Beside what the trainer writes: the command line, for going on.
COMMAND = "command.json"
LOOK_EVERY_MS = 1000
LOG_LINES = 300
#: In a narrower page its halves stand below each other.
NARROW = 640


class TrainingPage(QWidget):
    """``chosen`` carries the folder of a run whose best weights are to find the faces."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._run: RunFolder | None = None
        self._followed: dict[Path, tuple[Metrics, Series]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started: dict[Path, tuple[subprocess.Popen[bytes], list[str]]] = {}
        self.root = data_dir() / "runs"
        self._form_room = scrolling(self._build_left(), "form")
        self._form_room.setMinimumWidth(300)
        self._splitter = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        self._splitter.setContentsMargins(12, 12, 12, 12)
        self._splitter.addWidget(self._form_room)
        self._splitter.addWidget(self._build_watch(theme))
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([340, 800])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(self._splitter, "page"))
        self._look = QTimer(self, interval=LOOK_EVERY_MS)
        self._look.timeout.connect(self.refresh)
        self.refresh()

    # ------------------------------------------------------------------------------ building

    def _build_left(self) -> QWidget:
        holder = QWidget(objectName="paneContent")
        self.form = TrainingForm()
        self.form.started.connect(self.start)
        self.runs = QListWidget(accessibleName=self.tr("Runs"), toolTip=self.tr("Tick several to compare them"))
        self.runs.setMinimumHeight(120)
        self.runs.currentItemChanged.connect(self._run_chosen)
        self.runs.itemChanged.connect(lambda _item: self._draw())
        column = QVBoxLayout(holder)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(10)
        column.addWidget(self.form)
        column.addWidget(QLabel(self.tr("Runs"), objectName="heading"))
        column.addWidget(self.runs, 1)
        return holder

    def _build_watch(self, theme: Theme) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(12, 0, 0, 0)
        column.setSpacing(8)
        self.status = QLabel(wordWrap=True)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setMaximumHeight(8)
        self.curves = Curves(theme)
        self.found = FoundPictures()
        self.log_view = QPlainTextEdit(readOnly=True, accessibleName=self.tr("Log of the run"))
        self.log_view.setMaximumBlockCount(LOG_LINES)
        self.log_view.setMaximumHeight(130)
        self.stop_button = QPushButton(self.tr("Stop"), toolTip=self.tr("Ends after this step; nothing is lost"))
        self.stop_button.clicked.connect(self.stop)
        self.resume_button = QPushButton(self.tr("Go on"))
        self.resume_button.clicked.connect(self.resume)
        self.use_button = QPushButton(self.tr("Use this model"))
        self.use_button.clicked.connect(self._use)
        self.folder_button = QPushButton(self.tr("Open folder"))
        self.folder_button.clicked.connect(self._open_folder)
        row = Flow((self.stop_button, self.resume_button, self.use_button, self.folder_button))
        column.addWidget(self.status)
        column.addWidget(self.bar)
        column.addWidget(self.curves, 1)
        column.addWidget(self.found)
        column.addLayout(row)
        column.addWidget(self.log_view)
        return holder

    # ------------------------------------------------------------------------------ what is wanted

    @Slot()
    def start(self) -> None:
        """Start a new run."""
        name = f"{self.form.model.currentText()}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = Path(self.form.output.path) / name if self.form.output.path else self.root / name
        self._launch(self.form.command(folder), folder)

    @Slot()
    def resume(self) -> None:
        """Go on with the chosen run: the same command again."""
        if self._run is not None and (words := _command_of(self._run)) is not None:
            self._launch(words, self._run.path)

    def _launch(self, words: list[str], folder: Path) -> None:
        program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "rfapp"]
        # A session of its own: the run goes on when this window is closed, and Ctrl-C in a terminal is not its end.
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            log_dir().mkdir(parents=True, exist_ok=True)
            with _console(folder).open("ab") as console:
                process = subprocess.Popen(
                    [*program, *words], stdin=subprocess.DEVNULL, stdout=console, stderr=console, **options
                )
        except OSError as error:
            self.form.findings.setText(self.tr("The training could not be started: {error}").format(error=error))
            return
        log.info("training started as process %d: %s", process.pid, words)
        self._started[folder] = (process, words)
        self._processes.append(process)
        self._run = RunFolder(folder)
        self.refresh()

    @Slot()
    def stop(self) -> None:
        """Ask the run to end after its step."""
        if self._run is not None:
            self._run.stop()
            self.refresh()

    def _use(self) -> None:
        if self._run is not None:
            self.chosen.emit(str(self._run.path))

    def _open_folder(self) -> None:
        if self._run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._run.path)))

    # ------------------------------------------------------------------------------ what happens

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the curves stand below the form, and the page is scrolled."""
        narrow = event.size().width() < NARROW
        if narrow != (self._splitter.orientation() == Qt.Orientation.Vertical):
            self._splitter.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)
            content = self._form_room.widget()
            assert content is not None
            self._form_room.setMinimumHeight(content.sizeHint().height() + 2 if narrow else 0)
        super().resizeEvent(event)

    def showEvent(self, event: Any) -> None:
        self.form.fill_start_from()
        self.form.offer_examples()
        self._look.start()
        self.refresh()
        super().showEvent(event)

    def hideEvent(self, event: Any) -> None:
        self._look.stop()
        super().hideEvent(event)

    def running(self) -> list[Path]:
        """The runs that are going on."""
        return [run.path for run in runs_in(self.root) if run.is_running()]

    def may_close(self) -> bool:
        """Ask what becomes of a training that is under way. False: the window is to stay."""
        running = self.running()
        answer = dialogs.ask_about_training(self, running[0].name) if running else "go on"
        if answer == "stop":
            for folder in running:
                RunFolder(folder).stop()
        return answer is not None

    @Slot()
    def refresh(self) -> None:
        """Read what the runs' folders say by now."""
        folders = [run.path for run in runs_in(self.root)]
        if self._run is not None and self._run.path not in folders:
            folders.insert(0, self._run.path)
        shown = [self.runs.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.runs.count())]
        if set(map(str, folders)) != set(shown):
            self._fill_runs(folders)
        self._processes = [process for process in self._processes if process.poll() is None]
        for path, (_, words) in self._started.items():
            # The trainer makes the folder; once it is a run, the command for going on belongs into it.
            if RunFolder(path).exists() and not (path / COMMAND).exists():
                write_whole(path / COMMAND, json.dumps(words).encode())
        changed = False
        for path, (metrics, series) in self._followed.items():
            events = metrics.new()
            if metrics.restarted:
                fresh = Series(path.name)
                fresh.take(events)
                self._followed[path] = (metrics, fresh)
                changed = True
            elif events:
                series.take(events)
                changed = True
        if changed:
            self._draw()
        self._show_status()

    def _fill_runs(self, folders: list[Path]) -> None:
        self.runs.blockSignals(True)
        self.runs.clear()
        for path in folders:
            item = QListWidgetItem(path.name)
            item.setData(Qt.ItemDataRole.UserRole, str(path))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Unchecked)
            item.setToolTip(str(path))
            self.runs.addItem(item)
            self._followed.setdefault(path, (Metrics(path / METRICS), Series(path.name)))
            if self._run is not None and path == self._run.path:
                self.runs.setCurrentItem(item)
        self.runs.blockSignals(False)
        if self.runs.currentItem() is None and self.runs.count():
            self.runs.setCurrentRow(0)

    @Slot()
    def _run_chosen(self) -> None:
        item = self.runs.currentItem()
        self._run = None if item is None else RunFolder(Path(item.data(Qt.ItemDataRole.UserRole)))
        self._draw()
        self._show_status()

    def _draw(self) -> None:
        ticked = [
            Path(self.runs.item(row).data(Qt.ItemDataRole.UserRole))
            for row in range(self.runs.count())
            if self.runs.item(row).checkState() == Qt.CheckState.Checked
        ]
        first = [] if self._run is None else [self._run.path]
        paths = list(dict.fromkeys([*first, *ticked]))
        self.curves.show_runs([self._followed[path][1] for path in paths if path in self._followed])

    def _show_status(self) -> None:
        run = self._run
        status = "" if run is None else self._status(run)
        running = status == "running"
        has_model = run is not None and (run / "manifest.toml").exists()
        self.stop_button.setEnabled(running)
        command = None if run is None else _command_of(run)
        self.resume_button.setEnabled(command is not None and status in {"stopped", "interrupted"})
        self.resume_button.setToolTip(
            "" if command is not None else self.tr("Started in a terminal: give the same command there")
        )
        self.use_button.setEnabled(has_model)
        self.folder_button.setEnabled(run is not None)
        self.bar.setVisible(running)
        self.found.show_run(run)
        if run is None:
            self.status.setText(self.tr("Choose labelled pictures and press Start; the curves appear here."))
            return
        self.status.setText(f"{run.path.name}: {self._progress(run, status)}")
        text = _tail(run / LOG) or _tail(_console(run.path))
        if text != self.log_view.toPlainText():
            self.log_view.setPlainText(text)
            self.log_view.verticalScrollBar().setValue(self.log_view.verticalScrollBar().maximum())

    def _status(self, run: RunFolder) -> str:
        if run.exists():
            return run.status()
        process = self._started.get(run.path, (None, []))[0]
        return "starting" if process is not None and process.poll() is None else "failed"

    def _progress(self, run: RunFolder, status: str) -> str:
        words = {
            "starting": self.tr("starting…"),
            "running": self.tr("running"),
            "done": self.tr("done"),
            "stopped": self.tr("stopped"),
            "failed": self.tr("failed"),
            "interrupted": self.tr("interrupted; it can go on"),
        }
        parts = [words.get(status, status)]
        events = run.events()
        steps = [event for event in events if event["event"] == "step"]
        if steps:
            last = steps[-1]
            parts.append(filled(self.tr("{rate:.1f} images/s"), rate=float(last.get("images_per_s", 0))))
            self._show_left(run, last, parts)
        if events and events[-1]["event"] == "end" and events[-1].get("message"):
            parts.append(str(events[-1]["message"]))
        return " · ".join(parts)

    def _show_left(self, run: RunFolder, last: dict[str, Any], parts: list[str]) -> None:
        """How far it is; how many steps there are in all stands in the log only."""
        told = re.findall(r"step (\d+)/(\d+)", _tail(run / LOG))
        total = int(told[-1][1]) if told else 0
        self.bar.setRange(0, total)
        self.bar.setValue(int(last["step"]))
        parts.insert(1, self.tr("step {step} of {total}").format(step=last["step"], total=total or "?"))
        if total and last["step"] and last.get("time_s"):
            left = float(last["time_s"]) / last["step"] * (total - last["step"])
            parts.append(self.tr("{minutes:.0f} min left").format(minutes=left / 60))


def _console(folder: Path) -> Path:
    """Where the trainer's own words go until it has a log."""
    return log_dir() / f"training-{folder.name}.txt"


def _command_of(run: RunFolder) -> list[str] | None:
    """The command that this page started the run with; None for a run from somewhere else."""
    try:
        words = json.loads((run / COMMAND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [str(word) for word in words] if isinstance(words, list) else None


def _tail(path: Path) -> str:
    """The last lines of a text file; "" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 20_000))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_LINES:])
