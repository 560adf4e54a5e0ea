"""A network stream (rtsp, http, udp …), through PyAV: little delay, time limits, and passwords that stay private."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from rfapp.errors import SourceEmpty, StreamFailed, StreamLost
from rfapp.frames import Frame
from rfapp.sources.base import Source, SourceInfo
from rfapp.sources.kinds import without_password
from rfapp.sources.video import display_matrix, moving_stream, turned
from rfapp.text import mark

log = logging.getLogger(__name__)

SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})
#: How long opening may take, and how long the stream may be silent, in seconds.
OPEN_S, READ_S = 10.0, 6.0
#: What a play list may lead to: other servers, but no file of this computer.
_PROTOCOLS = "crypto,data,hls,http,httpproxy,https,rtmp,rtmps,rtp,rtsp,rtsps,srt,srtp,tcp,tls,udp"
#: Little delay: packets are handed on as they come. RTSP over TCP, since lost UDP packets tear the picture. What was
#: collected while the stream was looked into is read at once, and all but its newest picture dropped by the pipeline.
_OPTIONS = {
    "protocol_whitelist": _PROTOCOLS,
    "rtsp_transport": "tcp",
    "flags": "low_delay",
    "max_delay": "300000",
    "reconnect": "0",
}
#: So many pieces in a row that can't be decoded are garbage, not a bad moment.
_GIVE_UP = 300
#: How long close() waits for a read under way before it leaves the rest to it.
_CLOSE_S = 0.5


class Stream(Source):
    """A stream that never ends, or a video on a server: the latter says how long it is, and is played at its own
    speed; seeking is not offered."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._title = without_password(address)
        self._lock = threading.Lock()  # held while FFmpeg is at work
        self._closed = threading.Event()
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._reformatter = VideoReformatter()
        self._matrix: tuple[int, int, int, int] | None = None
        self._live = True
        self._index = 0
        self._origin_s: float | None = None
        self._last_s = 0.0
        self._pending: Frame | None = None

    def open(self) -> SourceInfo:
        with self._at_work():
            container = self._container = self._connect()
            stream = moving_stream(container)
            if stream is None:
                raise SourceEmpty(
                    mark("“{title}” has no pictures in it, only sound or other data."),
                    mark("Open a stream that has pictures."),
                    title=self._title,
                )
            # Decoding a picture on several threads, never several pictures: that would hold each back.
            stream.thread_type = "SLICE"
            self._live = container.duration is None
            self._frames = self._decode(container, stream)
            self._pending = self._next()
            if self._pending is None:
                raise self._lost()
            rate = None if stream.average_rate is None else float(stream.average_rate)
            return SourceInfo(
                self._title, self._pending.width, self._pending.height, live=self._live, rate=rate, details=self._title
            )

    def _connect(self) -> av.container.InputContainer:
        if self._closed.is_set():
            raise StreamFailed(mark("“{title}” was closed."), title=self._title)
        try:
            return av.open(self._address, timeout=(OPEN_S, READ_S), options=_OPTIONS)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise StreamFailed(
                mark("The stream “{title}” can't be opened: {reason}."),
                mark("Check the address, and that this computer can reach it."),
                title=self._title,
                reason=reason,
            ) from None  # the cause would show the address with its password

    def _decode(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        failures = 0
        for packet in container.demux(stream):
            if self._closed.is_set():
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                failures += 1
                if failures >= _GIVE_UP:
                    return
                continue
            failures = 0
            yield from frames

    def read(self) -> Frame | None:
        with self._at_work():
            if self._container is None or self._closed.is_set():
                return None
            frame, self._pending = self._pending, None
            if frame is None:
                frame = self._next()
        if self._closed.is_set():
            return None
        if frame is None and self._live:
            raise self._lost()
        return frame

    def _next(self) -> Frame | None:
        try:
            decoded = next(self._frames, None)
        except (av.error.FFmpegError, OSError) as error:
            log.info("%s: %s", self._title, type(error).__name__)
            if self._closed.is_set():
                return None
            raise self._lost() from None
        if decoded is None:
            return None
        if self._matrix is None:
            self._matrix = display_matrix(decoded)
        picture = self._reformatter.reformat(decoded, format="bgr24", threads=1).to_ndarray()
        frame = Frame(
            turned(np.ascontiguousarray(picture, np.uint8), self._matrix),
            self._index,
            self._time(decoded),
            time.perf_counter(),
        )
        self._index += 1
        return frame

    def _time(self, decoded: av.VideoFrame) -> float:
        """Seconds since the first picture; never smaller than before, whatever the stream says."""
        seconds = decoded.time
        if seconds is None:
            return self._last_s
        if self._origin_s is None:
            self._origin_s = seconds
        self._last_s = max(self._last_s, seconds - self._origin_s)
        return self._last_s

    def _lost(self) -> StreamLost:
        return StreamLost(
            mark("The stream “{title}” delivers no more pictures."),
            mark("Check the server and the network."),
            title=self._title,
        )

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """FFmpeg is at work: close() waits for it a moment, and after that leaves the rest to be done here."""
        try:
            with self._lock:
                yield
        finally:
            if self._closed.is_set():
                self.close()

    def close(self) -> None:
        self._closed.set()
        if not self._lock.acquire(timeout=_CLOSE_S):
            return  # a read is under way; it ends within its time limit, and closes what is open
        try:
            container, self._container = self._container, None
            self._frames, self._pending = iter(()), None
            if container is not None:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    container.close()
        finally:
            self._lock.release()
