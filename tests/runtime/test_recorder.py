"""Recordings, and what is left of them after whatever ended them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.runtime import Ended, Recording
from rfapp.runtime.recorder import WAITING, Recorder
from rfapp.settings import Settings, ViewSettings
from rfapp.sinks.drawing import BOX
from rfapp.sinks.hiding import Hidden
from rfapp.sources.video import Video
from tests.runtime.fakes import Clip
from tests.runtime.test_following import FACES, Patterned, TwoFaces
from tests.runtime.test_pipeline import of, playing

WIDTH, HEIGHT = 128, 96


def frame(index: int, at: float | None = None) -> Frame:
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    image[:, index % WIDTH :] = 180
    return Frame(image, index, index / 30, 50 + (index / 30 if at is None else at), generation=1)


def faces(index: int) -> Detections:
    box = np.array([[10, 20, 50 + index % 10, 70]], np.float32)
    return Detections(box, np.array([0.9], np.float32), np.full((1, 5, 2), 30, np.float32))


class Ending:
    """Waits for the end of a recording."""

    def __init__(self) -> None:
        self.told: Recording | None = None
        self._there = threading.Event()

    def __call__(self, recording: Recording) -> None:
        self.told = recording
        self._there.set()

    def wait(self) -> Recording:
        assert self._there.wait(20)
        assert self.told is not None
        return self.told


def record(path: Path, content: str = "annotated", count: int = 45, **more) -> Recording:
    end = Ending()
    recorder = Recorder(path, content, rate=30, on_end=end, **more)
    for index in range(count):
        while recorder._waiting.full() and not recorder._stopped.is_set():
            time.sleep(0.001)
        recorder.captured(frame(index))
        recorder.detected(frame(index), faces(index), ViewSettings(), None)
    recorder.stop()
    told = end.wait()
    recorder.thread.join(5)
    return told


def played(path: Path) -> list[tuple[float, np.ndarray]]:
    with Video(path) as video:
        video.open()
        return [(one.time_s, one.image) for one in iter(video.read, None)]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


def test_a_recording_has_every_frame_at_its_time_and_the_faces_beside_it(tmp_path):
    path = tmp_path / "new" / "r.mp4"
    told = record(path)
    assert (told.path, told.frames, told.dropped, told.error) == (path, 45, 0, None)
    assert told.seconds == pytest.approx(44 / 30)
    shown = played(path)
    assert [time_s for time_s, _ in shown] == pytest.approx([i / 30 for i in range(45)], abs=1e-4)
    results = lines(path)
    assert [line["frame"] for line in results] == list(range(45))
    assert [line["time_s"] for line in results] == pytest.approx([i / 30 for i in range(45)], abs=1e-5)
    assert results[7]["source"] == "r.mp4"
    assert results[7]["faces"][0]["box"] == [10.0, 20.0, 57.0, 70.0]
    assert np.abs(shown[20][1][45, 10].astype(int) - BOX).max() < 40  # the box is drawn


def test_a_bare_recording_has_no_drawing_and_takes_the_frames_that_were_not_detected(tmp_path):
    end = Ending()
    recorder = Recorder(tmp_path / "r.mp4", "clean", rate=30, on_end=end)
    for index in range(20):
        recorder.captured(frame(index))
        if index % 4 == 3:
            recorder.detected(frame(index), faces(index), ViewSettings(), None)
    recorder.stop()
    assert end.wait().frames == 20
    shown = played(tmp_path / "r.mp4")
    assert len(shown) == 20
    for index, (_, image) in enumerate(shown):
        assert np.abs(image.astype(int) - frame(index).image).mean() < 3
    assert [line["frame"] for line in lines(tmp_path / "r.mp4")] == [3, 7, 11, 15, 19]


@pytest.mark.parametrize("content", ["annotated", "hidden"])
def test_what_is_hidden_is_hidden_in_the_recording(tmp_path, content):
    end = Ending()
    recorder = Recorder(tmp_path / "r.mp4", content, rate=30, on_end=end)
    hidden = Hidden(np.array([[20, 20, 100, 80]], np.float32), Settings().changed(hiding_how="fill").hiding)
    for index in range(10):
        recorder.detected(frame(40), faces(index), ViewSettings(boxes=False, landmarks=False, scores=False), hidden)
    recorder.stop()
    end.wait()
    image = played(tmp_path / "r.mp4")[-1][1]
    assert np.ptp(image[30:70, 30:90].astype(int), axis=(0, 1)).max() < 8


def test_a_slow_disk_drops_frames_and_counts_them_and_nobody_waits(tmp_path):
    go_on = threading.Event()

    def slowly(path: Path):
        go_on.wait(20)
        return path.open("xb", buffering=0)

    end = Ending()
    recorder = Recorder(tmp_path / "r.mp4", "annotated", rate=30, on_end=end, open_file=slowly)
    began = time.perf_counter()
    for index in range(200):
        recorder.detected(frame(index), faces(index), ViewSettings(), None)
    assert time.perf_counter() - began < 2
    assert recorder.state.dropped >= 200 - WAITING - 1
    go_on.set()
    recorder.stop()
    told = end.wait()
    assert told.frames + told.dropped == 200
    assert len(played(told.path)) == told.frames == len(lines(told.path))


class Disk:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, path: Path, room: int) -> None:
        self._file = path.open("xb", buffering=0)
        self._room = room

    def write(self, data) -> int:
        left = self._room - self._file.tell()
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data[:left])

    def __getattr__(self, name: str):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [30_000, 12_000])
def test_what_was_written_before_the_disk_was_full_plays(tmp_path, room):
    path = tmp_path / "r.mp4"
    told = record(path, count=400, open_file=lambda p: Disk(p, room))
    assert isinstance(told.error, OutputError)
    assert str(told.error).startswith(f"“{path}” can't be written: No space left on device.")
    assert path.stat().st_size <= room
    shown = played(path)  # raises when anything is damaged
    assert len(shown) > 10
    assert told.frames - len(shown) < 20  # but for what was in the last piece
    assert len(lines(path)) >= len(shown)


def test_a_disk_without_room_for_a_single_piece_leaves_no_file(tmp_path):
    told = record(tmp_path / "r.mp4", open_file=lambda p: Disk(p, 100))
    assert isinstance(told.error, OutputError)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "r.jsonl").write_text("mine")
    assert isinstance(record(tmp_path / "r.mp4").error, OutputError)
    assert (tmp_path / "r.jsonl").read_text() == "mine"
    assert not (tmp_path / "r.mp4").exists()


def test_stopping_before_the_first_frame_leaves_nothing(tmp_path):
    assert record(tmp_path / "r.mp4", count=0) == Recording(tmp_path / "r.mp4")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from rfapp.runtime.recorder import Recorder
from rfapp.settings import ViewSettings
from tests.runtime.test_recorder import faces, frame
recorder = Recorder(Path(sys.argv[1]), "annotated", rate=30)
index = 0
while True:
    recorder.detected(frame(index), faces(index), ViewSettings(), None)
    index += 1
    time.sleep(1 / 60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_after_a_kill_what_was_written_plays(tmp_path):
    path = tmp_path / "r.mp4"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=root)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 8_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with av.open(str(path)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    text = path.with_suffix(".jsonl").read_text()
    results = [json.loads(line) for line in text[: text.rindex("\n")].splitlines()]
    assert shown >= 20
    assert 0 <= len(results) - shown <= 30  # the last piece, and what the encoder held


# ------------------------------------------------------------------------------------------------- in the pipeline


def recorded(settings: Settings, path: Path, source: Clip, make_detector=TwoFaces) -> Recording:
    told: list[Recording] = []
    with playing(of(source), settings, make_detector) as (pipeline, watcher):
        pipeline.subscribe(on_recorded=told.append)
        watcher.wait(watcher.fresh)
        pipeline.record(path)
        assert pipeline.recording is not None
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.fresh()[-1].frame.index == source.length - 1)
        pipeline.stop()
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pipeline.recording is None
    return told[0]


def test_the_pipeline_records_what_it_plays_until_the_source_is_left(tmp_path):
    told = recorded(Settings(), tmp_path / "r.mp4", Patterned(length=60, rate=50))
    assert told.error is None
    assert told.frames + told.dropped >= 40
    assert len(played(told.path)) == told.frames == len(lines(told.path))


def test_a_recording_with_hidden_faces_hides_them_though_the_window_shows_them(tmp_path):
    settings = Settings().changed(recording_content="hidden", hiding_margin=0, hiding_shape="box")
    told = recorded(settings, tmp_path / "r.mp4", Patterned(length=60, rate=50))
    image = played(told.path)[-1][1].astype(int)
    for left, top, right, bottom in FACES.astype(int):
        assert np.abs(np.diff(image[top + 1 : bottom - 1, left + 1 : right - 1], axis=1)).mean() < 12
    assert np.abs(np.diff(image[30:46], axis=1)).mean() > 25


def test_a_new_source_completes_the_recording(tmp_path):
    told: list[Recording] = []
    with playing(of(Patterned(length=500)), Settings(), TwoFaces) as (pipeline, watcher):
        pipeline.subscribe(on_recorded=told.append)
        watcher.wait(watcher.fresh)
        pipeline.record(tmp_path / "r.mp4")
        watcher.wait(lambda: pipeline.recording is not None and pipeline.recording.frames > 5)
        pipeline.open(of(Clip(length=500)))
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    assert told[0].error is None
    assert len(played(told[0].path)) == told[0].frames
