"""Faults from outside that docs/reliability.md tells of and that no room's own tests look at."""

import ast
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from rfapp.errors import CameraLost
from rfapp.gui import memory
from rfapp.runtime import LivePipeline, Opening, Recording
from rfapp.settings import Settings, all_settings, check_setting, load, save
from tests.runtime.fakes import Camera, FakeDetector, Watcher

ROOT = Path(__file__).resolve().parents[1]

FIRST = Settings().changed(detector_score=0.55, detector_size="original", view_mirror=True, hiding_how="blur")
SECOND = Settings().changed(detector_score=0.72, source_camera_width=640, tracking_on=True)

SAVING = """
import sys
from pathlib import Path
from rfapp.settings import load, save
mine, path = load(Path(sys.argv[1]))[0], Path(sys.argv[2])
print("ready", flush=True)
while True:
    save(mine, path)
"""


def test_a_settings_file_cut_at_any_byte_never_keeps_rfapp_from_starting(tmp_path):
    whole = tmp_path / "whole.toml"
    save(FIRST, whole)
    content = whole.read_bytes()
    assert len(content) > 60
    told = 0
    for end in range(len(content) + 1):
        path = tmp_path / str(end) / "settings.toml"
        path.parent.mkdir()
        path.write_bytes(content[:end])
        loaded, problems = load(path)
        told += bool(problems)
        for setting in all_settings():
            value = getattr(getattr(loaded, setting.group), setting.key)
            assert check_setting(setting, value) == value
        kept = [item.read_bytes() for item in path.parent.iterdir()]
        assert kept == [content[:end]], "what the user had is kept, under its name or beside it"
    assert told > 20
    assert loaded == FIRST


def test_a_memory_cut_at_any_byte_never_keeps_the_window_from_opening(tmp_path):
    path = tmp_path / "window.toml"
    memory.save(memory.Memory(b"geometry", False, ("clip.mp4", "sample")), path)
    content = path.read_bytes()
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        assert isinstance(memory.load(path), memory.Memory)
    assert memory.load(path).recent == ("clip.mp4", "sample")


@pytest.mark.skipif(sys.platform == "win32", reason="there a file that is being read can't be replaced")
def test_two_copies_at_once_leave_a_whole_settings_file_also_when_they_are_killed(tmp_path):
    shared = tmp_path / "shared" / "settings.toml"
    copies = []
    for number, wish in enumerate((FIRST, SECOND)):
        own = tmp_path / f"{number}.toml"
        save(wish, own)
        command = [sys.executable, "-c", SAVING, str(own), str(shared)]
        copies.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT))
    try:
        for copy in copies:
            assert copy.stdout is not None
            assert copy.stdout.readline() == b"ready\n"
        seen = set()
        deadline = time.monotonic() + 30
        while len(seen) < 2 and time.monotonic() < deadline:
            if shared.exists():
                loaded, problems = load(shared)
                assert problems == []
                assert loaded in (FIRST, SECOND)
                seen.add(loaded)
        assert len(seen) == 2
    finally:
        for copy in copies:
            copy.kill()
            copy.communicate()
    loaded, problems = load(shared)
    assert loaded in (FIRST, SECOND)
    assert problems == []


def test_a_recording_goes_on_when_the_camera_was_away(tmp_path):
    cameras = [Camera([*[0.02] * 80, CameraLost("“Fake Cam” was unplugged.")]), Camera([0.02] * 2000)]
    told: list[Recording] = []
    pipeline = LivePipeline(lambda: cameras.pop(0), Settings(), make_detector=FakeDetector)
    watcher = Watcher(pipeline)
    pipeline.subscribe(on_recorded=told.append)
    pipeline.start()
    try:
        watcher.wait(watcher.fresh)
        pipeline.record(tmp_path / "r.mp4")
        watcher.wait(lambda: any(isinstance(s, Opening) and s.problem is not None for s in watcher.states))
        count = len(watcher.fresh())
        assert told == []
        watcher.wait(lambda: len(watcher.fresh()) > count + 20)
        pipeline.stop()
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        assert pipeline.close(5)
    (recording,) = told
    assert recording.error is None
    with av.open(str(recording.path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert len(times) == recording.frames
    gaps = [after - before for before, after in itertools.pairwise(times)]
    away = [place for place, gap in enumerate(gaps) if gap > 0.4]  # it was opened again after half a second
    assert any(5 < place < len(gaps) - 5 for place in away)


def test_nothing_that_plays_records_or_measures_asks_a_clock_that_can_be_set():
    rooms = [ROOT / "rfapp" / room for room in ("runtime", "sources", "sinks", "tracking", "engines", "postprocess")]
    files = [file for room in rooms for file in room.glob("*.py")]
    files += [ROOT / "rfapp" / name for name in ("detector.py", "proving.py", "looking.py")]
    assert len(files) > 40
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns")), file
            assert not (isinstance(node, ast.Import | ast.ImportFrom) and "datetime" in ast.unparse(node)), file


PLAYING = """
import time
from rfapp.runtime import LivePipeline
from rfapp.settings import Settings
from tests.runtime.fakes import Clip, FakeDetector
pipeline = LivePipeline(lambda: Clip(length=50_000, rate=30), Settings(), make_detector=FakeDetector)
pipeline.subscribe(lambda result: print(result.frame.index, flush=True))
pipeline.start()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no signal that suspends a process")
def test_a_file_that_was_suspended_goes_on_where_it_was_and_does_not_rush():
    process = subprocess.Popen([sys.executable, "-c", PLAYING], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        while int(process.stdout.readline()) < 15:
            pass
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        first = index = int(process.stdout.readline())
        while time.monotonic() - woken < 1.5:
            index = int(process.stdout.readline())
        assert first < 30
        assert 20 < index - first < 90, "45 frames in a second and a half; 135 if it made up for the time away"
    finally:
        process.kill()
        process.communicate()
