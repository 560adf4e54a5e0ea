"""Video files, decoded through PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from rfapp.errors import SourceDamaged, SourceEmpty, SourceError, SourceNotFound, SourceUnreadable
from rfapp.frames import ByteImage, Frame
from rfapp.sources.base import Source, SourceInfo
from rfapp.text import mark

#: A video that ends this much before its stated length is called cut off.
MISSING_S = 1.0
#: What FFmpeg would rather show as a picture of letters than call no video.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
#: So many failures of the container in a row, and the rest is given up.
_GIVE_UP = 50


def open_video(path: Path) -> av.container.InputContainer:
    """The container in file *path*, which has a video stream. Raises SourceError with the reason where it does not.

    Only local files are opened, whatever the file (a play list, say) asks for.
    """
    check_file(path)
    try:
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError):
        raise _no_video(path) from None
    try:
        if container.format.name in _TEXT_FORMATS:
            raise _no_video(path)
        if moving_stream(container) is None:
            raise SourceEmpty(
                mark("“{path}” has no pictures in it, only sound or other data."),
                mark("Open a video that has pictures."),
                path=str(path),
            )
    except SourceError:
        container.close()
        raise
    return container


def moving_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first video stream that is no still picture, such as the cover of a song; None where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def check_file(path: Path) -> None:
    """Raise a SourceError unless *path* is a file that can be read and has something in it."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise SourceNotFound(
            mark("There is no file “{path}”."), mark("Check how the name is written."), path=str(path)
        ) from None
    except PermissionError:
        raise SourceUnreadable(
            mark("“{path}” may not be read by you."),
            mark("Change its permissions, or ask its owner."),
            path=str(path),
        ) from None
    except OSError as error:
        raise SourceUnreadable(
            mark("“{path}” can't be read: {reason}."), path=str(path), reason=error.strerror or str(error)
        ) from None
    if empty:
        raise SourceUnreadable(mark("“{path}” is empty."), mark("Copy or download it once more."), path=str(path))


def _no_video(path: Path) -> SourceUnreadable:
    return SourceUnreadable(
        mark("“{path}” is not a video, or its beginning or table of contents is missing."),
        mark("Copy or download it once more, or try it in a video player."),
        path=str(path),
    )


