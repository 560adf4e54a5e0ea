"""A long stretch of live use with random changes: does anything grow, hang or break?

    python benchmarks/soak.py CLIP [CLIP …] [--pictures FOLDER] [--minutes 60] [--warm-up 5] [--seed 1]

Plays the clips, and the pictures of all sizes in a folder, in the window (no screen needed), and changes settings,
source, size, model and place at random, hides faces, follows them, starts and ends recordings, as an impatient user
would. First everything is done once, in order ("fresh"), and then at random for the minutes of the warm-up: what
libraries keep for the next time (decoders of other sizes, fonts, pools of threads) is there after those, and growth
counts from their end ("start"). Every five minutes and at the end a plain clip plays for some seconds and a line of
JSON tells memory (the median of those seconds), threads, open files and the delay; the last line has the first and the
last of them, the changes made, and every exception that nobody caught.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from rfapp.engines.memory import share_one_heap
from rfapp.gui.app import undo_opencv_qt
from rfapp.gui.theme import Theme
from rfapp.gui.window import Window
from rfapp.runtime import Failed, LivePipeline
from rfapp.runtime.recorder import Recording
from rfapp.settings import Settings
from rfapp.weights import known

#: Minutes between two measurements.
EVERY_M = 5.0
#: Seconds for which a plain clip plays while memory and delay are measured.
MEASURED_S = 15
SIZES = (320, 480, 640, 800, 960)


class Soak:
    def __init__(self, clips: list[str], pictures: str | None, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.sources = [*clips, "sample", *([pictures] if pictures else [])]
        self.uncaught: list[str] = []
        sys.excepthook = lambda kind, error, trace: self.uncaught.append(f"{kind.__name__}: {error}")
        threading.excepthook = lambda args: self.uncaught.append(f"{args.exc_type.__name__}: {args.exc_value}")
        self.recordings: list[Recording] = []
        self.process = psutil.Process()
        self.theme = Theme(QApplication.instance())
        self.plain = Settings().changed(source_loop=True, source_picture_seconds=0.2)
        self.pipeline = LivePipeline(None, self.plain)
        self.window = Window(self.pipeline, self.theme, models=tuple((n, n) for n in known()), remember=False)
        self.window.resize(900, 600)
        self.window.show()
        self.pipeline.subscribe(on_recorded=self.recordings.append)
        self.pipeline.start()
        self.window.player.open(self.sources[0])
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def actions(self) -> dict[str, Callable[[], object]]:
        """What a user might do now, by name."""
        settings, chosen = self.window.settings.now, self.random.choice

        def change(**values: object) -> None:
            self.window.settings.put(settings.changed(**values))

        return {
            "source": lambda: self.window.player.open(chosen(self.sources)),
            "size": lambda: change(detector_size=chosen(SIZES)),
            "score": lambda: change(detector_score=self.random.uniform(0.2, 0.9)),
            "mirror": lambda: change(view_mirror=not settings.view.mirror),
            "play": self.window.player.play_or_pause,
            "seek": lambda: self.pipeline.seek(self.random.uniform(0, 8)),
            "step": lambda: self.pipeline.step(chosen((-1, 1))),
            "speed": lambda: change(source_speed=chosen((0.5, 1.0, 2.0))),
            "resize": lambda: self.window.resize(self.random.randint(400, 1400), self.random.randint(320, 900)),
            "theme": lambda: change(view_theme=chosen(("light", "dark"))),
            "model": lambda: change(detector_model=chosen(list(known()))),
            "pane": lambda: self.window.show_pane(self.random.random() < 0.5),
            "hide": lambda: change(hiding_how=chosen(("off", "blur", "pixelate", "fill"))),
            "tracks": lambda: change(tracking_on=not settings.tracking.on),
            "record": self.record,
        }

    def record(self) -> None:
        """Begin a recording, or end the one that runs and throw away what it left."""
        if self.pipeline.recording is not None:
            self.pipeline.stop_recording()
            return
        for path in self.folder.iterdir():
            path.unlink()
        self.pipeline.record(self.folder / f"{self.counts['record']}.mp4")

    def do(self, name: str) -> None:
        self.counts[name] += 1
        self.actions()[name]()
        if isinstance(self.pipeline.state, Failed):
            self.failures.append(str(self.pipeline.state.error))
            self.window.player.open("sample")

    def wait(self, seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def everything_once(self) -> None:
        """Everything once: each source, model and way of hiding, and a recording."""
        for source in self.sources:
            self.window.player.open(source)
            self.wait(3.0)
        for model in known():
            self.window.settings.put(self.window.settings.now.changed(detector_model=model))
            self.wait(4.0)
        for name in self.actions():
            for _ in range(4 if name == "hide" else 2):
                self.do(name)
                self.wait(0.7)

    def measure(self) -> dict[str, object]:
        """The state of the process while a plain clip plays. The model is loaded anew before: the networks for the
        sizes that came last, up to five of them and 15 to 80 MB each, are kept on purpose."""
        self.pipeline.stop_recording()
        self.window.resize(900, 600)
        self.window.settings.put(self.plain.changed(detector_model="mobilenet0.25-imported"))
        self.wait(4.0)
        self.window.settings.put(self.plain)
        self.window.player.open(self.sources[0])
        resident = []
        for _ in range(MEASURED_S):
            self.wait(1.0)
            resident.append(self.process.memory_info().rss / 1e6)
        latency = self.pipeline.statistics.latency(60)
        return {
            "rss_mb": round(statistics.median(resident), 1),
            "threads": self.process.num_threads(),
            "files": len(self.process.open_files()),
            "delay_p95_ms": None if latency is None else round(latency.p95, 1),
            "load": round(os.getloadavg()[0], 1),
        }

    def told(self, minute: float | str) -> dict[str, object]:
        """What is measured now; a line says it, too."""
        measured = self.measure()
        print(json.dumps({"minute": minute, **measured}), flush=True)
        return measured

    def at_random(self, minutes: float) -> Iterator[float]:
        """Random changes for so long; gives the minutes gone by after each."""
        began = time.monotonic()
        while (gone := (time.monotonic() - began) / 60) < minutes:
            self.wait(self.random.uniform(0.1, 1.2))
            self.do(self.random.choice(list(self.actions())))
            yield gone

    def run(self, minutes: float, warm_up: float) -> dict[str, object]:
        self.everything_once()
        fresh = self.told("fresh")
        for _ in self.at_random(warm_up):
            pass
        self.counts.clear()
        measurements = [self.told(0)]
        due = EVERY_M
        for gone in self.at_random(minutes):
            if gone >= due:
                measurements.append(self.told(round(gone)))
                due += EVERY_M
        measurements.append(self.measure())
        problems = [str(recording.error) for recording in self.recordings if recording.error is not None]
        self.window.close()
        closed = self.pipeline.close(5)
        return {
            "fresh": fresh,
            "start": measurements[0],
            "end": measurements[-1],
            "grown_mb": round(float(str(measurements[-1]["rss_mb"])) - float(str(measurements[0]["rss_mb"])), 1),
            "changes": dict(self.counts),
            "recordings": len(self.recordings),
            "recording_problems": problems,
            "failures": self.failures,
            "closed": closed,
            "uncaught": self.uncaught,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--pictures")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=5.0, metavar="MINUTES")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    share_one_heap()  # as the app does
    undo_opencv_qt()
    application = QApplication(["rfapp"])
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(arguments.clips, arguments.pictures, arguments.seed, Path(folder))
        print(json.dumps(soak.run(arguments.minutes, arguments.warm_up)))
    del application


if __name__ == "__main__":
    main()
