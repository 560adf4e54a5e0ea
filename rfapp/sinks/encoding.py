"""Pictures into a stream of H.264."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.container
import cv2
import numpy as np

from rfapp.frames import ByteImage

#: Every usual frame rate and a Matroska file's milliseconds are whole numbers of these.
TIME_BASE = Fraction(1, 120_000)
# The numbers of these colours in ITU-T H.273: primaries and transfer as of HDTV; brightness and colour are told apart
# as in ITU-R BT.601, which OpenCV does in a third of the time that FFmpeg takes for either, and with less rounding.
_BT709, _BT601 = 1, 6
_LIMITED = 1  # FFmpeg's number for the range 16 to 235


class Encoder:
    """A stream of H.264 in *container* for pictures of *width* × *height*.

    An odd width or height gets one more row or column, for H.264 wants even ones; a picture of another size is scaled.
    Frames keep their times (to 1/120000 s), whatever their *rate* (frames a second), which only helps to plan.
    *options* are those of x264, *threads* its threads (0: as many as it likes).
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        width: int,
        height: int,
        *,
        rate: float | None,
        options: dict[str, str],
        threads: int = 0,
    ) -> None:
        self._container = container
        self._size = (width + width % 2, height + height % 2)
        self._last = -1
        stream = self._stream = container.add_stream(
            "libx264", rate=Fraction(rate or 30).limit_denominator(1001), options=options
        )
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        context: Any = stream.codec_context
        context.color_primaries = context.color_trc = _BT709
        context.colorspace, context.color_range = _BT601, _LIMITED
        context.thread_count = threads

    @property
    def end_s(self) -> float:
        """The time of the last picture."""
        return float(self._last * TIME_BASE)

    def append(self, image: ByteImage, time_s: float) -> None:
        """Encode *image* (uint8 BGR), whose memory is free again afterwards. Raises FFmpegError and OSError."""
        frame = self._encodable(image)
        frame.pts = self._last = max(round(time_s / TIME_BASE), self._last + 1)
        frame.time_base = TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode())

    def _encodable(self, image: ByteImage) -> av.VideoFrame:
        width, height = self._size
        rows, columns = image.shape[:2]
        if (rows + rows % 2, columns + columns % 2) != (height, width):  # the video changes its size on the way
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
        elif (rows, columns) != (height, width):
            image = cv2.copyMakeBorder(image, 0, height - rows, 0, width - columns, cv2.BORDER_REPLICATE).astype(
                "uint8", copy=False
            )
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.colorspace, frame.color_range = _BT601, _LIMITED
        return frame
