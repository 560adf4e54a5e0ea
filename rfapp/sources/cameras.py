"""Which cameras there are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

#: OpenCV's numbers of the system interfaces to cameras, by the word in the settings.
DRIVERS = {"v4l2": 200, "dshow": 700, "avfoundation": 1200, "msmf": 1400}

#: Lists the cameras of one interface (OpenCV's number): things with ``index``, ``name`` and ``path``.
Enumerator = Callable[[int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. ``name`` is unique: the second of two twins is "Name (2)".

    ``number`` is what its interface ``backend`` (OpenCV's number) opens it by: on Linux the N of ``/dev/videoN``.
    The numbers of two interfaces have nothing to do with one another, so the two belong together.
    ``path`` is the device's file or system path, where there is one.
    """

    name: str
    number: int
    backend: int
    path: str = ""

    @property
    def address(self) -> str:
        """What :func:`rfapp.sources.open_source` opens it by."""
        return f"camera:{self.name}"


def driver_number(driver: str) -> int:
    """OpenCV's number for *driver* as in the settings; "auto" is the one that works best on this system."""
    if driver in DRIVERS:
        return DRIVERS[driver]
    # Media Foundation opens slowly; DirectShow keeps to the size that it is asked for.
    return DRIVERS[{"win32": "dshow", "darwin": "avfoundation"}.get(sys.platform, "v4l2")]


def list_cameras(driver: str = "auto", *, enumerator: Enumerator | None = None) -> list[Camera]:
    """The cameras that can deliver pictures, by number. *driver* as in the settings. Takes some milliseconds."""
    backend = driver_number(driver)
    found = sorted((enumerator or _enumerate)(backend), key=lambda camera: int(camera.index))
    cameras: list[Camera] = []
    seen: dict[str, int] = {}
    for item in found:
        name = str(item.name or "").strip() or f"Camera {item.index}"
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        cameras.append(Camera(unique, int(item.index), backend, str(item.path or "")))
    return cameras


def _enumerate(backend: int) -> Iterable[Any]:
    import cv2_enumerate_cameras

    if backend not in cv2_enumerate_cameras.supported_backends:
        return []
    return cv2_enumerate_cameras.enumerate_cameras(backend)
