"""A long stretch of live use with random changes: does anything grow, hang or break?

    python benchmarks/soak.py CLIP [CLIP …] [--minutes 60] [--seed 1]

Plays the clips in the window (no screen needed) and changes settings, source, size, model and place at random, as an
impatient user would. Ends with one line of JSON: memory at the start (warm) and at the end, threads, open files, the
delay at the start and at the end, and every exception that nobody caught.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from rfapp.gui.app import undo_opencv_qt
from rfapp.gui.theme import Theme
from rfapp.gui.window import Window
from rfapp.runtime import Failed, LivePipeline
from rfapp.settings import Settings
from rfapp.weights import known

#: Memory counts from here on: by then every library is loaded and every kind of source was open once.
WARM_S = 60.0
SIZES = (320, 480, 640, 800, 960)


class Soak:
    def __init__(self, clips: list[str], seed: int) -> None:
        self.random = random.Random(seed)
        self.clips = [*clips, "sample"]
        self.uncaught: list[str] = []
        sys.excepthook = lambda kind, error, trace: self.uncaught.append(f"{kind.__name__}: {error}")
        threading.excepthook = lambda args: self.uncaught.append(f"{args.exc_type.__name__}: {args.exc_value}")
        self.process = psutil.Process()
        self.theme = Theme(QApplication.instance())
        self.pipeline = LivePipeline(None, Settings().changed(source_loop=True))
        self.window = Window(self.pipeline, self.theme, models=tuple((n, n) for n in known()), remember=False)
        self.window.resize(900, 600)
        self.window.show()
        self.pipeline.start()
        self.window.open(self.clips[0])
        self.changes = 0
        self.failures: list[str] = []

    def change(self) -> None:
        """Do one thing that a user might do now."""
        self.changes += 1
        settings = self.window._settings
        choice = self.random.randrange(10)
        if choice == 0:
            self.window.open(self.random.choice(self.clips))
        elif choice == 1:
            self.window._change(settings.changed(detector_size=self.random.choice(SIZES)))
        elif choice == 2:
            self.window._change(settings.changed(detector_score=self.random.uniform(0.2, 0.9)))
        elif choice == 3:
            self.window._change(settings.changed(view_mirror=not settings.view.mirror))
        elif choice == 4:
            self.window.play_or_pause()
        elif choice == 5:
            self.pipeline.seek(self.random.uniform(0, 8))
        elif choice == 6:
            self.window.resize(self.random.randint(400, 1400), self.random.randint(320, 900))
        elif choice == 7:
            self.window._change(settings.changed(view_theme=self.random.choice(("light", "dark"))))
        elif choice == 8:
            self.window._change(settings.changed(detector_model=self.random.choice(list(known()))))
        else:
            self.window.show_pane(self.random.random() < 0.5)
        if isinstance(self.pipeline.state, Failed):
            self.failures.append(str(self.pipeline.state.error))
            self.window.open("sample")

    def wait(self, seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def measure(self) -> dict[str, object]:
        """The state of the process while a plain clip plays."""
        self.window._change(Settings().changed(source_loop=True))
        self.window.open(self.clips[0])
        self.wait(4.0)
        latency = self.pipeline.statistics.latency(60)
        return {
            "rss_mb": round(self.process.memory_info().rss / 1e6, 1),
            "threads": self.process.num_threads(),
            "files": len(self.process.open_files()),
            "delay_p95_ms": None if latency is None else latency.p95,
        }

    def run(self, minutes: float) -> dict[str, object]:
        end = time.monotonic() + minutes * 60
        warm_at = time.monotonic() + min(WARM_S, minutes * 20)
        start: dict[str, object] | None = None
        while time.monotonic() < end:
            self.wait(self.random.uniform(0.1, 1.2))
            self.change()
            if start is None and time.monotonic() > warm_at:
                start = self.measure()
        result = {"start": start, "end": self.measure(), "changes": self.changes, "failures": self.failures}
        self.window.close()
        closed = self.pipeline.close(5)
        return {**result, "closed": closed, "uncaught": self.uncaught}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    undo_opencv_qt()
    application = QApplication(["rfapp"])
    print(json.dumps(Soak(arguments.clips, arguments.seed).run(arguments.minutes)))
    del application


if __name__ == "__main__":
    main()
