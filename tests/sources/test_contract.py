"""What every source promises, tried on each kind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rfapp.errors import PictureUnreadable, SourceError
from rfapp.frames import Frame
from rfapp.settings import SourceSettings
from rfapp.sources import Source, open_source

Make = Callable[[], Source]
REAL = ("indoor_mjpeg.avi", "phone_rot90.mp4", "stage_360p.mp4", "street_walk_720p.mp4", "webcam_vfr.mkv")
FINITE = ("picture", "folder", "pattern", "video", "variable", *REAL)
ENDLESS = ("sample", "camera")
SETTINGS = SourceSettings(picture_seconds=0.5)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Makes one source of the kind that the test is run for."""
    kind: str = request.param
    fixture = request.getfixturevalue
    if kind == "sample":
        address = "sample"
    elif kind == "camera":
        driver = fixture("driver")
        return driver.source
    elif kind in REAL:
        address = str(fixture("test_data") / "clips" / kind)
    elif kind == "video":
        address = str(fixture("make_video")("steady.mp4"))
    elif kind == "variable":
        ticks = np.cumsum([0, *[33, 67, 34, 100, 33, 200, 33, 33, 67] * 4])
        address = str(fixture("make_video")("variable.mkv", ticks.tolist()))
    else:
        folder = fixture("make_folder")()
        address = {
            "folder": str(folder),
            "picture": str(folder / "picture 8.png"),
            "pattern": str(folder / "**" / "*.png"),
        }[kind]
    return lambda: open_source(address, SETTINGS)


every_kind = pytest.mark.parametrize("make", [*FINITE, *ENDLESS], indirect=True)
finite = pytest.mark.parametrize("make", FINITE, indirect=True)
endless = pytest.mark.parametrize("make", ENDLESS, indirect=True)


def frames_of(source: Source, most: int = 10_000) -> Iterator[Frame]:
    for _ in range(most):
        frame = source.read()
        if frame is None:
            return
        yield frame


@every_kind
def test_frames_are_as_promised(make: Make) -> None:
    with make() as source:
        info = source.open()
        assert info.title
        before = time.perf_counter()
        last: Frame | None = None
        for count, frame in enumerate(frames_of(source, 40)):
            assert frame.image.dtype == np.uint8
            assert frame.image.shape == (info.height, info.width, 3)
            assert frame.image.flags.c_contiguous
            assert not frame.image.flags.writeable
            assert frame.generation == 0
            assert frame.index == count
            assert before <= frame.captured_at <= time.perf_counter()
            if last is None:
                assert info.live or frame.time_s == pytest.approx(0, abs=1e-9)
            else:
                assert frame.time_s > last.time_s
                assert frame.captured_at >= last.captured_at
                assert frame.image is not last.image
            last = frame
        assert last is not None


@finite
def test_end_is_none_for_ever(make: Make) -> None:
    with make() as source:
        info = source.open()
        frames = list(frames_of(source))
        assert [source.read() for _ in range(3)] == [None] * 3
    assert info.duration_s is not None
    assert frames[-1].time_s < info.duration_s
    assert frames[-1].time_s == pytest.approx(info.duration_s, abs=SETTINGS.picture_seconds + 0.01)
    if info.rate is not None and not info.stills:
        assert 0.1 < info.rate * info.duration_s / len(frames) < 2


@endless
def test_endless_sources_know_no_end(make: Make) -> None:
    with make() as source:
        info = source.open()
        assert info.duration_s is None
        assert not info.seekable
        assert len(list(frames_of(source, 50))) == 50
        with pytest.raises(NotImplementedError):
            source.seek(1.0)


@every_kind
def test_close_any_number_of_times(make: Make) -> None:
    unopened = make()
    unopened.close()
    unopened.close()
    source = make()
    source.open()
    assert source.read() is not None
    source.close()
    source.close()
    assert source.read() is None


@every_kind
def test_closing_ends_a_read_in_another_thread(make: Make) -> None:
    source = make()
    info = source.open()
    started, outcome = threading.Event(), []

    def go_on() -> None:
        try:
            while True:
                frame = source.read()
                started.set()
                if frame is None:
                    if source_closed.is_set() or not info.seekable:
                        outcome.append(None)
                        return
                    source.seek(0.0)
        except SourceError as error:
            outcome.append(error)

    source_closed = threading.Event()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    assert started.wait(5)
    time.sleep(0.05)
    source_closed.set()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert outcome[0] is None or isinstance(outcome[0], SourceError)


@finite
def test_seek_is_exact(make: Make) -> None:
    with make() as source:
        info = source.open()
        assert info.seekable
        frames = list(frames_of(source))
        times = np.array([frame.time_s for frame in frames])
        gap = np.diff(times).min() if len(times) > 1 else 1.0
        middle = len(frames) // 2
        targets = [times[-1], times[middle], times[middle] + gap / 2, times[middle // 2] - gap / 2, 0.0, -1.0, 1e6]
        for target in targets:
            place = min(int(np.searchsorted(times, target - 1e-4)), len(frames) - 1)
            source.seek(float(target))
            frame = source.read()
            assert frame is not None
            assert frame.time_s == pytest.approx(times[place], abs=1e-6), target
            np.testing.assert_array_equal(frame.image, frames[place].image)
            following = source.read()
            if place + 1 < len(frames):
                assert following is not None
                assert following.time_s == pytest.approx(times[place + 1], abs=1e-6)
                assert following.index == frame.index + 1
            else:
                assert following is None


@pytest.mark.parametrize("make", ["folder"], indirect=True)
def test_reading_goes_on_behind_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "folder" / "picture 9.png").write_text("no picture at all")
    with make() as source:
        info = source.open()
        indices, errors = [], []
        for _ in range(20):
            try:
                frame = source.read()
            except PictureUnreadable as error:
                errors.append(error)
                continue
            if frame is None:
                break
            indices.append(frame.index)
    assert indices == [0, 2, 3, 4]
    assert len(errors) == 1
    assert not errors[0].fatal
    assert "picture 9.png" in errors[0].message
    assert info.duration_s == 5 * SETTINGS.picture_seconds


def test_light_to_import() -> None:
    code = (
        "import sys, rfapp.sources; print([m for m in ('cv2', 'av', 'numpy', 'torch', 'PySide6') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
