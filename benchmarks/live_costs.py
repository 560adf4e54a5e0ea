"""What recording, following and hiding cost while a clip plays in the window.

    python benchmarks/live_costs.py CLIP [--seconds 6] [--rounds 4]

Takes turns in one process (no screen needed): plain, recording, followed, hidden, and again. Ends with one line of
JSON: for each, processor seconds a second and the delay (read returned to painted, ms: median and p95) as the median
of its turns, and for all but plain the change of both against the plain turn before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from rfapp.gui.app import undo_opencv_qt
from rfapp.gui.theme import Theme
from rfapp.gui.window import Window
from rfapp.runtime import LivePipeline
from rfapp.settings import Settings

PLAIN = Settings().changed(source_loop=True)
WAYS = {
    "recording": PLAIN,
    "followed": PLAIN.changed(tracking_on=True),
    "hidden": PLAIN.changed(hiding_how="blur"),
}
SETTLE_S = 0.7


def wait(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


class Turns:
    def __init__(self, clip: str, seconds: float) -> None:
        self.process, self.seconds = psutil.Process(), seconds
        self.folder = Path(tempfile.mkdtemp())
        self.pipeline = LivePipeline(None, PLAIN)
        self.window = Window(self.pipeline, Theme(QApplication.instance()), models=(), remember=False)
        self.window.resize(1000, 640)
        self.window.show()
        self.pipeline.start()
        self.window.player.open(clip)
        while self.pipeline.statistics.detected < 60:
            wait(0.1)

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def turn(self, settings: Settings, *, record: bool = False) -> dict[str, float]:
        self.pipeline.apply(settings)
        if record:
            self.window.commands.record(self.folder / f"{time.monotonic_ns()}.mp4")
        wait(SETTLE_S)
        shown, cpu, began = self.pipeline.statistics.shown, self.cpu_s(), time.perf_counter()
        wait(self.seconds)
        passed = time.perf_counter() - began
        used = (self.cpu_s() - cpu) / passed
        count = self.pipeline.statistics.shown - shown
        latency = self.pipeline.statistics.latency(max(count, 1))
        assert latency is not None
        dropped = 0
        if record:
            recording = self.pipeline.recording
            assert recording is not None
            dropped = recording.dropped
            self.pipeline.stop_recording()
        self.pipeline.apply(PLAIN)
        wait(0.3)
        return {
            "cpu_s_per_s": used,
            "median_ms": latency.median,
            "p95_ms": latency.p95,
            "shown_per_s": count / passed,
            "not_recorded": dropped,
        }

    def close(self) -> None:
        self.window.close()
        self.pipeline.close(10)


def middle(turns: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(turn[key] for turn in turns), 3) for key in turns[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    undo_opencv_qt()
    application = QApplication(["rfapp"])
    turns = Turns(arguments.clip, arguments.seconds)
    plain: list[dict[str, float]] = []
    done: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    changes: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(arguments.rounds):
        for name, settings in WAYS.items():
            before = turns.turn(PLAIN)
            now = turns.turn(settings, record=name == "recording")
            plain.append(before)
            done[name].append(now)
            changes[name].append((now["cpu_s_per_s"] / before["cpu_s_per_s"] - 1, now["p95_ms"] - before["p95_ms"]))
    turns.close()
    result: dict[str, Any] = {"plain": middle(plain)}
    for name, values in done.items():
        cpu, delay = (statistics.median(column) for column in zip(*changes[name], strict=True))
        result[name] = {**middle(values), "cpu_change": round(cpu, 3), "p95_change_ms": round(delay, 2)}
    print(json.dumps(result))
    del application


if __name__ == "__main__":
    main()
