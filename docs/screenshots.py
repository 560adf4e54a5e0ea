"""Makes every picture in docs/images, from today's window and the built-in sample: ``python docs/screenshots.py``.

Needs no screen. Give names (``live small``) to make only some.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()  # today's defaults, not somebody's settings
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from PySide6.QtCore import QEventLoop, QPoint, QTimer
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QApplication

from rfapp.detector import FaceDetector
from rfapp.frames import Detections, Frame
from rfapp.gui.app import undo_opencv_qt
from rfapp.gui.theme import Theme
from rfapp.gui.toolbar import MODELS, TRAIN
from rfapp.gui.window import Window
from rfapp.looking import built_in_picture
from rfapp.runtime import LivePipeline
from rfapp.settings import DetectorSettings, Settings
from rfapp.sinks.pictures import write_picture
from rfapp.sinks.video import VideoSink
from rfapp.sources import Camera
from rfapp.sources.sample import SampleScene
from rfapp.weights import known

IMAGES = Path(__file__).resolve().parent / "images"


class Studio:
    """One window with a pipeline, ready to be photographed."""

    def __init__(
        self, width: int = 1180, height: int = 720, theme: str = "light", *, hold_detector: bool = False
    ) -> None:
        self._release = threading.Event()
        if not hold_detector:
            self._release.set()
        settings = Settings().changed(view_theme=theme)
        self.pipeline = LivePipeline(None, settings, make_detector=self._make)
        self.window = Window(self.pipeline, THEME, models=tuple((name, name) for name in known()), remember=False)
        self.window.resize(width, height)
        self.window.show()
        self.pipeline.start()
        wait(lambda: False, 0.3)

    def _make(self, settings: DetectorSettings) -> FaceDetector:
        self._release.wait(20)
        return FaceDetector.from_settings(settings)

    def play(self, address: str = "sample", seconds: float = 2.5) -> None:
        self.window.player.open(address)
        wait(lambda: self.pipeline.statistics.detected > 30, 20)
        wait(lambda: False, seconds)

    def shoot(self, name: str, *, with_menu: bool = False) -> None:
        picture = self.window.grab()
        if with_menu:
            picture = self._with_menu(picture)
        IMAGES.mkdir(exist_ok=True)
        picture.save(str(IMAGES / f"{name}.png"))
        print(f"docs/images/{name}.png")

    def _with_menu(self, picture: QPixmap) -> QPixmap:
        menu, picker = self.window.toolbar.picker.menu(), self.window.toolbar.picker
        menu.popup(picker.mapToGlobal(QPoint(0, picker.height() + 2)))
        wait(lambda: False, 0.2)
        painter = QPainter(picture)
        painter.drawPixmap(picker.mapTo(self.window, QPoint(0, picker.height() + 2)), menu.grab())
        painter.end()
        menu.hide()
        return picture

    def close(self) -> None:
        self._release.set()
        self.window.scans.close()  # or it would ask
        self.window.close()
        self.pipeline.close(10)


def wait(condition: Callable[[], object], seconds: float) -> None:
    """Let the window run until *condition* holds, at most *seconds*."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        loop = QEventLoop()
        QTimer.singleShot(30, loop.quit)
        loop.exec()


def live(studio: Studio) -> None:
    studio.play()


def empty(studio: Studio) -> None:
    pass


def loading(studio: Studio) -> None:
    studio.window.player.open("sample")
    wait(lambda: studio.window.view.result is not None, 10)
    wait(lambda: False, 1.0)


def error(studio: Studio) -> None:
    studio.window.player.open("holiday/beach.mp4")
    wait(lambda: False, 0.6)


def cameras(studio: Studio) -> None:
    finder = studio.window.finder
    finder.look = lambda: None  # type: ignore[method-assign]
    finder.found.emit([Camera("Integrated Camera", 0, 0, ""), Camera("USB Video", 2, 0, "")])
    wait(lambda: False, 0.2)


