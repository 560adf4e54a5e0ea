"""Sources to test with: small files made here, and a camera driver that does what a test tells it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from rfapp.settings import SourceSettings
from rfapp.sources.camera import CameraSource


def picture(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A picture that can be told from its neighbours: its grey tells *number*, and its upper left corner is red."""
    image = np.full((height, width, 3), 60 + (number * 16) % 180, np.uint8)
    image[: height // 4, : width // 4] = (0, 0, 255)
    return image


def write_video(
    path: Path,
    ticks: Sequence[int],
    *,
    time_base: Fraction = Fraction(1, 1000),
    size: tuple[int, int] = (96, 64),
    degrees: int = 0,
    pixel: Fraction | None = None,
    hflip: bool = False,
) -> None:
    """An H.264 video with a frame at each of *ticks*, with B-frames and a key frame every 8."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "2", "g": "8", "crf": "12"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        if pixel:
            stream.sample_aspect_ratio = pixel
        if degrees or hflip:
            stream.set_display_rotation(degrees, hflip=hflip)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), "bgr24")
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


class Driver:
    """Stands for the system's camera driver.

    ``plug`` and ``unplug`` cameras as a hand would. Every camera delivers pictures until ``scripts[name]`` says
    otherwise: a list of "picture", "black", "fail", "damaged", "hang" (until ``thaw`` is set) or a number of seconds
    to wait before a picture; its last entry goes on for ever.
    """

    def __init__(self) -> None:
        self.plugged: dict[int, str] = {}
        self.scripts: dict[str, list[str | float]] = {}
        self.thaw = threading.Event()
        self.opened: list[list[int]] = []
        self.refuses: Callable[[Sequence[int]], bool] = lambda parameters: False
        self.black_if: Callable[[Sequence[int]], bool] = lambda parameters: False
        self.in_use = 0

    def plug(self, name: str, number: int) -> None:
        self.plugged[number] = name

    def unplug(self, number: int) -> None:
        del self.plugged[number]

    def enumerate(self, backend: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(index=n, name=name, path="", backend=backend) for n, name in self.plugged.items()]

    def open(self, number: int, backend: int, parameters: Sequence[int]) -> Device:
        self.opened.append(list(parameters))
        return Device(self, number, parameters)

    def source(self, which: str = "") -> CameraSource:
        return CameraSource(which, SourceSettings(), enumerator=self.enumerate, open_capture=self.open)


class Device:
    def __init__(self, driver: Driver, number: int, parameters: Sequence[int]) -> None:
        self.driver, self.number, self.parameters = driver, number, parameters
        self.name = driver.plugged.get(number)
        self.open = self.name is not None and not driver.refuses(parameters)
        self.script = list(driver.scripts.get(self.name or "", ["picture"]))
        self.count = 0
        self.released = 0
        driver.in_use += self.open

    def isOpened(self) -> bool:  # noqa: N802
        return self.open

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.driver.plugged.get(self.number) != self.name:
            return False, None
        act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if act == "fail":
            return False, None
        if act == "damaged":
            raise cv2.error("damaged picture")
        if act == "hang":
            self.driver.thaw.wait()
            return False, None
        self.driver.thaw.wait(act if isinstance(act, float) else 0.002)
        self.count += 1
        if act == "black" or self.driver.black_if(self.parameters):
            return True, np.zeros((48, 64, 3), np.uint8)
        return True, picture(self.count, 64, 48)

    def get(self, prop: int) -> float:
        return float(cv2.VideoWriter.fourcc(*"YUYV")) if prop == cv2.CAP_PROP_FOURCC else 0.0

    def release(self) -> None:
        self.released += 1
        if self.open:
            self.driver.in_use -= 1
        self.open = False


@pytest.fixture
def driver() -> Driver:
    """A camera driver with one camera, "Front", at number 0."""
    driver = Driver()
    driver.plug("Front", 0)
    return driver


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small video: ``make_video("name.mp4", ticks, …)``, see :func:`write_video`; gives its path."""

    def make(name: str, ticks: Sequence[int] = range(0, 1000, 40), **how: object) -> Path:
        write_video(tmp_path / name, ticks, **how)
        return tmp_path / name

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of *count* pictures; gives its path."""

    def make(count: int = 4) -> Path:
        folder = tmp_path / "folder"
        (folder / "inner").mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(folder / f"picture {number + 8}.png"), picture(number))
        cv2.imwrite(str(folder / "inner" / "1.png"), picture(count))
        (folder / "notes.txt").write_text("no picture")
        return folder

    return make
