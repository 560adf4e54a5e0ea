"""Several sizes, the mirrored picture, and box voting: slower, and better than any single pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rfapp.frames import ByteImage, Detections, FloatArray
from rfapp.postprocess import overlaps
from rfapp.settings import Size

#: Finds faces in a picture scaled to a long side.
Detect = Callable[[ByteImage, Size], Detections]

#: Long sides in pixels. At each one only faces of fitting size are kept: at small ones large faces, at large ones small
#: ones, since there a face is outside of what the priors cover.
SCALES: tuple[tuple[Size, float, float], ...] = (
    (320, 96.0, np.inf),
    (640, 24.0, np.inf),
    ("original", 0.0, np.inf),
    (1536, 0.0, 256.0),
    (2048, 0.0, 160.0),
)
VOTE_OVERLAP = 0.5


def detect_multiscale(detect: Detect, image: ByteImage) -> Detections:
    """Faces of *image*, in its own pixels, voted over :data:`SCALES` and the mirrored picture. No landmarks."""
    boxes, scores = [], []
    mirrored = np.ascontiguousarray(image[:, ::-1])
    width = image.shape[1]
    for size, smallest, largest in SCALES:
        for picture, flip in ((image, False), (mirrored, True)):
            faces = detect(picture, size)
            found = faces.boxes.copy()
            if flip:
                found[:, [0, 2]] = width - found[:, [2, 0]]
            sides = (found[:, 2:] - found[:, :2]).max(axis=1, initial=0.0) if len(found) else np.zeros(0)
            fits = (sides >= smallest) & (sides <= largest)
            boxes.append(found[fits])
            scores.append(faces.scores[fits])
    return vote(np.concatenate(boxes), np.concatenate(scores))


def vote(boxes: FloatArray, scores: FloatArray, overlap: float = VOTE_OVERLAP) -> Detections:
    """Boxes that overlap the best one by *overlap* or more become one: the mean weighted by score, with the highest
    score (Gidaris & Komodakis, 2015; as SRN and other face detectors use it)."""
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order].astype(np.float64), scores[order].astype(np.float64)
    kept_boxes, kept_scores = [], []
    while len(boxes):
        same = overlaps(boxes[0], boxes) >= overlap
        same[0] = True
        weights = scores[same]
        kept_boxes.append((boxes[same] * weights[:, None]).sum(axis=0) / weights.sum())
        kept_scores.append(scores[0])
        boxes, scores = boxes[~same], scores[~same]
    return Detections(
        np.array(kept_boxes, np.float32).reshape(-1, 4), np.array(kept_scores, np.float32), landmarks=None
    )
