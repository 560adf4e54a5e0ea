"""The screen as a source, with a screen that the test draws."""

from __future__ import annotations

import threading
import time

import mss
import numpy as np
import pytest

from rfapp.errors import SourceNotFound, SourceUnreadable, UsageError
from rfapp.sources import open_source
from rfapp.sources.screen import RATE


class Shot:
    def __init__(self, pixels):
        self.height, self.width = pixels.shape[:2]
        self.bgra = pixels.tobytes()


class Grabber:
    """Two screens side by side, the left one 640×480, the right one 320×480; each pixel tells where it is."""

    monitors = (
        {"left": 0, "top": 0, "width": 960, "height": 480},
        {"left": 0, "top": 0, "width": 640, "height": 480},
        {"left": 640, "top": 0, "width": 320, "height": 480},
    )
    fails = None
    closed = 0

    def grab(self, box):
        if Grabber.fails:
            raise mss.ScreenShotError(Grabber.fails)
        left, top, right, bottom = box
        y, x = np.mgrid[top:bottom, left:right]
        pixels = np.stack([x % 251, y % 241, (x + y) % 239, np.full_like(x, 255)], axis=-1).astype(np.uint8)
        return Shot(pixels)

    def close(self):
        Grabber.closed += 1


@pytest.fixture(autouse=True)
def grabber(monkeypatch):
    monkeypatch.setattr(Grabber, "fails", None)
    monkeypatch.setattr(Grabber, "closed", 0)
    monkeypatch.setattr(mss, "MSS", Grabber)
    return Grabber


@pytest.mark.parametrize(
    ("address", "left", "size"),
    [
        ("screen", 0, (640, 480)),
        ("screen:1", 0, (640, 480)),
        ("screen:2", 640, (320, 480)),
        ("screen:600,100,64,48", 600, (64, 48)),
        ("screen:900,0,500,500", 900, (60, 480)),  # what lies outside is left out
    ],
)
def test_the_part_that_was_asked_for(address, left, size):
    with open_source(address) as source:
        info = source.open()
        frame = source.read()
    assert info.live
    assert (info.width, info.height) == size
    assert frame.image.shape == (size[1], size[0], 3)
    assert frame.image[0, 0, 0] == left % 251, "blue first, and the right place"
    assert not frame.image.flags.writeable


def test_it_goes_at_its_own_pace():
    with open_source("screen") as source:
        source.open()
        began = time.perf_counter()
        frames = [source.read() for _ in range(6)]
        assert time.perf_counter() - began >= 4.5 / RATE
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    assert [frame.index for frame in frames] == list(range(6))


def test_closing_ends_a_wait():
    source = open_source("screen")
    source.open()
    source.read()
    threading.Timer(0.01, source.close).start()
    assert [source.read() for _ in range(3)][-1] is None
    assert source.read() is None


@pytest.mark.parametrize("address", ["screen:left", "screen:1,2,3", "screen:1,2,3,four"])
def test_an_address_that_makes_no_sense(address):
    with pytest.raises(UsageError, match="X,Y,WIDTH,HEIGHT"):
        open_source(address)


@pytest.mark.parametrize("address", ["screen:3", "screen:0", "screen:2000,0,100,100", "screen:0,0,10,10"])
def test_a_screen_that_is_not_there(address):
    with pytest.raises(SourceNotFound):
        open_source(address).open()


def test_a_screen_that_may_not_be_read(grabber):
    grabber.fails = "no permission."
    with pytest.raises(SourceUnreadable, match=r"no permission\. .*Wayland"):
        open_source("screen").open()
    grabber.fails = None
    with open_source("screen") as source:
        source.open()
        grabber.fails = "gone"
        with pytest.raises(SourceUnreadable, match="gone"):
            source.read()
