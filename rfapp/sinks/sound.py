"""The sound of one video, carried over into another."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.container
import av.error
from av.stream import Disposition

if TYPE_CHECKING:
    Packet = av.Packet[Any]  # a piece of encoded sound, on its way in or out

log = logging.getLogger(__name__)

#: What players expect in an MP4 file; any other sound is encoded anew as AAC.
_COPIED = {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus"}


class Sound:
    """The sound streams of the file *path*, on their way into the MP4 *output*.

    Packets are copied as they are where MP4 can hold them. Times are on the clock of the video's frames: 0 is the
    start of its first video stream. A file whose sound is damaged gives what can be had of it.
    """

    def __init__(self, path: Path, output: av.container.OutputContainer) -> None:
        self._output = output
        self._input = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
        self._tracks: dict[int, _Copied | _Encoded] = {}
        moving = (s for s in self._input.streams.video if not s.disposition & Disposition.attached_pic)
        video = next(moving, None)
        origin = Fraction(0)
        if video is not None and video.start_time is not None and video.time_base is not None:
            origin = video.start_time * video.time_base
        for stream in self._input.streams.audio:
            try:
                kind = _Copied if stream.codec_context.codec.canonical_name in _COPIED else _Encoded
                self._tracks[stream.index] = kind(stream, output, origin)
            except (av.error.FFmpegError, ValueError) as error:
                log.warning("a sound stream of %s is left out: %s", path, error)
        self._packets = self._ready()
        self._next: tuple[float, Packet] | None = None

    def up_to(self, seconds: float | None) -> None:
        """Write the sound before *seconds*, or (None) all the rest."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or (seconds is not None and self._next[0] >= seconds):
                return
            packet, self._next = self._next[1], None
            self._output.mux(packet)

    def close(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._input.close()

    def _ready(self) -> Iterator[tuple[float, Packet]]:
        """Packets for the output, each with its time."""
        streams = [self._input.streams[index] for index in self._tracks]
        if not streams:
            return
        try:
            for packet in self._input.demux(*streams):
                try:
                    yield from self._tracks[packet.stream.index].take(packet)
                except av.error.FFmpegError as error:
                    log.warning("a piece of the sound is left out: %s", error)
        except av.error.FFmpegError as error:
            log.warning("the sound ends early: %s", error)


class _Copied:
    def __init__(self, stream: av.AudioStream, output: av.container.OutputContainer, origin: Fraction) -> None:
        self._to = output.add_stream_from_template(stream)
        self._base = stream.time_base or Fraction(1, av.time_base)
        self._shift = round(origin / self._base)
        self._last: int | None = None

    def take(self, packet: Packet) -> Iterator[tuple[float, Packet]]:
        if packet.dts is None or packet.pts is None:
            return
        packet.pts -= self._shift
        packet.dts -= self._shift
        if self._last is not None and packet.dts <= self._last:
            return  # a damaged file; MP4 wants rising times
        self._last = packet.dts
        packet.stream = self._to
        yield float(packet.dts * self._base), packet


class _Encoded:
    def __init__(self, stream: av.AudioStream, output: av.container.OutputContainer, origin: Fraction) -> None:
        rate = stream.codec_context.sample_rate
        rate = rate if rate in (16000, 22050, 32000, 44100, 48000) else 48000
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        self._to = output.add_stream("aac", rate=rate)
        self._to.codec_context.layout = layout
        self._resampler = av.AudioResampler("fltp", layout, rate)
        self._base = Fraction(1, rate)
        self._origin = origin

    def take(self, packet: Packet) -> Iterator[tuple[float, Packet]]:
        for frame in packet.decode():
            if not isinstance(frame, av.AudioFrame) or frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(self._origin / frame.time_base)
            for resampled in self._resampler.resample(frame):
                yield from self._encode(resampled)
        if not packet.size:  # the end
            for resampled in self._resampler.resample(None):
                yield from self._encode(resampled)
            yield from self._encode(None)

    def _encode(self, frame: av.AudioFrame | None) -> Iterator[tuple[float, Packet]]:
        for packet in self._to.encode(frame):
            if packet.dts is not None:
                yield float(packet.dts * (packet.time_base or self._base)), packet
