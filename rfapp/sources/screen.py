"""The computer's screen, or a part of it, through mss: for what other programs show, such as a video call."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from rfapp.errors import SourceNotFound, SourceUnreadable, UsageError
from rfapp.frames import ByteImage, Frame
from rfapp.sources.base import Source, SourceInfo
from rfapp.text import mark

if TYPE_CHECKING:
    import mss

#: Pictures a second. Reading a screen takes some milliseconds of the processor each time.
RATE = 20.0
_AREA = re.compile(r"(-?\d+),(-?\d+),(\d+),(\d+)")
#: A part must be large enough to hold a face.
LEAST = 32


class Screen(Source):
    """*which*: "" for the first screen, "2" for the second one, or "X,Y,WIDTH,HEIGHT" for a part, in pixels of the
    whole desktop. Raises UsageError for anything else."""

    def __init__(self, which: str = "") -> None:
        area = _AREA.fullmatch(which)
        if area is None and which and not which.isdecimal():
            raise UsageError(
                mark("“{which}” is no part of the screen."),
                mark("Write screen, screen:2 for the second screen, or screen:X,Y,WIDTH,HEIGHT in pixels."),
                which=which,
            )
        self._number = int(which) if which and area is None else 1
        self._area = None if area is None else tuple(int(value) for value in area.groups())
        self._grabber: mss.MSS | None = None
        self._part: dict[str, int] = {}
        self._closed = threading.Event()
        self._index = 0
        self._began = self._next = 0.0

    def open(self) -> SourceInfo:
        import mss

        try:
            # Kept for the reading thread alone: on some systems what opens the screen must also read it.
            self._grabber = mss.MSS()
            monitors = [dict(monitor) for monitor in self._grabber.monitors]
            self._part = self._chosen(monitors)
            first = self._grab()
        except (mss.ScreenShotError, OSError) as error:
            raise _unreadable(error) from error
        self._began = self._next = time.perf_counter()
        title = mark("Screen") if self._number == 1 else mark("Screen {number}").format(number=self._number)
        if self._area is not None:
            title = mark("Part of the screen")
        height, width = first.shape[:2]
        details = "" if self._area is None else f"{self._part['left']}, {self._part['top']}, {width}×{height}"
        return SourceInfo(title, width, height, live=True, rate=RATE, details=details)

    def _chosen(self, monitors: list[dict[str, int]]) -> dict[str, int]:
        """What is to be read; *monitors* begins with the whole desktop."""
        whole, screens = monitors[0], monitors[1:]
        if self._area is None:
            if not 1 <= self._number <= len(screens):
                raise SourceNotFound(
                    mark("There is no screen {number}."), mark("There are {count}."), number=self._number,
                    count=len(screens),
                )  # fmt: skip
            return {key: int(screens[self._number - 1][key]) for key in ("left", "top", "width", "height")}
        left, top, width, height = self._area
        right = min(left + width, whole["left"] + whole["width"])
        bottom = min(top + height, whole["top"] + whole["height"])
        left, top = max(left, whole["left"]), max(top, whole["top"])
        if right - left < LEAST or bottom - top < LEAST:
            raise SourceNotFound(
                mark("That part of the screen is outside of it, or too small."),
                mark("The desktop reaches from {left}, {top} and is {width}×{height} pixels large."),
                **{key: whole[key] for key in ("left", "top", "width", "height")},
            )
        return {"left": left, "top": top, "width": right - left, "height": bottom - top}

    def read(self) -> Frame | None:
        import mss

        now = time.perf_counter()
        if self._next > now and self._closed.wait(self._next - now):
            return None
        if self._closed.is_set():
            self._let_go()
            return None
        # From now on, and not from when it should have been: a slow screen must not be asked ever faster.
        self._next = max(self._next + 1 / RATE, time.perf_counter())
        try:
            image = self._grab()
        except (mss.ScreenShotError, OSError) as error:
            raise _unreadable(error) from error
        captured = time.perf_counter()
        index = self._index
        self._index += 1
        return Frame(image, index, captured - self._began, captured)

    def _grab(self) -> ByteImage:
        assert self._grabber is not None
        shot = self._grabber.grab(
            (
                self._part["left"],
                self._part["top"],
                self._part["left"] + self._part["width"],
                self._part["top"] + self._part["height"],
            )
        )
        pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        image: ByteImage = np.ascontiguousarray(pixels[:, :, :3])
        image.flags.writeable = False
        return image

    def _let_go(self) -> None:
        grabber, self._grabber = self._grabber, None
        if grabber is not None:
            grabber.close()

    def close(self) -> None:
        # The grabber itself is let go by the thread that reads, or with this object.
        self._closed.set()


def _unreadable(error: Exception) -> SourceUnreadable:
    return SourceUnreadable(
        mark("The screen can't be read: {reason}."),
        mark(
            "On Wayland no program may read it; choose an X11 session when you log in. On macOS allow it in System "
            "Settings ▸ Privacy ▸ Screen Recording."
        ),
        reason=str(error).rstrip("."),
    )
