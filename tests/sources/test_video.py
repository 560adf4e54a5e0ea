from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from rfapp.errors import SourceDamaged, SourceEmpty, SourceNotFound, SourceUnreadable
from rfapp.frames import Frame
from rfapp.sources import open_source
from rfapp.sources.video import Video, turned

MakeVideo = Callable[..., Path]


def read_all(source: Video) -> tuple[list[Frame], SourceDamaged | None]:
    frames = []
    while True:
        try:
            frame = source.read()
        except SourceDamaged as error:
            assert source.read() is None
            return frames, error
        if frame is None:
            return frames, None
        frames.append(frame)


def test_variable_rate_is_exact(make_video: MakeVideo) -> None:
    ticks = [0, 33, 100, 117, 300, 301, 500, 1400, 1433]
    with Video(make_video("variable.mkv", ticks)) as source:
        source.open()
        frames, damage = read_all(source)
    assert damage is None
    assert [frame.time_s for frame in frames] == pytest.approx([tick / 1000 for tick in ticks], abs=1e-9)


def test_time_starts_with_the_stream(make_video: MakeVideo) -> None:
    with Video(make_video("late.mkv", range(5000, 6000, 40))) as source:
        info = source.open()
        frames, damage = read_all(source)
        source.seek(0.4)
        sought = source.read()
    assert damage is None
    assert frames[0].time_s == 0
    assert frames[-1].time_s == pytest.approx(0.96)
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert sought is not None
    assert sought.time_s == pytest.approx(0.4)


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("hflip", [False, True])
def test_display_matrix_is_applied(make_video: MakeVideo, degrees: int, hflip: bool) -> None:
    with Video(make_video("turned.mp4", range(0, 200, 40), degrees=degrees, hflip=hflip)) as source:
        info = source.open()
        frame = source.read()
    assert frame is not None
    assert (info.width, info.height) == ((64, 96) if degrees in (90, -90) else (96, 64))
    image = frame.image
    # The stored picture has its red corner at the upper left. It is turned counter-clockwise by `degrees`, and what
    # comes of it is mirrored (libavutil/display.h).
    corner = np.zeros((4, 4), bool)
    corner[0, 0] = True
    corner = np.rot90(corner, degrees // 90)
    if hflip:
        corner = corner[:, ::-1]
    row, column = (int(v) for v in np.argwhere(corner)[0])
    shown = image[4 if row == 0 else -5, 4 if column == 0 else -5]
    assert shown[2] > 200
    assert shown[0] < 60


def test_every_matrix() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for a, b, c, d in ((i, 0, 0, j) for i in (1, -1) for j in (1, -1)):
        check_matrix(image, (a, b, c, d))
    for a, b, c, d in ((0, i, j, 0) for i in (1, -1) for j in (1, -1)):
        check_matrix(image, (a, b, c, d))


def check_matrix(image: np.ndarray, matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = matrix
    height, width = image.shape[:2]
    points = {(a * x + c * y, b * x + d * y): image[y, x] for y in range(height) for x in range(width)}
    left, top = min(p[0] for p in points), min(p[1] for p in points)
    result = turned(image, matrix)
    assert result.flags.c_contiguous
    assert result.shape[0] * result.shape[1] == len(points)
    for (x, y), value in points.items():
        np.testing.assert_array_equal(result[y - top, x - left], value)


def test_pixels_that_are_not_square(make_video: MakeVideo) -> None:
    with Video(make_video("wide.mp4", range(0, 200, 40), pixel=Fraction(4, 3))) as source:
        info = source.open()
        frame = source.read()
    assert (info.width, info.height) == (128, 64)
    assert frame is not None
    assert frame.image.shape == (64, 128, 3)


def test_colours(make_video: MakeVideo) -> None:
    with Video(make_video("colour.mp4", range(0, 200, 40))) as source:
        source.open()
        frame = source.read()
    assert frame is not None
    assert np.abs(frame.image[4, 4].astype(int) - [0, 0, 255]).max() < 12
    assert np.abs(frame.image[-4, -4].astype(int) - 60).max() < 6


def test_damaged_middle(test_data: Path) -> None:
    with Video(test_data / "clips" / "broken" / "corrupt_middle.mp4") as source:
        source.open()
        frames, damage = read_all(source)
        assert len(frames) >= 90
        assert damage is not None
        assert "packets could not be decoded" in damage.message
        times = [frame.time_s for frame in frames]
        assert times == sorted(times)
        source.seek(0.0)
        again, told_twice = read_all(source)
    assert len(again) == len(frames)
    assert told_twice is None


def test_cut_short(test_data: Path) -> None:
    with Video(test_data / "clips" / "broken" / "cut_short.mkv") as source:
        source.open()
        frames, damage = read_all(source)
    assert len(frames) == 75
    assert damage is not None
    assert "cut off" in damage.message
    assert "14.6" in damage.message


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("truncated_no_moov.mp4", SourceUnreadable, "is not a video"),
        ("text_renamed.mp4", SourceUnreadable, "is not a video"),
        ("zero_byte.mp4", SourceUnreadable, "is empty"),
        ("audio_only.m4a", SourceEmpty, "no pictures"),
    ],
)
def test_what_is_no_video_is_said(test_data: Path, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        open_source(str(test_data / "clips" / "broken" / name)).open()
    assert name in str(caught.value)


def test_plain_text_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some words\n" * 100)
    with pytest.raises(SourceUnreadable, match="is not a video"):
        open_source(str(path)).open()


def test_play_list_opens_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/video.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceUnreadable):
        Video(path).open()