class Video(Source):
    """A video file: every frame that can be decoded, upright, with its exact time (variable rates, too).

    Time 0 is the start of the video stream. Packets that can't be decoded are passed over; the end is then told by
    SourceDamaged, as it is when the video ends more than a second before its stated length.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # held while FFmpeg's structures are in use
        self._closed = threading.Event()
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[Frame] = iter(())
        self._pending: Frame | None = None
        self._reformatter = VideoReformatter()
        self._matrix: tuple[int, int, int, int] | None = None
        self._packets = self._bad = 0
        self._index = 0
        self._last_s = 0.0
        self._end_s = 0.0
        self._damage_told = False

    # ------------------------------------------------------------------------------------------------------ open

    def open(self) -> SourceInfo:
        with self._lock:
            if self._closed.is_set():
                raise SourceUnreadable(mark("“{path}” was closed."), path=str(self._path))
            self._start(open_video(self._path))
            self._pending = next(self._frames, None)
            if self._pending is None:
                raise SourceUnreadable(
                    mark("No picture of the video “{path}” can be decoded."),
                    mark("Copy or download it once more, or try it in a video player."),
                    path=str(self._path),
                )
            rate = self._stream.average_rate or self._stream.guessed_rate
            self._rate = float(rate) if rate else None
            return SourceInfo(
                self._path.name,
                self._pending.width,
                self._pending.height,
                rate=self._rate,
                duration_s=self._stated_s,
                seekable=True,
                details=f"{self._stream.codec_context.name}, {self._container.format.name}" if self._container else "",
            )

    def _start(self, container: av.container.InputContainer) -> None:
        stream = moving_stream(container)
        assert stream is not None  # open_video has looked
        self._container = container
        self._stream = stream
        self._stream.thread_type = "AUTO"
        base = self._stream.time_base or Fraction(1, av.time_base)
        self._tick = base
        #: When the stream starts on the container's clock: None until the first frame where the file does not say.
        self._origin = None if self._stream.start_time is None else self._stream.start_time * base
        self._stated_s = _stated_length(container, stream)
        self._frames = self._decode()

    # ------------------------------------------------------------------------------------------------------ read

    def read(self) -> Frame | None:
        with self._lock:
            if self._closed.is_set() or self._container is None:
                return None
            frame, self._pending = self._pending, None
            if frame is None:
                frame = next(self._frames, None)
            if frame is not None:
                return Frame(frame.image, frame.index, frame.time_s, time.perf_counter())
            if self._closed.is_set() or self._damage_told:
                return None
            damage = self._damage()
            if damage is not None:
                self._damage_told = True
                raise damage
            return None

    def _damage(self) -> SourceDamaged | None:
        if self._bad:
            return SourceDamaged(
                mark("The video “{path}” is damaged: {bad} of {packets} packets could not be decoded."),
                mark("What could be decoded was kept."),
                path=str(self._path),
                bad=self._bad,
                packets=self._packets,
            )
        if self._stated_s is not None and self._end_s < self._stated_s - MISSING_S:
            return SourceDamaged(
                mark("The video “{path}” is cut off: it ends after {end:.1f} of {stated:.1f} seconds."),
                mark("What is there was kept."),
                path=str(self._path),
                end=self._end_s,
                stated=self._stated_s,
            )
        return None

    def _decode(self) -> Iterator[Frame]:
        for decoded in self._decoded():
            yield Frame(self._upright(decoded), self._index, self._time(decoded), 0.0)
            self._index += 1

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Every frame from here on that FFmpeg can decode."""
        failures = 0
        while self._container is not None and failures < _GIVE_UP:
            try:
                for packet in self._container.demux(self._stream):
                    if self._closed.is_set():
                        return
                    # The empty packet at the end only asks the decoder for what it still holds.
                    self._packets += packet.size > 0
                    try:
                        frames = packet.decode()
                    except av.error.FFmpegError:
                        self._bad += packet.size > 0
                        continue
                    failures = 0
                    yield from frames
                return
            except av.error.FFmpegError:
                self._bad += 1
                self._packets += 1
                failures += 1

    def _time(self, decoded: av.VideoFrame) -> float:
        """Seconds since the stream's start; never smaller than that of the frame before."""
        if decoded.pts is None:
            seconds = self._end_s
        else:
            stamp = decoded.pts * (decoded.time_base or self._tick)
            if self._origin is None:
                self._origin = stamp
            seconds = float(stamp - self._origin)
        seconds = max(seconds, self._last_s)
        self._last_s = seconds
        length = float(decoded.duration * self._tick) if decoded.duration else 0.0
        self._end_s = seconds + length
        return seconds

    def _upright(self, decoded: av.VideoFrame) -> ByteImage:
        shape = self._stream.sample_aspect_ratio
        width = decoded.width
        if shape and shape != 1 and Fraction(1, 8) < shape < 8:  # pixels that are not square
            width = max(1, round(width * shape))
        # One thread converts 720p in 1.4 ms; two are no faster and take a core from the network.
        picture = self._reformatter.reformat(decoded, width=width, format="bgr24", threads=1)
        if self._matrix is None:
            # Of the first frame, for all: the matrix belongs to the stream.
            self._matrix = display_matrix(decoded)
        return turned(_bytes(picture.to_ndarray()), self._matrix)

    # ------------------------------------------------------------------------------------------------------ seek

    def seek(self, time_s: float) -> None:
        with self._lock:
            if self._closed.is_set() or self._container is None:
                return
            target = max(time_s, 0.0)
            back = 0.0
            while True:
                at_start = self._go_near(target - back)
                first = self._decode_to(target)
                if first is None or at_start or first <= target + 1e-6 or self._closed.is_set():
                    return
                # The container went to a key frame behind the target: try one further ahead.
                back = back * 2 or 1.0

    def _go_near(self, seconds: float) -> bool:
        """Put the container at a key frame at or before *seconds*; True when that is the start."""
        assert self._container is not None
        start = self._origin or Fraction(0)
        if seconds > 0:
            try:
                self._container.seek(int((Fraction(seconds) + start) / self._tick), stream=self._stream)
                self._frames = self._decode()
                return False
            except (av.error.FFmpegError, OverflowError):
                pass  # no index, or a damaged one: from the start
        packets, bad, stated = self._packets, self._bad, self._stated_s
        self._container.close()
        self._start(open_video(self._path))
        self._packets, self._bad, self._stated_s = packets, bad, stated
        return True

    def _decode_to(self, target: float) -> float | None:
        """Hold the first frame at or after *target*, or the last one, for the next read.

        Returns the time of the first frame met on the way.
        """
        self._last_s = 0.0
        near = min(float(self._tick) / 2, 0.0005)  # times written to a millisecond find their frame
        first: float | None = None
        last: av.VideoFrame | None = None
        seconds = 0.0
        for decoded in self._decoded():
            seconds = self._time(decoded)
            first = seconds if first is None else first
            last = decoded
            if seconds >= target - near:
                break
        self._pending = None
        if last is not None:
            self._index = round(seconds * self._rate) if self._rate else self._index
            self._pending = Frame(self._upright(last), self._index, seconds, 0.0)
            self._index += 1
        self._frames = self._decode()
        return first

    # ----------------------------------------------------------------------------------------------------- close

    def close(self) -> None:
        self._closed.set()  # a decoding under way ends with its current packet
        with self._lock:
            container, self._container = self._container, None
            self._frames = iter(())
            self._pending = None
            if container is not None:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    container.close()


