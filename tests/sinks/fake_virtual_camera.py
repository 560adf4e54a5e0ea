"""A library for virtual cameras without any: what is sent to it can be looked at."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


class Device:
    """What the made-up library has done. ``missing``: why no camera can be opened; ``broken``: why it takes nothing."""

    def __init__(self) -> None:
        self.name = "Made-up Camera"
        self.opened: list[tuple[int, int, float, str]] = []
        self.pictures: list[np.ndarray] = []
        self.closed = 0
        self.missing = ""
        self.broken: Exception | None = None

    def module(self) -> ModuleType:
        device = self

        class PixelFormat:
            BGR = "BGR"

        class Camera:
            def __init__(self, width: int, height: int, fps: float, *, fmt: str) -> None:
                if device.missing:
                    raise RuntimeError(device.missing)
                self.width, self.height = width, height
                device.opened.append((width, height, fps, fmt))

            @property
            def device(self) -> str:
                return device.name

            def send(self, frame: np.ndarray) -> None:
                if device.broken is not None:
                    raise device.broken
                if frame.dtype != np.uint8 or frame.shape != (self.height, self.width, 3):
                    raise ValueError(f"unexpected frame: {frame.dtype} {frame.shape}")
                device.pictures.append(frame.copy())

            def close(self) -> None:
                device.closed += 1

        made: Any = ModuleType("pyvirtualcam")
        made.Camera, made.PixelFormat = Camera, PixelFormat
        return made
