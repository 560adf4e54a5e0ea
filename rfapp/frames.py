"""The two things that flow through rfapp: a :class:`Frame` in, :class:`Detections` out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    ``image`` is uint8 BGR, shape (height, width, 3), C-contiguous; it is made read-only here, because capture,
    detection, painting and recording all look at the same array from different threads.
    ``index`` counts the frames of the source from 0. ``time_s`` is the time on the source's own clock, in seconds.
    ``captured_at`` is ``time.perf_counter()`` at the moment the read returned.
    ``generation`` is one more after every seek or change of source: what was made for an older one is thrown away.
    """

    image: ByteImage
    index: int
    time_s: float
    captured_at: float
    generation: int = 0

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a frame is uint8 height × width × 3, not {image.dtype} {image.shape}")
        if not image.flags.c_contiguous:
            raise ValueError("a frame's image must be C-contiguous")
        image.flags.writeable = False

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The faces of one picture, best first.

    ``boxes``: float32 N×4, x1, y1, x2, y2 in pixels of the picture as it was given; they may reach beyond its edge.
    ``scores``: float32 N, falling. ``landmarks``: float32 N×5×2 (left eye, right eye, nose, left and right corner of
    the mouth, as seen in the picture), or None for a model without them. ``tracks``: int64 N, or None.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray | None = None
    tracks: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.scores.ndim != 1 or self.boxes.shape != (count, 4):
            raise ValueError(f"boxes {self.boxes.shape} and scores {self.scores.shape} do not belong together")
        if self.landmarks is not None and self.landmarks.shape != (count, 5, 2):
            raise ValueError(f"landmarks must be {count}×5×2, not {self.landmarks.shape}")
        if self.tracks is not None and self.tracks.shape != (count,):
            raise ValueError(f"tracks must be {count} numbers, not {self.tracks.shape}")

    @classmethod
    def empty(cls, *, landmarks: bool = True) -> Detections:
        """No face at all."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, 5, 2), np.float32) if landmarks else None,
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | npt.NDArray[Any] | list[int]) -> Detections:
        """The faces that *rows* picks: a slice, a mask, or a list of indices."""
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            None if self.landmarks is None else self.landmarks[rows],
            None if self.tracks is None else self.tracks[rows],
        )

    def clipped(self, width: int, height: int) -> Detections:
        """The same faces with boxes cut at the edges of a *width* × *height* picture (landmarks stay)."""
        limit = np.array([width, height, width, height], np.float32)
        boxes = np.clip(self.boxes, np.float32(0), limit)
        return Detections(boxes, self.scores, self.landmarks, self.tracks)

    def to_dict(self) -> dict[str, Any]:
        """``{"faces": [{"box", "score", "landmarks", "track"}, …]}`` in plain numbers, as written to JSON.

        Coordinates keep two decimals (a hundredth of a pixel), scores four.
        """
        faces = []
        for row in range(len(self)):
            points = None if self.landmarks is None else self.landmarks[row]
            faces.append(
                {
                    "box": [round(float(v), 2) for v in self.boxes[row]],
                    "score": round(float(self.scores[row]), 4),
                    "landmarks": None
                    if points is None
                    else [[round(float(x), 2), round(float(y), 2)] for x, y in points],
                    "track": None if self.tracks is None else int(self.tracks[row]),
                }
            )
        return {"faces": faces}