def following(studio: Studio) -> None:
    studio.window.commands.toggle_tracking()
    studio.play()


def thumbnails(studio: Studio) -> None:
    """A folder of moments of the built-in sample: no other pictures come with rfapp."""
    scene = SampleScene()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "holiday"
        folder.mkdir()
        for number in range(12):
            write_picture(folder / f"picture {number + 1}.png", scene.render(number * 45))
        studio.window.player.open(str(folder))
        wait(lambda: studio.window.view.result is not None and studio.window.view.result.fresh, 20)
        studio.pipeline.pause()
        wait(lambda: False, 2.0)


def hiding(studio: Studio) -> None:
    studio.window.commands.toggle_hiding()
    studio.play()
    result = studio.window.view.result
    assert result is not None
    assert result.detections is not None
    assert result.detections.tracks is not None
    studio.window.commands.show_or_hide_face(int(result.detections.tracks[0]))
    wait(lambda: False, 0.5)


def all_faces(studio: Studio) -> None:
    film = Path(tempfile.mkdtemp()) / "holiday.mp4"
    make_film(film)
    studio.play(str(film), seconds=0.0)
    studio.pipeline.pause()
    studio.window.timeline.go_to(24.0)
    wait(lambda: False, 1.0)
    studio.window.find_all()
    wait(lambda: (scan := studio.window.scans.running) is None or (scan.progress.part or 0) > 0.7, 120)


def make_film(path: Path) -> None:
    """A minute in which the built-in picture, and then two of it, are panned up and down."""
    tall = built_in_picture()
    twice = cv2.hconcat([cv2.resize(tall, (256, 256))] * 2)
    with VideoSink(path, rate=10) as sink:
        for index in range(600):
            picture = twice if 200 <= index < 380 else tall
            room = picture.shape[0] - 240
            top = round(room * (0.5 - 0.5 * np.cos(index / (35 if picture is tall else 60))))
            image = np.ascontiguousarray(picture[top : top + 240, :426])
            sink.append(Frame(image, index, index / 10, 0.0), Detections.empty())


def train(studio: Studio) -> None:
    studio.window.show_page(TRAIN)
    wait(lambda: False, 0.5)


def models(studio: Studio) -> None:
    studio.play(seconds=0.5)
    studio.window.show_page(MODELS)
    wait(lambda: False, 0.3)
    # Where this checkout lies is nobody's business.
    studio.window.pages.models._facts["file"].setText("weights/mobilenet0.25.safetensors")


def settings_open(studio: Studio) -> None:
    studio.window.pane.findChild(object, "fold").setChecked(True)
    studio.play()


SHOTS: dict[str, tuple[Callable[[Studio], None], dict[str, object]]] = {
    "live": (live, {}),
    "dark": (live, {"theme": "dark"}),
    "empty": (empty, {}),
    "empty-dark": (empty, {"theme": "dark"}),
    "loading": (loading, {"hold_detector": True}),
    "error": (error, {}),
    "cameras": (cameras, {}),
    "settings": (settings_open, {"height": 980}),
    "following": (following, {}),
    "hiding": (hiding, {}),
    "thumbnails": (thumbnails, {}),
    "models": (models, {}),
    "all-faces": (all_faces, {}),
    "train": (train, {}),
    "small": (live, {"width": 480, "height": 640}),
    "wide": (live, {"width": 2560, "height": 1300, "theme": "dark"}),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)}; all without one")
    names = parser.parse_args().names
    if unknown := set(names) - set(SHOTS):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    undo_opencv_qt()
    application = QApplication(["rfapp"])
    THEME = Theme(application)
    for name in names or SHOTS:
        act, options = SHOTS[name]
        studio = Studio(**options)  # type: ignore[arg-type]
        act(studio)
        studio.shoot(name, with_menu=name == "cameras")
        studio.close()
