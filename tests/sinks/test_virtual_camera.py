"""A virtual camera, with a library that the tests make up: no computer that runs them has such a device."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from rfapp.errors import OutputError
from rfapp.sinks.virtual_camera import VirtualCamera, fitted, size_for
from tests.sinks.fake_virtual_camera import Device


def test_the_first_picture_opens_it_and_others_are_fitted_in(device: Device) -> None:
    with VirtualCamera() as camera:
        assert camera.device == ""
        camera.append(np.full((480, 640, 3), 200, np.uint8))
        assert camera.device == device.name
        camera.append(np.full((640, 480, 3), 90, np.uint8))
        camera.repeat()
        camera.blank()
    assert device.opened == [(640, 480, 30.0, "BGR")]
    assert [picture.shape for picture in device.pictures] == [(480, 640, 3)] * 4
    first, second, again, black = device.pictures
    assert (first == 200).all()
    assert (second[:, 140:500] == 90).all()
    assert (second[:, :139] == 0).all()
    np.testing.assert_array_equal(second, again)
    assert not black.any()
    assert device.closed == 1


@pytest.mark.parametrize(
    ("picture", "wanted"),
    [
        ((1280, 720), (1280, 720)),
        ((640, 480), (640, 480)),
        ((641, 481), (640, 480)),
        ((6000, 4000), (1920, 1280)),
        ((1080, 1920), (1080, 1920)),
        ((32, 32), (640, 640)),
        ((5000, 10), (1920, 64)),
    ],
)
def test_how_large_it_is(picture: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert size_for(*picture) == wanted


@pytest.mark.parametrize("shape", [(480, 640), (481, 641), (4000, 6000), (1, 5000), (5000, 1), (32, 32), (1920, 1080)])
def test_whatever_comes_is_fitted_in_whole(shape: tuple[int, int]) -> None:
    result = fitted(np.full((*shape, 3), 255, np.uint8), 640, 480)
    assert result.shape == (480, 640, 3)
    rows, columns = np.flatnonzero(result.any(axis=(1, 2))), np.flatnonzero(result.any(axis=(0, 2)))
    assert len(rows) == 480 or len(columns) == 640
    assert abs((rows[0] + rows[-1]) / 2 - 239.5) <= 1
    assert abs((columns[0] + columns[-1]) / 2 - 319.5) <= 1


def test_what_is_sent_stays_when_its_memory_is_used_again(device: Device) -> None:
    with VirtualCamera() as camera:
        image = np.full((480, 640, 3), 200, np.uint8)
        camera.append(image)
        image[:] = 0
        camera.repeat()
    assert (device.pictures[-1] == 200).all()


def test_before_the_first_picture_there_is_nothing_to_repeat(device: Device) -> None:
    with VirtualCamera() as camera:
        camera.repeat()
        camera.blank()
    assert device.opened == []
    assert device.pictures == []


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(OutputError, match="pip install pyvirtualcam") as told, VirtualCamera():
        pass
    assert "not installed" in told.value.message


@pytest.mark.parametrize(("system", "advice"), [("linux", "modprobe v4l2loopback"), ("win32", "OBS Studio")])
def test_without_a_device_it_says_how_to_get_one(
    device: Device, monkeypatch: pytest.MonkeyPatch, system: str, advice: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    device.missing = "'v4l2loopback' backend: No v4l2 loopback device found. Did you run it?\n'other' backend: none"
    with VirtualCamera() as camera, pytest.raises(OutputError, match=advice) as told:
        camera.append(np.zeros((48, 64, 3), np.uint8))
    assert told.value.message == "No virtual camera can be used: No v4l2 loopback device found; none."


def test_a_device_that_goes_away_is_told_and_let_go(device: Device) -> None:
    with VirtualCamera() as camera:
        camera.append(np.zeros((480, 640, 3), np.uint8))
        device.broken = OSError("No such device")
        with pytest.raises(OutputError, match=f"{device.name}.*takes no more pictures: No such device"):
            camera.append(np.zeros((480, 640, 3), np.uint8))
        assert device.closed == 1
        camera.repeat()  # nothing is left to repeat


def test_on_linux_a_device_that_drops_pictures_in_silence_is_noticed(device: Device) -> None:
    device.name = "/dev/video-that-is-not-there"
    with VirtualCamera() as camera, pytest.raises(OutputError, match="takes no more pictures"):
        camera.append(np.zeros((480, 640, 3), np.uint8))


def test_the_made_up_library_is_like_the_real_one() -> None:
    """Where pyvirtualcam is installed: what is used of it is there."""
    real: ModuleType = pytest.importorskip("pyvirtualcam", reason="pyvirtualcam is not installed")
    assert real.PixelFormat.BGR
    for name in ("send", "close", "device", "width", "height"):
        assert hasattr(real.Camera, name)
    with pytest.raises(RuntimeError):
        real.Camera(640, 480, 30.0, fmt=real.PixelFormat.BGR, device="/dev/no such device")
