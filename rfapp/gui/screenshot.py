"""``rfapp gui --screenshot``: lets the window run, grabs it, and tells in one line of JSON how it went."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtWidgets import QApplication

from rfapp.gui.window import Window
from rfapp.runtime import Failed, LivePipeline, Spread


class Screenshot(QObject):
    """Waits for the first paint, then *after_s* seconds, saves the window to *file* and ends the application.

    ``code`` is then the exit code: 1 when the source failed or the file could not be written.
    """

    def __init__(self, window: Window, pipeline: LivePipeline, file: Path, after_s: float) -> None:
        super().__init__(window)
        self._window, self._pipeline, self._file, self._after_s = window, pipeline, file, after_s
        self._process = psutil.Process()
        self._visible_s = 0.0
        self._torch_before = False
        self._cpu_from: tuple[float, float] | None = None
        self.code = 1
        window.first_painted.connect(self._visible)

    @Slot()
    def _visible(self) -> None:
        self._visible_s = _age_s(self._process)
        self._torch_before = "torch" in sys.modules
        QTimer.singleShot(round(self._after_s * 1000), self._take)
        self._watch = QTimer(self, interval=50)
        self._watch.timeout.connect(self._note_cpu)
        self._watch.start()

    @Slot()
    def _note_cpu(self) -> None:
        """From the first detection on, what the process costs is the cost of detecting."""
        if self._pipeline.statistics.first_detection_at is not None:
            self._cpu_from = (time.perf_counter(), _cpu_s(self._process))
            self._watch.stop()

    @Slot()
    def _take(self) -> None:
        try:
            self.code = 0 if self._written() else 1
        except BrokenPipeError:  # nobody reads what is printed any more; the picture is there
            self.code = 1
        except OSError as error:
            self.code = 1
            with contextlib.suppress(OSError):
                print(f"rfapp: The screenshot could not be written to “{self._file}”: {error}.", file=sys.stderr)
        finally:  # whatever happens, the program ends: nobody may be there to close its window
            self._window.close()
            QApplication.quit()

    def _written(self) -> bool:
        """Write the picture and the figures; False where something failed."""
        report = self._report()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        saved = self._window.grab().save(str(self._file))
        state = self._pipeline.state
        if not saved:
            print(f"rfapp: The screenshot could not be written to “{self._file}”.", file=sys.stderr)
        if isinstance(state, Failed):
            print(f"rfapp: {state.error}", file=sys.stderr)
        print(json.dumps(report), flush=True)
        return saved and not isinstance(state, Failed)

    def _report(self) -> dict[str, Any]:
        statistics, title = self._pipeline.statistics, self._pipeline.detector
        first, result = statistics.first_detection_at, self._window.view.result
        started = time.perf_counter() - _age_s(self._process)
        cpu = None
        if self._cpu_from is not None:
            wall = time.perf_counter() - self._cpu_from[0]
            cpu = round((_cpu_s(self._process) - self._cpu_from[1]) / wall, 3) if wall > 0 else None
        return {
            "frames_captured": statistics.captured,
            "frames_detected": statistics.detected,
            "frames_shown": statistics.shown,
            "frames_dropped": statistics.dropped,
            "latency_ms": _spread(statistics.latency()),
            "detect_ms": _spread(statistics.detect()),
            "window_visible_s": round(self._visible_s, 3),
            "first_detection_s": None if first is None else round(first - started, 3),
            "device": None if title is None else title.device,
            "engine": None if title is None else title.engine,
            "precision": None if title is None else title.precision,
            "faces_last_frame": None if result is None or result.detections is None else len(result.detections),
            "rss_mb": round(self._process.memory_info().rss / 1e6, 1),
            "cpu_s_per_s": cpu,
            "torch_imported": "torch" in sys.modules,
            "torch_imported_before_window": self._torch_before,
        }


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def _age_s(process: psutil.Process) -> float:
    """Seconds since the operating system started the process."""
    if sys.platform == "linux":
        # Both from the same clock; psutil adds the time of boot, which the kernel tells in whole seconds only.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - process.create_time()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
