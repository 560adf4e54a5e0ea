"""A film that tells how many faces it shows, and a detector that counts them."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np

from rfapp.frames import Detections, Frame
from rfapp.settings import DetectorSettings
from rfapp.sinks.video import VideoSink
from tests.runtime.fakes import FakeDetector

RATE = 20
#: So many faces are in the frames of the film, which shows it by its brightness.
FACES = [0] * 10 + [1] * 15 + [0] * 30 + [2] * 15


class Counter(FakeDetector):
    """Finds as many faces as the picture is bright, when it is let. ``made``: all of them."""

    made: ClassVar[list[Counter]] = []
    let = threading.Event()

    def __init__(self, settings: DetectorSettings | None = None) -> None:
        super().__init__(settings)
        self.settings = settings
        Counter.made.append(self)

    def __call__(self, image: np.ndarray, **thresholds: object) -> Detections:
        assert self.let.wait(10)
        self.calls.append(thresholds)
        self.priority = os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == "linux" else 10
        if self.broken is not None:
            raise self.broken
        faces = round(float(image.mean()) / 60)
        boxes = np.array([[10 + 25 * number, 5, 30 + 25 * number, 30] for number in range(faces)], np.float32)
        return Detections(boxes.reshape(-1, 4), np.full(faces, 0.9, np.float32), np.zeros((faces, 5, 2), np.float32))


def make_film(path: Path) -> Path:
    """Write the film to *path*."""
    with VideoSink(path, rate=RATE) as sink:
        for index, faces in enumerate(FACES):
            image = np.full((48, 64, 3), 60 * faces, np.uint8)
            sink.append(Frame(image, index, index / RATE, 0.0), Detections.empty())
    return path