def test_gone_and_forbidden(tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceNotFound):
        Video(tmp_path / "gone.mp4").open()
    path = make_video("mine.mp4", range(0, 200, 40))
    if os.geteuid() == 0:  # to whom nothing is forbidden

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.chmod(0)
    with pytest.raises(SourceUnreadable, match="may not be read by you"):
        Video(path).open()


def test_name_that_looks_like_an_address(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video("plain.mp4", range(0, 200, 40))
    strange = path.with_name("concat:a.mp4")
    path.rename(strange)
    monkeypatch.chdir(strange.parent)
    with Video(Path(strange.name)) as source:
        source.open()
        frames, damage = read_all(source)
    assert len(frames) == 5
    assert damage is None


def test_closing_interrupts_a_long_seek(make_video: MakeVideo) -> None:
    source = Video(make_video("long.mp4", range(0, 12_000, 10), size=(160, 120)))
    source.open()
    thread = threading.Thread(target=source.seek, args=(1e9,), daemon=True)
    thread.start()
    time.sleep(0.02)
    began = time.monotonic()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 2


def write_with_cover(path: Path, *, moving: bool) -> None:
    """Sound, or a video of 10 frames, with a cover picture."""
    with av.open(str(path), "w") as container:
        if moving:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        else:
            stream = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        still = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "bgr24")
        still.pts = 0
        packets = [*cover.encode(still), *cover.encode()]
        for number in range(10):
            if moving:
                frame: Any = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "bgr24")
                frame.pts = number
            else:
                frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                frame.planes[0].update(bytes(frame.planes[0].buffer_size))
                frame.rate, frame.pts = 44100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        container.mux(packets)


def test_cover_picture_is_no_video(tmp_path: Path) -> None:
    write_with_cover(tmp_path / "song.mp4", moving=False)
    with pytest.raises(SourceEmpty, match="no pictures"):
        Video(tmp_path / "song.mp4").open()
    write_with_cover(tmp_path / "film.mp4", moving=True)
    with Video(tmp_path / "film.mp4") as source:
        info = source.open()
        frames, damage = read_all(source)
    assert (info.width, info.height, len(frames), damage) == (64, 48, 10, None)


def test_frames_leave_nothing_for_the_garbage_collector(test_data):
    # Pictures of megabytes that wait for it make the process grow by hundreds.
    with open_source(str(test_data / "clips" / "street_walk_720p.mp4")) as source:
        info = source.open()
        source.read()
        gc.collect()
        gc.disable()
        # What other threads of this process leave meanwhile is kept too, and is none of ours.
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(10):
                source.read()
            gc.collect()
            left = [each for each in gc.garbage if holds_picture(each, info.width * info.height)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left == []


def holds_picture(thing: object, size: int) -> bool:
    """True for a decoder's frame and for what refers to an array of at least ``size`` bytes."""
    if isinstance(thing, av.VideoFrame):
        return True
    return any(isinstance(each, np.ndarray) and each.nbytes >= size for each in gc.get_referents(thing))


def test_a_closed_video_leaves_no_frame_for_the_garbage_collector(make_video: MakeVideo) -> None:
    # One frame keeps the memory of its whole decoder: some ten megabytes for each video that was opened.
    path = make_video("turned.mp4", degrees=90)
    gc.collect()
    gc.disable()
    try:
        others = {id(each) for each in gc.get_objects() if type(each) is av.VideoFrame}
        video = Video(path)
        video.open()
        while video.read() is not None:
            pass
        video.seek(0.1)
        video.close()
        del video
        frames = [each for each in gc.get_objects() if type(each) is av.VideoFrame and id(each) not in others]
        left = [frame for frame in frames if frame.width > 16]
    finally:
        gc.enable()
    assert left == []
