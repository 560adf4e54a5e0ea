from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.sinks.video import VideoSink
from rfapp.sources.video import Video


def frame(number: int, time_s: float, width: int = 64, height: int = 48) -> Frame:
    image = np.full((height, width, 3), (30, 80, 20 + 7 * number), np.uint8)
    return Frame(image, number, time_s, 0.0)


def read(path: Path) -> list[Frame]:
    frames = []
    with Video(path) as video:
        video.open()
        while (item := video.read()) is not None:
            frames.append(item)
    return frames


def write(path: Path, times: list[float], **how: object) -> None:
    with VideoSink(path, **how) as sink:
        for number, time_s in enumerate(times):
            sink.append(frame(number, time_s), Detections.empty())


def sound(path: Path) -> tuple[str, float, float] | None:
    """The codec of the sound, and when its packets begin and end, in seconds after the video's start."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        video = container.streams.video[0]
        start = float((video.start_time or 0) * video.time_base)
        times = [
            (float(p.pts * p.time_base), float((p.duration or 0) * p.time_base))
            for p in container.demux(stream)
            if p.pts is not None
        ]
        return stream.codec_context.name, times[0][0] - start, times[-1][0] + times[-1][1] - start


def write_with_sound(path: Path, seconds: float, codec: str, late: float = 0.0, start: float = 0.0) -> None:
    """A video of 10 frames a second with sound; the sound begins *late* seconds after the pictures."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=8000 if codec.startswith("pcm") else 44100)
        audio.codec_context.layout = "mono"
        rate = audio.codec_context.sample_rate
        base = Fraction(1, rate)
        for number in range(round(seconds * 10)):
            picture = av.VideoFrame.from_ndarray(frame(number % 20, 0).image, "bgr24")
            picture.pts, picture.time_base = round((start + number / 10) * 1000), Fraction(1, 1000)
            container.mux(video.encode(picture))
        form = "s16" if codec.startswith("pcm") else "fltp"
        for place in range(0, round(seconds * rate), 1024):
            piece = av.AudioFrame(format=form, layout="mono", samples=1024)
            piece.planes[0].update(bytes(piece.planes[0].buffer_size))
            piece.rate, piece.pts, piece.time_base = rate, place + round((start + late) * rate), base
            container.mux(audio.encode(piece))
        container.mux(video.encode())
        container.mux(audio.encode())


