"""What every engine promises: uint8 frames in, the few rows above the score threshold out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The rows of one picture whose face score is above the threshold, in no particular order.

    ``priors``: int64 K, which prior each row belongs to. ``scores``: float32 K. ``boxes``: float32 K×4 and
    ``landmarks``: float32 K×10 (or None), the network's raw deltas. ``anchors``: float32 K×4 for networks that refine
    their priors, None where the cached prior of that index holds.
    """

    priors: npt.NDArray[np.int64]
    scores: FloatArray
    boxes: FloatArray
    landmarks: FloatArray | None
    anchors: FloatArray | None = None


class Engine(ABC):
    """One network on one device in one precision.

    ``name`` ("torch") and ``version`` of the library, ``device`` ("cpu", "cuda:0"), ``precision`` ("bfloat16"),
    ``device_title`` ("CPU" or the name of the graphics card) tell what runs, ``threads`` how many processor threads
    it uses. ``batch`` is how many pictures a call should be given at most. ``notes`` are sentences for the user about
    what runs otherwise than asked for, and why. All calls come from one thread at a time.
    """

    name: str
    version: str
    device: str
    device_title: str
    precision: str
    threads: int
    batch: int = 1
    notes: tuple[str, ...] = ()

    @abstractmethod
    def candidates(self, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        """Run the network over *images*: uint8 BGR, all H×W×3 of one size, H and W multiples of 32.

        Returns one :class:`Candidates` per image with the rows scoring above *score*. Raises EngineError.
        """

    def expect(self, size: tuple[int, int]) -> None:  # noqa: B027 - few engines have anything to prepare
        """Many pictures of *size* (height, width) will come: prepare now what else would be prepared among them.

        Raises EngineError.
        """

    @abstractmethod
    def network_alone(self, image: ByteImage) -> Callable[[], None]:
        """For measurements: a call runs nothing but the network, over *image* (as :meth:`candidates` takes it), which
        has been handed over already."""

    @abstractmethod
    def close(self) -> None:
        """Free the device's memory. Twice is allowed."""
