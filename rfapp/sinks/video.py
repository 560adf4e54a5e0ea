"""Videos with drawn or hidden faces: H.264 in MP4, with the sound of the original."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.container
import av.error
import cv2
from av.video.reformatter import Colorspace, VideoReformatter

from rfapp.errors import OutputError
from rfapp.frames import ByteImage, Detections, Frame
from rfapp.sinks.drawing import draw
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.pictures import cannot_write
from rfapp.sinks.sound import Sound
from rfapp.text import mark

#: Every usual frame rate and a Matroska file's milliseconds are whole numbers of these.
TIME_BASE = Fraction(1, 120_000)
_BT709 = 1  # the number of these colours in ITU-T H.273, for primaries, transfer and matrix
_LIMITED = 1  # FFmpeg's number for the range 16 to 235
_ROUNDED = 0x2 | 0x40000  # swscale's SWS_BILINEAR and SWS_ACCURATE_RND: without the latter colours come out darker
#: The picture is this much behind, at most, when the sound is written along.
_SOUND_AHEAD_S = 0.5


class VideoSink:
    """A copy of a video with drawn or hidden faces.

    Frames keep their times (to 1/120000 s), whatever their rate. The size is that of the first frame; an odd width
    or height gets one more row or column, for H.264 wants even ones. *sound*: the file whose sound goes along.
    *rate* in frames a second helps the encoder to plan. The file gets its name when it is complete; when the sink is
    left by an exception, the frames so far and the sound up to there are still made a complete file. Without a single
    frame no file is made.
    """

    def __init__(self, path: Path, *, sound: Path | None = None, rate: float | None = None) -> None:
        self._path = path
        self._sound_from = sound
        self._rate = Fraction(rate or 30).limit_denominator(1001)
        self._temporary: Path | None = None
        self._container: av.container.OutputContainer | None = None
        self._sound: Sound | None = None
        self._reformatter = VideoReformatter()
        self._last = -1
        self._size = (0, 0)

    def append(self, frame: Frame, faces: Detections, hidden: Hidden | None = None) -> None:
        """Encode *frame* with *faces* drawn in, or without what is *hidden*. Raises OutputError."""
        try:
            if self._container is None:
                self._begin(frame.width, frame.height)
            assert self._container is not None
            encoded = self._encodable(draw(frame.image, faces) if hidden is None else hidden.applied(frame.image))
            encoded.pts = self._last = max(round(frame.time_s / TIME_BASE), self._last + 1)
            encoded.time_base = TIME_BASE
            self._container.mux(self._stream.encode(encoded))
            if self._sound is not None:
                self._sound.up_to(frame.time_s - _SOUND_AHEAD_S)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def _begin(self, width: int, height: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._container = av.open(f"file:{self._temporary}", "w", format="mp4", options={"movflags": "+faststart"})
        self._size = (width + width % 2, height + height % 2)
        stream = self._stream = self._container.add_stream(
            "libx264", rate=self._rate, options={"preset": "superfast", "crf": "21"}
        )
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        context: Any = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        context.thread_count = 0
        if self._sound_from is not None:
            try:
                self._sound = Sound(self._sound_from, self._container)
            except (av.error.FFmpegError, OSError):
                self._sound = None  # the pictures were read from another kind of file

    def _encodable(self, image: ByteImage) -> av.VideoFrame:
        width, height = self._size
        rows, columns = image.shape[:2]
        if (rows + rows % 2, columns + columns % 2) != (height, width):  # the video changes its size on the way
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
        elif (rows, columns) != (height, width):
            image = cv2.copyMakeBorder(image, 0, height - rows, 0, width - columns, cv2.BORDER_REPLICATE).astype(
                "uint8", copy=False
            )
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, "bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            interpolation=_ROUNDED,
            threads=1,
        )
        frame.colorspace, frame.color_range = _BT709, _LIMITED
        return frame

    def finish(self, *, whole: bool) -> None:
        """Complete the file. *whole*: all the rest of the sound goes in; else it ends with the pictures."""
        container, self._container = self._container, None
        temporary, self._temporary = self._temporary, None
        sound, self._sound = self._sound, None
        if container is None or temporary is None:
            return
        try:
            container.mux(self._stream.encode())
            if sound is not None:
                sound.up_to(None if whole else float(self._last * TIME_BASE))
            container.close()
            os.replace(temporary, self._path)
        except (av.error.FFmpegError, OSError) as error:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                container.close()
            raise self._failed(error) from None
        finally:
            if sound is not None:
                sound.close()
            temporary.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> OutputError:
        if isinstance(error, OSError):
            return cannot_write(self._path, error)
        return OutputError(
            mark("The video “{path}” can't be written: {reason}."), path=str(self._path), reason=str(error)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(whole=kind is None)