def test_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 1 / 30, 0.1, 0.117, 0.3, 0.301, 0.5, 1.4, 1.433, 2.0]
    write(tmp_path / "a.mp4", times)
    assert [item.time_s for item in read(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-5)


@pytest.mark.parametrize("rate", [24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60])
def test_steady_rates_are_kept(tmp_path: Path, rate: float) -> None:
    times = [number / rate for number in range(20)]
    write(tmp_path / "a.mp4", times, rate=rate)
    assert [item.time_s for item in read(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-5)


def test_times_that_stand_still_still_give_every_frame(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.1, 0.1, 0.1, 0.2])
    assert len(read(tmp_path / "a.mp4")) == 5


def test_what_comes_out_looks_like_what_went_in(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [number / 25 for number in range(10)])
    for number, item in enumerate(read(tmp_path / "a.mp4")):
        assert np.abs(item.image.astype(int) - frame(number, 0).image).mean() < 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_faces_are_drawn(tmp_path: Path) -> None:
    face = Detections(np.array([[10, 8, 50, 40]], np.float32), np.array([0.9], np.float32))
    with VideoSink(tmp_path / "a.mp4") as sink:
        for number in range(5):
            sink.append(frame(0, number / 25), face)
    assert read(tmp_path / "a.mp4")[2].image[24, 10, 1] > 150


def test_odd_sizes_and_sizes_that_change(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4") as sink:
        sink.append(frame(1, 0.0, 63, 47), Detections.empty())
        sink.append(frame(1, 0.1, 63, 47), Detections.empty())
        sink.append(frame(1, 0.2, 100, 40), Detections.empty())
    assert [item.image.shape for item in read(tmp_path / "a.mp4")] == [(48, 64, 3)] * 3


def test_interrupted_video_plays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"

    def interrupted() -> None:
        with VideoSink(path) as sink:
            for number in range(7):
                sink.append(frame(number, number / 25), Detections.empty())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(read(path)) == 7
    assert [item.name for item in tmp_path.iterdir()] == ["a.mp4"]


def test_no_frame_no_file(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_name_is_given_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.mp4"
    with VideoSink(path) as sink:
        sink.append(frame(0, 0.0), Detections.empty())
        assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == ["a.mp4"]
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"), VideoSink(tmp_path / "file" / "a.mp4") as sink:
        sink.append(frame(0, 0.0), Detections.empty())


@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [("a.mp4", "aac", "aac"), ("a.mkv", "libmp3lame", "mp3"), ("a.avi", "pcm_s16le", "aac"), ("b.mkv", "flac", "aac")],
)
def test_sound_goes_along(tmp_path: Path, name: str, codec: str, expected: str) -> None:
    original, copy = tmp_path / name, tmp_path / "copy.mp4"
    try:
        write_with_sound(original, 2.0, codec)
    except (ValueError, av.error.FFmpegError):  # this build has no such encoder
        if codec in ("aac", "pcm_s16le"):
            raise
        pytest.skip(f"no encoder {codec}")
    write(copy, [number / 10 for number in range(20)], sound=original)
    had, has = sound(original), sound(copy)
    assert had is not None
    assert has is not None
    assert has[0].startswith(expected)
    assert has[1] == pytest.approx(had[1], abs=0.06)
    assert has[2] == pytest.approx(had[2], abs=0.15)
    assert len(read(copy)) == 20


def test_sound_stays_in_step(tmp_path: Path) -> None:
    original, copy = tmp_path / "a.mkv", tmp_path / "copy.mp4"
    write_with_sound(original, 3.0, "aac", late=0.7, start=5.0)
    write(copy, [number / 10 for number in range(30)], sound=original)
    had, has = sound(original), sound(copy)
    assert had is not None
    assert has is not None
    assert had[1] == pytest.approx(0.7, abs=0.05)
    assert has[1] == pytest.approx(had[1], abs=0.005)


def test_sound_of_an_interrupted_video_ends_with_it(tmp_path: Path) -> None:
    original, copy = tmp_path / "a.mp4", tmp_path / "copy.mp4"
    write_with_sound(original, 4.0, "aac")
    sink = VideoSink(copy, sound=original)
    for number in range(11):
        sink.append(frame(number, number / 10), Detections.empty())
    sink.finish(whole=False)
    has = sound(copy)
    assert has is not None
    assert has[2] < 1.2


def test_real_sound_is_copied(tmp_path: Path, test_data: Path) -> None:
    original, copy = test_data / "clips" / "stage_360p.mp4", tmp_path / "copy.mp4"
    write(copy, [number / 10 for number in range(100)], sound=original)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]

    assert packets(copy) == packets(original)


def test_colours_come_back_as_they_were(tmp_path: Path) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    colours = {(20, 30): (200, 40, 40), (20, 100): (40, 200, 40), (70, 30): (40, 40, 200), (70, 100): (128, 128, 128)}
    for (row, column), colour in colours.items():
        image[row // 48 * 48 : row // 48 * 48 + 48, column // 64 * 64 : column // 64 * 64 + 64] = colour
    with VideoSink(tmp_path / "colours.mp4", rate=25) as sink:
        for index in range(5):
            sink.append(Frame(image.copy(), index, index / 25, 0.0), Detections.empty())
    with Video(tmp_path / "colours.mp4") as video:
        video.open()
        shown = video.read()
    assert shown is not None
    for place, colour in colours.items():
        assert np.abs(shown.image[place].astype(int) - colour).max() <= 4
