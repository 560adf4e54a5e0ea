"""The few questions that the window asks in a box of their own. Each returns the answer, "" or None for none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QWidget

from rfapp import __version__
from rfapp.sources.kinds import PICTURES, VIDEOS


def _tr(text: str) -> str:
    return QCoreApplication.translate("dialogs", text)


def ask_files(parent: QWidget, recent: Sequence[str]) -> list[str]:
    """Videos or pictures."""
    patterns = " ".join(f"*{suffix}" for suffix in sorted(PICTURES | VIDEOS))
    kinds = _tr("Videos and pictures ({patterns});;All files (*)").format(patterns=patterns)
    return QFileDialog.getOpenFileNames(parent, _tr("Open video or picture"), _last_folder(recent), kinds)[0]


def ask_folder(parent: QWidget, recent: Sequence[str]) -> str:
    """A folder of pictures."""
    return QFileDialog.getExistingDirectory(parent, _tr("Open folder of pictures"), _last_folder(recent))


def ask_stream(parent: QWidget, recent: Sequence[str]) -> str:
    """The address of a network stream."""
    last = next((address for address in recent if "://" in address), "rtsp://")
    address, said_yes = QInputDialog.getText(
        parent, _tr("Open network stream"), _tr("Address (rtsp://…, http://…):"), text=last
    )
    return address.strip() if said_yes else ""


def ask_report_file(parent: QWidget) -> str:
    """Where a problem report is to go."""
    proposed = str(Path.home() / f"rfapp-report-{time.strftime('%Y%m%d')}.zip")
    return QFileDialog.getSaveFileName(parent, _tr("Report a problem"), proposed, "Zip (*.zip)")[0]


def ask_results_file(parent: QWidget, video: Path) -> Path | None:
    """Where the faces of *video* are to go: JSON lines, or a table if it ends in .csv."""
    proposed = str(video.with_name(f"{video.stem}-faces.jsonl"))
    kinds = {".jsonl": _tr("JSON lines (*.jsonl)"), ".csv": _tr("Table (*.csv)")}
    name, kind = QFileDialog.getSaveFileName(parent, _tr("Save results"), proposed, ";;".join(kinds.values()))
    if not name:
        return None
    typed = path = Path(name)
    wanted = next((suffix for suffix, shown in kinds.items() if shown == kind), ".jsonl")
    only_kind_chosen = typed == Path(proposed) and typed.suffix.lower() != wanted
    if only_kind_chosen or not typed.suffix:
        path = typed.with_suffix(wanted)
    if path != typed and path.exists():  # the system has asked for the name that was typed
        question = _tr("“{name}” is there already. Replace it?").format(name=path.name)
        if QMessageBox.question(parent, _tr("Save results"), question) != QMessageBox.StandardButton.Yes:
            return None
    return path


def ask_about_scan(parent: QWidget, name: str) -> bool:
    """Whether to close the window while all faces of the video *name* are being found."""
    question = QMessageBox(parent)
    question.setWindowTitle(_tr("Faces are being found"))
    question.setText(_tr("All faces of “{name}” are being found. What was found until now is kept.").format(name=name))
    close = question.addButton(_tr("Stop and close"), QMessageBox.ButtonRole.AcceptRole)
    question.addButton(QMessageBox.StandardButton.Cancel)
    question.exec()
    return question.clickedButton() is close


def ask_about_training(parent: QWidget, name: str) -> str | None:
    """What becomes of a training when the window is closed: "go on", "stop", or None for staying."""
    question = QMessageBox(parent)
    question.setWindowTitle(_tr("Training is under way"))
    question.setText(_tr("{name} is being trained. It can go on without this window.").format(name=name))
    go_on = question.addButton(_tr("Let it go on"), QMessageBox.ButtonRole.AcceptRole)
    stop = question.addButton(_tr("Stop it"), QMessageBox.ButtonRole.DestructiveRole)
    question.addButton(QMessageBox.StandardButton.Cancel)
    question.exec()
    return {go_on: "go on", stop: "stop"}.get(question.clickedButton())


def tell_about(parent: QWidget) -> None:
    """What this program is."""
    text = _tr(
        "<h3>rfapp {version}</h3><p>Finds faces live: in the webcam, in videos, in pictures.</p>"
        "<p>Nothing leaves this computer.</p>"
    )
    QMessageBox.about(parent, _tr("About rfapp"), text.format(version=__version__))


def _last_folder(recent: Sequence[str]) -> str:
    for address in recent:
        path = Path(address)
        if path.is_absolute() and path.exists():
            return str(path if path.is_dir() else path.parent)
    return str(Path.home())
