"""Writes what the window has to write, beside Qt's thread: a disk may take its time, and the window does not wait."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QStandardPaths, Signal

from rfapp import settings as settings_store
from rfapp.errors import RfappError
from rfapp.frames import Detections, Frame
from rfapp.gui.report import write_report
from rfapp.gui.texts import filled, number_of_faces, sentence_of
from rfapp.runtime import LiveResult, Recording
from rfapp.settings import Settings, ViewSettings
from rfapp.sinks.crops import CropSink
from rfapp.sinks.drawing import draw_view
from rfapp.sinks.examples import ExampleFolder
from rfapp.sinks.pictures import write_picture

log = logging.getLogger(__name__)


def new_recording() -> Path:
    """A free name in the user's folder of videos."""
    folder = _own(QStandardPaths.StandardLocation.MoviesLocation)
    name = f"rfapp-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{name}.mp4", 1
    while path.exists() or path.with_suffix(".jsonl").exists():
        number += 1
        path = folder / f"{name}-{number}.mp4"
    return path


def told_of_recording(recording: Recording) -> str:
    """How a recording went, in a sentence."""
    saved = filled(
        QCoreApplication.translate("Saver", "Recorded {seconds:.0f} s to {path}"),
        seconds=recording.seconds,
        path=recording.path,
    )
    if recording.error is None:
        return saved if recording.frames else QCoreApplication.translate("Saver", "Nothing was recorded.")
    told = sentence_of(recording.error)
    return f"{told} {saved}" if recording.path.exists() else told


def _own(kind: QStandardPaths.StandardLocation) -> Path:
    return Path(QStandardPaths.writableLocation(kind)) / "rfapp"


def examples_folder() -> ExampleFolder:
    """Where examples to learn from lie: in the user's folder of pictures."""
    return ExampleFolder(_own(QStandardPaths.StandardLocation.PicturesLocation) / "examples")


class Saver(QObject):
    """One file after the other, in the order in which they were asked for. ``said`` carries how it went."""

    said = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._writer = ThreadPoolExecutor(1, "saving")

    def close(self) -> None:
        """Wait until everything is written."""
        self._writer.shutdown()

    def settings(self, settings: Settings) -> None:
        """Keep *settings* for the next start; only a failure is told."""
        self._writer.submit(self._write_settings, settings)

    def snapshot(self, result: LiveResult, view: ViewSettings) -> None:
        """Keep the picture at its own size, with what is painted over it, in the user's folder of pictures."""
        folder = _own(QStandardPaths.StandardLocation.PicturesLocation)
        self._writer.submit(self._write_snapshot, result, view, folder)

    def crops(self, result: LiveResult) -> None:
        """Keep each face of the picture cut out upright, in the user's folder of pictures."""
        folder = _own(QStandardPaths.StandardLocation.PicturesLocation) / "faces"
        self._writer.submit(self._write_crops, result, folder)

    def example(self, frame: Frame, faces: Detections, *, hidden: bool) -> None:
        """Keep the bare picture as an example whose labels are *faces*; *hidden*: the window hides faces, so say that
        the file does not."""
        self._writer.submit(self._write_example, examples_folder(), frame, faces, hidden)

    def report(self, path: Path) -> None:
        """Write a problem report to *path*."""
        self.said.emit(self.tr("Collecting what a helper needs to know…"))
        self._writer.submit(self._write_report, path)

    def _write_settings(self, settings: Settings) -> None:
        try:
            settings_store.save(settings, settings_store.settings_file())
        except OSError as error:
            log.warning("saving the settings: %s", error)
            self.said.emit(filled(self.tr("The settings could not be saved: {error}"), error=error))

    def _write_snapshot(self, result: LiveResult, view: ViewSettings, folder: Path) -> None:
        faces = result.detections if result.fresh and result.detections is not None else Detections.empty()
        image = draw_view(result.frame.image, faces, view, result.hidden)
        name = f"rfapp-{time.strftime('%Y%m%d-%H%M%S')}-{result.frame.index:06}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_picture(folder / name, image)
        except (OSError, RfappError) as error:
            self.said.emit(filled(self.tr("The picture could not be saved: {error}"), error=error))
        else:
            self.said.emit(self.tr("Saved as {path}").format(path=folder / name))

    def _write_crops(self, result: LiveResult, folder: Path) -> None:
        faces = result.detections if result.fresh and result.detections is not None else Detections.empty()
        written: list[Path] = []
        sink = CropSink(folder, f"rfapp-{time.strftime('%Y%m%d-%H%M%S')}", told=written.append)
        try:
            sink.append(result.frame, Detections(faces.boxes, faces.scores, faces.landmarks))
        except RfappError as error:
            self.said.emit(sentence_of(error))
            return
        if not written:
            self.said.emit(self.tr("There is no face in the picture to cut out."))
        elif len(written) == 1:
            self.said.emit(self.tr("Saved as {path}").format(path=written[0]))
        else:
            self.said.emit(self.tr("{count} faces saved in {path}").format(count=len(written), path=folder))

    def _write_example(self, folder: ExampleFolder, frame: Frame, faces: Detections, hidden: bool) -> None:
        try:
            path = folder.keep(frame, faces)
        except RfappError as error:
            self.said.emit(sentence_of(error))
            return
        told = (
            self.tr("Kept as an example ({faces}), {count} so far. In the file faces are not hidden: {path}")
            if hidden
            else self.tr("Kept as an example ({faces}), {count} so far: {path}")
        )
        self.said.emit(told.format(faces=number_of_faces(len(faces)), count=folder.count().pictures, path=path))

    def _write_report(self, path: Path) -> None:
        try:
            write_report(path)
        except RfappError as error:
            self.said.emit(sentence_of(error))
        else:
            self.said.emit(self.tr("Written to {path}. Look into it before you send it.").format(path=path))
