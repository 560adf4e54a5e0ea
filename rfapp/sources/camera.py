"""A camera, through OpenCV."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from rfapp.errors import CameraBlack, CameraFailed, CameraLost, CameraNotFound
from rfapp.frames import ByteImage, Frame
from rfapp.settings import SourceSettings
from rfapp.sources.base import Source, SourceInfo
from rfapp.sources.cameras import DRIVERS, Camera, Enumerator, list_cameras
from rfapp.text import mark

log = logging.getLogger(__name__)

#: So long a camera may take to deliver its first picture, and its first one that is not black.
FIRST_PICTURE_S = 2.0
#: At most so long is spent on measuring the rate when it is opened.
MEASURE_S = 0.4
#: A picture whose mean brightness (0 to 255) is below this is black; sensor noise is below it, a dark room above.
BLACK = 3.0
#: So many reads in a row may fail before the camera counts as lost: a damaged picture on the cable is one.
FAILED_READS = 5
#: A read that failed after so long was a time-out: there is no use in trying again.
TIMED_OUT_S = 1.0
#: How long close() waits for a read or a release under way before it leaves them to themselves.
CLOSE_S = 1.0

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool: ...  # noqa: N802
    def read(self) -> tuple[bool, Any]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


#: Opens the camera of a number and interface with OpenCV's list of property, value, property, value, …
OpenCapture = Callable[[int, int, Sequence[int]], Capture]


def _open_capture(number: int, backend: int, parameters: Sequence[int]) -> Capture:
    return cv2.VideoCapture(number, backend, list(parameters))


class CameraSource(Source):
    """A camera by name, by number, or ("") the first one.

    The name is looked up at every opening, so a camera is found again after it was unplugged, whatever number it
    comes back under.
    """

    def __init__(
        self,
        which: str,
        settings: SourceSettings | None = None,
        *,
        enumerator: Enumerator | None = None,
        open_capture: OpenCapture = _open_capture,
    ) -> None:
        self._which = which
        self._settings = settings or SourceSettings()
        self._enumerator = enumerator
        self._open_capture = open_capture
        self._lock = threading.Lock()  # held while the driver is at work
        self._closed = threading.Event()
        self._capture: Capture | None = None
        self._camera: Camera | None = None
        self._pending: ByteImage | None = None
        self._index = 0
        self._started = 0.0

    # ------------------------------------------------------------------------------------------------------ open

    def open(self) -> SourceInfo:
        camera = self._camera = self._find()
        _check_permission(camera)
        with self._at_work():
            image, rate, fourcc = self._first_pictures(camera)
        height, width = image.shape[:2]
        settings = self._settings
        return SourceInfo(
            camera.name,
            width,
            height,
            live=True,
            rate=rate,
            details=f"asked for {settings.camera_width}×{settings.camera_height} at {settings.camera_rate}/s, "
            f"got {width}×{height}" + (f" at {rate:.1f}/s" if rate else "") + (f" ({fourcc})" if fourcc else ""),
        )

    def _find(self) -> Camera:
        cameras = list_cameras(self._settings.camera_driver, enumerator=self._enumerator)
        if not cameras:
            raise CameraNotFound(
                mark("No camera is connected to this computer."),
                mark("Connect one, or play the built-in sample."),
            )
        which = self._which
        if not which:
            return cameras[0]
        if which.isdecimal():
            matches = [camera for camera in cameras if camera.number == int(which)]
        else:
            matches = [camera for camera in cameras if camera.name == which]
            if not matches:
                matches = [camera for camera in cameras if which.casefold() in camera.name.casefold()]
        if len(matches) == 1:
            return matches[0]
        names = ", ".join(f"“{camera.name}” ({camera.number})" for camera in matches or cameras)
        if matches:
            raise CameraNotFound(
                mark("Several cameras are called “{which}”."), mark("Take one of: {names}."), which=which, names=names
            )
        raise CameraNotFound(
            mark("There is no camera “{which}”."), mark("These are connected: {names}."), which=which, names=names
        )

    def _first_pictures(self, camera: Camera) -> tuple[ByteImage, float | None, str]:
        """Open the camera and wait for a picture that shows something: the picture, the rate, the format's name."""
        black = opened = False
        for parameters in self._attempts(camera):
            self._stop_if_closed(camera)
            capture = self._open_capture(camera.number, camera.backend, parameters)
            self._capture = capture
            if capture.isOpened():
                opened = True
                image = self._wait_for_picture(camera)
                if image is not None and not _is_black(image):
                    rate = self._measure(image)
                    return image, rate, _fourcc_name(capture.get(cv2.CAP_PROP_FOURCC))
                black = black or image is not None
            # Some cameras refuse a size or format, and virtual ones deliver black then: ask for less.
            capture.release()
            self._capture = None
        self._stop_if_closed(camera)
        if black:
            raise CameraBlack(
                mark("The camera “{name}” delivers only black pictures."),
                mark("Open its shutter, close other programs that use it, or choose another camera driver."),
                name=camera.name,
            )
        if opened:
            raise CameraFailed(
                mark("The camera “{name}” delivers no pictures."),
                mark("Close other programs that use it, plug it in again, or choose another camera driver."),
                name=camera.name,
            )
        raise CameraFailed(
            mark("The camera “{name}” can't be opened."),
            mark("Close other programs that use it, or choose another camera driver."),
            name=camera.name,
        )

    def _attempts(self, camera: Camera) -> Iterator[list[int]]:
        """What to ask for at opening: all, all but the format, nothing.

        Compressed (MJPG), for a USB 2 cable carries uncompressed HD at 5 to 10 pictures a second only. DirectShow
        heeds these wishes at opening only.
        """
        settings = self._settings
        size = [cv2.CAP_PROP_FRAME_WIDTH, settings.camera_width, cv2.CAP_PROP_FRAME_HEIGHT, settings.camera_height]
        rate = [cv2.CAP_PROP_FPS, settings.camera_rate]
        # One picture in the driver's queue, so that the one that is read is the newest.
        queue = [cv2.CAP_PROP_BUFFERSIZE, 1] if camera.backend == DRIVERS["v4l2"] else []
        yield [cv2.CAP_PROP_FOURCC, _MJPG, *size, *rate, *queue]
        yield [*size, *rate, *queue]
        yield []

    def _wait_for_picture(self, camera: Camera) -> ByteImage | None:
        """The first picture that is not black, or else the last black one; None where none came."""
        image = None
        deadline = time.monotonic() + FIRST_PICTURE_S
        while time.monotonic() < deadline:
            self._stop_if_closed(camera)
            taken = self._take()
            if taken is None:
                time.sleep(0.01)
                continue
            image = taken
            if not _is_black(image):
                break
        return image

    def _measure(self, image: ByteImage) -> float | None:
        """The rate at which pictures really come; what drivers say of it is not to be trusted."""
        times = [time.perf_counter()]
        while len(times) < 8 and times[-1] - times[0] < MEASURE_S and not self._closed.is_set():
            taken = self._take()
            if taken is None:
                break
            image = taken
            times.append(time.perf_counter())
        self._pending = image
        self._started = times[-1]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        gap = statistics.median(gaps[1:]) if len(gaps) > 3 else 0.0  # the first one began in the middle of a picture
        return round(1 / gap, 1) if gap > 0 else None

    # ------------------------------------------------------------------------------------------------------ read

    def read(self) -> Frame | None:
        if self._camera is None or self._closed.is_set():
            return None
        with self._at_work():
            image, self._pending = self._pending, None
            if image is None:
                image = self._next_picture(self._camera)
        if image is None or self._closed.is_set():
            return None
        now = time.perf_counter()
        frame = Frame(image, self._index, max(0.0, now - self._started), now)
        self._index += 1
        return frame

    def _next_picture(self, camera: Camera) -> ByteImage | None:
        for _ in range(FAILED_READS):
            if self._closed.is_set():
                return None
            began = time.monotonic()
            image = self._take()
            if image is not None:
                return image
            if time.monotonic() - began > TIMED_OUT_S or (camera.path.startswith("/") and _gone(camera.path)):
                break
            time.sleep(0.01)
        if self._closed.is_set():
            return None
        raise CameraLost(
            mark("The camera “{name}” is gone, or has stopped."), mark("Plug it in again."), name=camera.name
        )

    def _take(self) -> ByteImage | None:
        capture = self._capture
        if capture is None:
            return None
        try:
            good, image = capture.read()
        except cv2.error as error:  # a picture that came damaged over the cable
            log.warning("camera read: %s", error)
            return None
        if not good or image is None or not image.size or image.dtype != np.uint8:
            return None
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        elif image.shape[2] == 4:
            image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
        return np.ascontiguousarray(image)

    # ----------------------------------------------------------------------------------------------------- close

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """The driver is at work: close() waits for it a moment, and after that leaves the rest to be done here."""
        try:
            with self._lock:
                try:
                    yield
                except BaseException:
                    if self._index == 0 and self._pending is None:  # opening failed: leave the camera to others
                        self._release()
                    raise
        finally:
            if self._closed.is_set():
                self.close()

    def close(self) -> None:
        self._closed.set()
        if not self._lock.acquire(timeout=CLOSE_S):
            # A driver may hang in a read for ever. Whoever is in it lets go of the camera when it comes back.
            log.warning("camera %s: the driver hangs; left to itself", self._camera and self._camera.name)
            return
        try:
            self._release()
        finally:
            self._lock.release()

    def _release(self) -> None:
        capture, self._capture = self._capture, None
        self._pending = None
        if capture is None:
            return
        # A release can hang, too. In most cases it is done at once, and then the camera is free for the next opening.
        thread = threading.Thread(target=capture.release, name="camera release", daemon=True)
        thread.start()
        thread.join(CLOSE_S)

    def _stop_if_closed(self, camera: Camera) -> None:
        if self._closed.is_set():
            raise CameraFailed(mark("The camera “{name}” was closed."), name=camera.name)


def _check_permission(camera: Camera) -> None:
    if sys.platform != "linux" or not camera.path.startswith("/dev/") or _gone(camera.path):
        return
    if not os.access(camera.path, os.R_OK | os.W_OK):
        raise CameraFailed(
            mark("You may not use the camera “{name}” ({path})."),
            mark("Join the group “video” (sudo usermod -aG video $USER), log out, and log in again."),
            name=camera.name,
            path=camera.path,
        )


def _gone(path: str) -> bool:
    return not os.path.exists(path)


def _is_black(image: ByteImage) -> bool:
    return float(np.mean(cv2.mean(image)[:3])) < BLACK


def _fourcc_name(code: float) -> str:
    raw = int(code) & 0xFFFFFFFF
    name = raw.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
    return name if name.isalnum() else ""