def _stated_length(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """How long the video stream says it is, in seconds, or None where nothing says it.

    The container's length counts only where it has no other streams, for sound may be longer.
    """
    whole = None if container.duration is None else container.duration / av.time_base
    own = None if stream.duration is None or stream.time_base is None else float(stream.duration * stream.time_base)
    if own is None:
        own = _clock(stream.metadata.get("DURATION", ""))
    if own is not None and whole is not None:
        length: float | None = min(own, whole)  # an edit list may cut the stream
    else:
        length = own if own is not None or len(container.streams) > 1 else whole
    if length is not None and "matroska" in container.format.name and stream.start_time and stream.time_base:
        length -= float(stream.start_time * stream.time_base)  # Matroska counts from 0, not from the first frame
    return length


def _clock(text: str) -> float | None:
    """Seconds in "00:00:14.600", as Matroska files have it."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = int(parts[0]), int(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        return None
    return hours * 3600 + minutes * 60 + seconds


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The linear part (a, b, c, d) of the frame's display matrix, as signs: -1, 0 or 1.

    A stored pixel (x, y) is shown at (a·x + c·y, b·x + d·y), y downwards (ISO/IEC 14496-12, 8.3.2). Other angles than
    quarter turns are taken for the nearest one.
    """
    # A frame that is asked for its side data becomes part of a cycle, so that its memory, and with it that of all
    # frames of its decoder (some ten megabytes), waits for the garbage collector: a tiny copy is asked instead.
    data: Any = VideoReformatter().reformat(frame, width=16, height=16, threads=1).side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].astype(np.int64)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


def turned(image: npt.NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> ByteImage:
    """*image* (uint8 H×W×3) as it is to be shown with a display matrix of quarter turns and mirrorings."""
    if matrix == (1, 0, 0, 1):
        return image
    if matrix == (0, 1, -1, 0):
        return _bytes(cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE))
    if matrix == (0, -1, 1, 0):
        return _bytes(cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE))
    a, b, c, d = matrix
    if a == 0:  # shown x comes from stored y
        image = _bytes(cv2.transpose(image))
        a, d = c, b
    if a < 0:
        image = _bytes(cv2.flip(image, 1 if d > 0 else -1))
    elif d < 0:
        image = _bytes(cv2.flip(image, 0))
    return image


def _bytes(image: Any) -> ByteImage:
    return np.ascontiguousarray(image, np.uint8)
