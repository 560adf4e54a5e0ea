"""The program as the system starts it: in a process of its own, with the real detector."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest

from rfapp.gui.app import catch_exceptions, undo_opencv_qt

KEYS = {
    "frames_captured",
    "frames_detected",
    "frames_shown",
    "frames_dropped",
    "latency_ms",
    "detect_ms",
    "window_visible_s",
    "first_detection_s",
    "device",
    "engine",
    "precision",
    "faces_last_frame",
    "rss_mb",
    "cpu_s_per_s",
    "torch_imported",
}

# Runs the command line in a process that can't open a connection and whose OpenCV was imported before Qt.
OFFLINE = """
import socket, sys

def refuse(self, *args, **kwargs):
    raise AssertionError("the program wanted to reach the network")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = refuse
import cv2
from rfapp.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments: str, code: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    how = ["-c", code] if code else ["-m", "rfapp"]
    return subprocess.run(
        [sys.executable, *how, *arguments],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_sample_shows_faces_and_the_figures_are_told_without_a_network(tmp_path):
    shot = tmp_path / "new folder" / "s.png"
    for seconds in ("6", "40"):  # on a busy computer the first start, which compiles the network, takes its time
        done = start("gui", "sample", "--screenshot", str(shot), "--after", seconds, code=OFFLINE)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        report = json.loads(done.stdout.splitlines()[-1])
        assert set(report) >= KEYS
        if report["frames_shown"] > 10:
            break
    assert report["faces_last_frame"] == 5
    assert report["frames_shown"] > 10
    assert report["frames_captured"] >= report["frames_detected"] >= report["frames_shown"]
    assert report["latency_ms"]["median"] >= report["detect_ms"]["median"] > 0
    assert report["first_detection_s"] > report["window_visible_s"] > 0
    assert report["torch_imported_before_window"] is False
    assert not (Path(os.environ["XDG_CONFIG_HOME"]) / "rfapp" / "window.toml").exists()
    picture = cv2.imread(str(shot))
    assert picture.shape[0] > 300
    assert len(set(map(tuple, picture[:: picture.shape[0] // 40].reshape(-1, 3).tolist()))) > 200, "an empty window"


def test_a_missing_file_ends_with_its_sentence(tmp_path):
    done = start("gui", str(tmp_path / "no.mp4"), "--screenshot", str(tmp_path / "s.png"), "--after", "1")
    assert done.returncode == 1
    assert "There is no file or folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "s.png").exists()


def test_a_damaged_settings_file_is_kept_and_the_window_opens(tmp_path, own_folders):
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "rfapp"
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_bytes(b"[detector\nscore = \xff")
    done = start("gui", "--screenshot", str(tmp_path / "s.png"), "--after", "0.5")
    assert done.returncode == 0, done.stderr
    if sys.platform == "linux":
        assert len(list(folder.glob("settings.broken-*.toml"))) == 1


def test_wrong_values_on_the_command_line_are_wrong_usage():
    done = start("gui", "sample", "--score", "7")
    assert done.returncode == 2
    assert "Score" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only there OpenCV brings a Qt of its own")
def test_what_opencv_does_to_qt_is_undone_and_nothing_else(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "/usr/lib/python3/site-packages/cv2/qt/plugins")
    monkeypatch.setenv("QT_QPA_FONTDIR", "/usr/share/fonts")
    undo_opencv_qt()
    assert "QT_QPA_PLATFORM_PLUGIN_PATH" not in os.environ
    assert os.environ["QT_QPA_FONTDIR"] == "/usr/share/fonts"


@pytest.mark.skipif(sys.platform != "linux", reason="X11 and Wayland are Linux's")
def test_without_a_screen_there_is_a_sentence_and_no_abort():
    environment = dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"), "")
    done = subprocess.run(
        [sys.executable, "-m", "rfapp", "gui"],
        env={k: v for k, v in os.environ.items() if k not in environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "There is no screen" in done.stderr


def test_a_mistake_that_nobody_caught_is_logged_told_once_and_ends_nothing(qtbot, caplog, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    told: list[str] = []
    catch_exceptions(told.append)

    def broken() -> None:
        raise ZeroDivisionError("a mistake of {ours}")

    for _ in range(2):
        thread = threading.Thread(target=broken, name="worker")
        thread.start()
        thread.join()
    qtbot.waitUntil(lambda: bool(told))
    qtbot.wait(50)
    assert told == ["Something went wrong (ZeroDivisionError: a mistake of {ours}). The log tells more."]
    assert caplog.text.count("uncaught in worker") == 2
    assert "Traceback" in caplog.text


def test_a_screenshot_that_can_not_be_written_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = start("gui", "--screenshot", str(tmp_path / "file" / "s.png"), "--after", "0.5")
    assert done.returncode == 1
    assert "could not be written" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe that nobody reads is another error there")
def test_a_screenshot_whose_figures_nobody_reads_is_there_and_ends_the_program(tmp_path: Path) -> None:
    shot = tmp_path / "s.png"
    command = [sys.executable, "-m", "rfapp", "gui", "--screenshot", str(shot), "--after", "0.5"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        told = process.stderr.read().decode()
        assert process.wait(100) == 1
    assert shot.exists()
    assert "could not be written" not in told
