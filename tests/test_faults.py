"""Faults from outside that docs/reliability.md tells of and that no room's own tests look at."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rfapp.gui import memory
from rfapp.settings import Settings, all_settings, check_setting, load, save

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
        copies.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1]))
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
