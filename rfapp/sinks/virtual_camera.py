"""Pictures sent to a virtual camera, which other programs (a video call, say) take for a real one; by pyvirtualcam."""

from __future__ import annotations

import importlib
import os
import sys
import time
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from rfapp.engines import how_to_install
from rfapp.errors import OutputError
from rfapp.frames import ByteImage
from rfapp.text import mark

#: Pictures a second that the device is told; it may get fewer.
RATE = 30.0
#: The long side of what is sent: larger pictures are made smaller, small ones larger.
_LEAST, _MOST = 640, 1920
#: Looking whether the device is still there costs little, but need not be done for every picture.
_LOOK_S = 1.0


class VirtualCamera:
    """A virtual camera, a context manager; the device is opened with the first picture.

    It keeps the size that it got then: programs that read from it bear no other. Pictures of another shape are fitted
    in, with black beside them.
    """

    def __init__(self) -> None:
        self._library: Any = None
        self._camera: Any = None
        self._sent: ByteImage | None = None
        self._looked_s = 0.0

    @property
    def device(self) -> str:
        """What it is called; "" before it is open."""
        return "" if self._camera is None else str(self._camera.device)

    def append(self, image: ByteImage) -> None:
        """Send *image* (uint8 BGR). Raises OutputError: no device, or one that has gone."""
        if self._camera is None:
            self._open(*size_for(image.shape[1], image.shape[0]))
        self._send(fitted(image, self._camera.width, self._camera.height))

    def repeat(self) -> None:
        """Send the last picture once more, for programs that have begun to look since."""
        if self._sent is not None:
            self._send(self._sent)

    def blank(self) -> None:
        """Send a black picture, if anything was sent before."""
        if self._sent is not None:
            self._send(np.zeros_like(self._sent))

    def _open(self, width: int, height: int) -> None:
        library = self._library
        try:
            self._camera = library.Camera(width, height, RATE, fmt=library.PixelFormat.BGR)
        except Exception as error:  # each system's back end has errors of its own
            raise OutputError(
                mark("No virtual camera can be used: {reason}."), _how_to_get_one(), reason=_reason(error)
            ) from error

    def _send(self, picture: ByteImage) -> None:
        device = self.device
        try:
            self._look(device)
            self._camera.send(picture)
        except Exception as error:
            self.close()
            raise OutputError(
                mark("The virtual camera “{device}” takes no more pictures: {reason}."),
                mark("Send to it again when it is back."),
                device=device,
                reason=_reason(error),
            ) from error
        self._sent = picture

    def _look(self, device: str) -> None:
        """On Linux pictures for a device that has gone are dropped without a word."""
        now = time.monotonic()
        if device.startswith("/dev/") and now - self._looked_s >= _LOOK_S:
            self._looked_s = now
            os.stat(device)

    def close(self) -> None:
        """Let go of the device."""
        camera, self._camera, self._sent = self._camera, None, None
        if camera is not None:
            camera.close()

    def __enter__(self) -> Self:
        """Raises OutputError where the library is missing."""
        try:
            self._library = importlib.import_module("pyvirtualcam")
        except ImportError:
            raise OutputError(
                mark("Sending to a virtual camera needs pyvirtualcam, which is not installed."),
                how_to_install("pyvirtualcam"),
                engine="pyvirtualcam",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def size_for(width: int, height: int) -> tuple[int, int]:
    """The size of a camera for pictures of *width* × *height*: of the same shape, as large as cameras are, and in
    multiples of four and two, since colours are sent for blocks of pixels."""
    scale = min(max(1.0, _LEAST / max(width, height)), _MOST / max(width, height))
    return max(64, round(width * scale / 4) * 4), max(64, round(height * scale / 2) * 2)


def fitted(image: ByteImage, width: int, height: int) -> ByteImage:
    """*image* in the middle of *width* × *height*, as large as it fits, on black: always a new array."""
    if image.shape[:2] == (height, width):
        return image.copy()
    scale = min(width / image.shape[1], height / image.shape[0])
    columns, rows = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    between = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    result = np.zeros((height, width, 3), np.uint8)
    left, top = (width - columns) // 2, (height - rows) // 2
    result[top : top + rows, left : left + columns] = cv2.resize(image, (columns, rows), interpolation=between)
    return result


def _reason(error: Exception) -> str:
    """What *error* says, in short: of each back end the first sentence, without what it would advise."""
    lines = (line.partition("backend: ")[2] or line for line in str(error).splitlines())
    return "; ".join(line.partition(". ")[0].strip().rstrip(".") for line in lines) or type(error).__name__


def _how_to_get_one() -> str:
    if sys.platform == "linux":
        return mark(
            "Install v4l2loopback (on Debian and Ubuntu: sudo apt install v4l2loopback-dkms), then: "
            "sudo modprobe v4l2loopback exclusive_caps=1"
        )
    return mark("Install OBS Studio (obsproject.com), and start and stop its virtual camera once.")
