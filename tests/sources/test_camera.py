"""The camera source over a driver that does what the test tells it."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

import cv2
import pytest

from rfapp.errors import CameraBlack, CameraFailed, CameraLost, CameraNotFound
from rfapp.frames import Frame
from rfapp.settings import SourceSettings
from rfapp.sources import camera as camera_module
from rfapp.sources import cameras as cameras_module
from rfapp.sources import list_cameras
from rfapp.sources.camera import CameraSource


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "FIRST_PICTURE_S", 0.2)
    monkeypatch.setattr(camera_module, "MEASURE_S", 0.1)
    monkeypatch.setattr(camera_module, "CLOSE_S", 0.2)


def read_times(source: CameraSource, times: int) -> list[Frame | None]:
    return [source.read() for _ in range(times)]


def test_twins_are_numbered_and_the_order_is_that_of_the_numbers(driver) -> None:
    driver.plug("Rear", 4)
    driver.plug("Front", 2)
    cameras = list_cameras(enumerator=driver.enumerate)
    assert [(camera.name, camera.number) for camera in cameras] == [("Front", 0), ("Front (2)", 2), ("Rear", 4)]
    assert cameras[1].address == "camera:Front (2)"


def test_driver_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
    for system, number in expected.items():
        monkeypatch.setattr(cameras_module.sys, "platform", system)
        assert cameras_module.driver_number("auto") == number
    assert cameras_module.driver_number("msmf") == cv2.CAP_MSMF
    assert set(cameras_module.DRIVERS) | {"auto"} == set(
        next(s for s in _settings() if s.key == "camera_driver").about.choices
    )


def _settings() -> list:
    from rfapp.settings import all_settings

    return list(all_settings(["source"]))


@pytest.mark.parametrize(
    ("which", "title"),
    [
        ("", "Front"),
        ("Front", "Front"),
        ("Front (2)", "Front (2)"),
        ("4", "Rear"),
        ("rear", "Rear"),
        ("2", "Front (2)"),
    ],
)
def test_which_camera(driver, which: str, title: str) -> None:
    driver.plug("Rear", 4)
    driver.plug("Front", 2)
    with driver.source(which) as source:
        assert source.open().title == title


def test_no_such_camera_names_those_there_are(driver) -> None:
    driver.plug("Front", 2)
    with pytest.raises(CameraNotFound, match=r"“Front” \(0\), “Front \(2\)” \(2\)") as caught:
        driver.source("Desk").open()
    assert "“Desk”" in caught.value.message
    with pytest.raises(CameraNotFound, match="Several cameras"):
        driver.source("fro").open()
    driver.plugged.clear()
    with pytest.raises(CameraNotFound, match="No camera is connected"):
        driver.source("Front").open()


def test_asks_for_format_size_and_rate_at_opening(driver) -> None:
    with driver.source() as source:
        info = source.open()
    asked = dict(zip(driver.opened[0][::2], driver.opened[0][1::2], strict=True))
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert (asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (1280, 720)
    assert asked[cv2.CAP_PROP_FPS] == 30
    if sys.platform == "linux":
        assert asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert "asked for 1280×720" in info.details
    assert "got 64×48" in info.details
    assert "YUYV" in info.details
    assert info.live


def test_rate_is_measured(driver) -> None:
    driver.scripts["Front"] = [0.02]
    with driver.source() as source:
        info = source.open()
    assert info.rate is not None
    assert 15 < info.rate <= 51


def test_camera_that_refuses_the_format_is_asked_for_less(driver) -> None:
    driver.refuses = lambda parameters: cv2.CAP_PROP_FOURCC in parameters[::2]
    with driver.source() as source:
        source.open()
        assert source.read() is not None
    assert len(driver.opened) == 2
    driver.refuses = bool
    with driver.source() as source:
        source.open()
    assert driver.opened[-1] == []
    assert driver.in_use == 0


def test_virtual_camera_that_is_black_at_a_forced_size(driver) -> None:
    driver.black_if = bool
    with driver.source() as source:
        source.open()
        frame = source.read()
    assert frame is not None
    assert frame.image.any()


def test_black_camera_is_told_and_let_go(driver) -> None:
    driver.scripts["Front"] = ["black"]
    with pytest.raises(CameraBlack, match=r"“Front” delivers only black.*another camera driver"):
        driver.source().open()
    assert driver.in_use == 0


def test_camera_that_is_black_at_first(driver) -> None:
    driver.scripts["Front"] = [*["black"] * 5, "picture"]
    with driver.source() as source:
        source.open()
        frame = source.read()
    assert frame is not None
    assert frame.image.any()
    assert len(driver.opened) == 1


def test_camera_that_delivers_nothing(driver) -> None:
    driver.scripts["Front"] = ["fail"]
    with pytest.raises(CameraFailed, match="delivers no pictures"):
        driver.source().open()
    assert driver.in_use == 0


def test_camera_in_use_by_another_program(driver) -> None:
    driver.refuses = lambda parameters: True
    with pytest.raises(CameraFailed, match=r"can't be opened.*Close other programs"):
        driver.source().open()


def test_damaged_pictures_are_passed_over(driver) -> None:
    driver.scripts["Front"] = [*["picture"] * 30, "fail", "damaged", "fail", "picture"]
    with driver.source() as source:
        source.open()
        frames = read_times(source, 60)
    assert all(frames)
    assert [frame.index for frame in frames] == list(range(60))


def test_pulled_and_plugged_in_again_under_another_number(driver) -> None:
    source = driver.source("Front")
    source.open()
    assert source.read() is not None
    driver.unplug(0)
    with pytest.raises(CameraLost, match="“Front” is gone"):
        read_times(source, 3)
    source.close()
    assert driver.in_use == 0
    with pytest.raises(CameraNotFound):
        driver.source("Front").open()
    driver.plug("Other", 0)
    driver.plug("Front", 3)
    with driver.source("Front") as again:
        assert again.open().title == "Front"
        assert again.read() is not None
        assert again._camera.number == 3


def test_read_that_hangs_does_not_hold_up_closing(driver) -> None:
    driver.scripts["Front"] = [*["picture"] * 40, "hang"]
    source = driver.source()
    source.open()
    outcome: list = []

    def read() -> None:
        try:
            while (frame := source.read()) is not None:
                outcome.append(frame)
            outcome.append(None)
        except CameraLost as error:
            outcome.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    while len(outcome) < 30:
        time.sleep(0.01)
    time.sleep(0.1)
    began = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began < 1
    assert thread.is_alive()
    assert driver.in_use == 1  # the driver is still in it
    driver.thaw.set()
    thread.join(2)
    assert not thread.is_alive()
    assert outcome[-1] is None
    assert driver.in_use == 0  # and let go of when it came back


def test_closing_while_it_is_being_opened(driver) -> None:
    driver.scripts["Front"] = ["hang"]
    source = driver.source()
    outcome: list = []

    def open_it() -> None:
        try:
            source.open()
        except CameraFailed as error:
            outcome.append(error)

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    time.sleep(0.05)
    source.close()
    driver.thaw.set()
    thread.join(2)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert driver.in_use == 0


def test_time_out_counts_as_lost_at_once(driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "TIMED_OUT_S", 0.05)
    driver.scripts["Front"] = [*["picture"] * 20, "hang"]
    source = driver.source()
    source.open()
    threading.Timer(0.4, driver.thaw.set).start()
    began = time.monotonic()
    with pytest.raises(CameraLost):
        read_times(source, 100)
    assert time.monotonic() - began < 2
    source.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the group video is Linux's")
def test_no_permission_names_the_group(driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def enumerate_one(backend: int) -> list:
        return [SimpleNamespace(index=0, name="Front", path="/dev/null")]

    monkeypatch.setattr(camera_module.os, "access", lambda path, mode: path != "/dev/null")
    source = CameraSource("", SourceSettings(), enumerator=enumerate_one, open_capture=driver.open)
    with pytest.raises(CameraFailed, match=r"may not use the camera “Front”.*group “video”"):
        source.open()
    assert driver.opened == []
