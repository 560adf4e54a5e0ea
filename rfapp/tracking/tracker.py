"""Stable numbers for faces over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage, Detections, FloatArray
from rfapp.tracking.assignment import assign
from rfapp.tracking.cuts import CutFinder
from rfapp.tracking.motion import Motion, centred
from rfapp.tracking.smoothing import Numbers, Smoothing

Rows = npt.NDArray[np.intp]

#: People are counted once they were seen for so long: what flashes up is hardly ever a face.
COUNTED_S = 0.5
#: For comparison boxes grow by this part of their size to each side, so that a quick face still meets its own box
#: (Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances?", WACV 2023), and by so much
#: more for each second in which the face was not found, up to a limit.
_GROWN, _GROWN_A_SECOND, _GROWN_MOST = 0.3, 0.5, 0.7
#: The overlap (intersection over union) from which on a found box may belong to a face.
_OVERLAP, _OVERLAP_FAINT = 0.1, 0.3
#: Of two faces the one that was seen last is preferred, by so much overlap for each second.
_PATIENCE = 0.2
#: What it costs to leave a face without a box: as much as an overlap that is just too small.
_ALONE = 1 - _OVERLAP
#: Frames that are closer than this are one frame, seen twice.
_SHORTEST_S = 1e-4


def faint(score: float) -> float:
    """The score with which a face that is followed already may be found, where a new one needs *score*."""
    return max(0.02, 0.5 * score)


@dataclass(frozen=True, slots=True)
class Seen:
    """When one face was seen: times on the source's clock, in seconds. ``seen_s`` leaves out the gaps."""

    track: int
    first_s: float
    last_s: float
    seen_s: float
    frames: int


def counted(faces: Iterable[Seen]) -> int:
    """How many of *faces* count as people: those that were seen for half a second."""
    return sum(seen.seen_s >= COUNTED_S for seen in faces)


class Tracker:
    """Gives the faces of a film numbers that stay, from 1 on.

    Called with every frame in order. Faces are matched with where they should be by now (constant speed) by the
    overlap of their boxes: first those found with at least *score*, then, with faces that would otherwise be lost,
    fainter ones (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022);
    so what is handed over should have been found with ``faint(score)``. A face that is not found keeps its number for
    *gap_s* seconds. With a new scene, or when time goes backwards, all faces end. *smooth*: boxes and landmarks come
    back without their jitter. *on_end* is told of every face whose time is over. Not for several threads at once.
    """

    def __init__(
        self,
        score: float,
        *,
        smooth: bool = True,
        gap_s: float = 1.0,
        on_end: Callable[[Seen], None] = lambda seen: None,
    ) -> None:
        self.score, self.smooth, self.gap_s = score, smooth, gap_s
        #: Whether a new scene began with the last frame.
        self.cut = False
        #: How many faces were seen for at least half a second so far.
        self.people = 0
        self._on_end = on_end
        self._cuts = CutFinder()
        self._last_s: float | None = None
        self._next = 1
        self._faces = _Faces.found(Detections.empty(), np.zeros(0, np.int64), 0.0)

    def update(self, found: Detections, time_s: float, image: ByteImage | None = None) -> Detections:
        """The faces of a frame with their numbers: those *found* with at least the tracker's score, and the fainter
        ones that belong to a face. *time_s*: on the source's clock. *image* (uint8 BGR) shows where scenes end.

        The frame may be the same as last time, found anew with other settings.
        """
        before, self._last_s = self._last_s, time_s
        again = before is not None and abs(time_s - before) <= _SHORTEST_S
        self.cut = (image is not None and self._cuts.is_cut(image, time_s)) or (before is not None and time_s < before)
        if self.cut and not again:
            self.finish()
        passed = 0.0 if before is None else max(0.0, time_s - before)
        self._keep(time_s - self._faces.last_s <= self.gap_s)
        faces = self._faces
        missed = time_s - faces.last_s > passed + _SHORTEST_S
        faces.motion.predict(passed, missed)

        certain = found.scores >= self.score
        pairs = self._matched(found, np.flatnonzero(certain), np.arange(len(faces)), time_s)
        waiting = ~missed
        waiting[pairs[:, 0]] = False
        if waiting.any():
            pairs = np.concatenate([pairs, self._matched_faint(found, np.flatnonzero(~certain), waiting.nonzero()[0])])
        rows, indices = pairs.T
        faces.correct(rows, found[indices], time_s, np.where(missed[rows], 0.0, passed))
        self.people += faces.newly_counted()
        certain[indices] = False
        new = np.flatnonzero(certain)
        self._add(found[new], time_s)
        rows = np.concatenate([rows, np.arange(len(faces), len(faces) + len(new))])
        return self._numbered(found, rows, np.concatenate([indices, new]))

    def missing(self) -> Detections:
        """The faces that keep their number although they were not found in the last frame, with the score they had when
        they were found, in no order. Their boxes reach from where they were found to where they should be."""
        rows = self._faces.last_s < (self._last_s or 0.0) - _SHORTEST_S
        faces = self._expected(rows)
        last = self._faces.smoothing.last_boxes()[rows]
        hull = np.minimum(faces.boxes[:, :2], last[:, :2]), np.maximum(faces.boxes[:, 2:], last[:, 2:])
        boxes = np.concatenate(hull, axis=1).astype(np.float32)
        return Detections(boxes, faces.scores, None, faces.tracks)

    def expected(self, seconds: float) -> Detections:
        """All faces that keep their number, where they should be *seconds* after the last frame, in no order."""
        return self._expected(np.ones(len(self._faces), np.bool_), seconds)

    def finish(self) -> None:
        """All faces end; whoever appears from now on gets a new number."""
        self._keep(np.zeros(len(self._faces), np.bool_))

    def reset(self) -> None:
        """As after a seek: what comes has nothing to do with what was. Numbers and the count of people go on."""
        self.finish()
        self._cuts.reset()
        self._last_s = None

    # ------------------------------------------------------------------------------ one frame

    def _matched(self, found: Detections, candidates: Rows, rows: Rows, time_s: float) -> Rows:
        """Pairs (row of a face, index in *found*) of faces *rows* and *candidates*, as an array P×2."""
        gap = (time_s - self._faces.last_s[rows])[:, None]
        grown = np.minimum(_GROWN + _GROWN_A_SECOND * gap, _GROWN_MOST)
        overlaps = _overlaps(self._faces.motion.place[rows], centred(found.boxes[candidates]), grown)
        # Patience decides between faces; it does not keep one that was away for long from its own box.
        costs = np.where(overlaps > _OVERLAP, np.minimum(1 - overlaps + _PATIENCE * gap, 0.999 * _ALONE), np.inf)
        return _pairs(rows, candidates, costs)

    def _matched_faint(self, found: Detections, candidates: Rows, rows: Rows) -> Rows:
        overlaps = _overlaps(self._faces.motion.place[rows], centred(found.boxes[candidates]), 0.0)
        return _pairs(rows, candidates, np.where(overlaps > _OVERLAP_FAINT, 1 - overlaps, np.inf))

    def _add(self, found: Detections, time_s: float) -> None:
        numbers = np.arange(self._next, self._next + len(found), dtype=np.int64)
        self._next += len(found)
        if len(found):
            self._faces = self._faces.joined(_Faces.found(found, numbers, time_s))

    def _numbered(self, found: Detections, rows: Rows, indices: Rows) -> Detections:
        """The faces *rows*, which are *indices* in *found*, best first."""
        order = np.argsort(indices, kind="stable")  # as in *found*, where they are in the order of their scores
        rows, indices = rows[order], indices[order]
        faces = found[indices]
        boxes, landmarks = faces.boxes, faces.landmarks
        if self.smooth:
            points = self._faces.smoothing.points[rows]
            half = points[:, 1] / 2
            boxes = np.concatenate([points[:, 0] - half, points[:, 0] + half], axis=1).astype(np.float32)
            landmarks = None if landmarks is None else points[:, 2:].astype(np.float32)
        return Detections(boxes, faces.scores, landmarks, self._faces.numbers[rows])

    def _expected(self, rows: npt.NDArray[np.bool_], seconds: float = 0.0) -> Detections:
        faces = self._faces
        return Detections(faces.motion.boxes(seconds)[rows], faces.scores[rows], None, faces.numbers[rows])

    def _keep(self, rows: npt.NDArray[np.bool_]) -> None:
        if rows.all():
            return
        for row in np.flatnonzero(~rows):
            self._on_end(self._faces.seen(int(row)))
        self._faces = self._faces.picked(rows)


_PLAIN = ("numbers", "first_s", "last_s", "seen_s", "frames", "counted", "scores")


@dataclass(slots=True)
class _Faces:
    """The faces that are being followed, one a row of each array."""

    numbers: npt.NDArray[np.int64]
    first_s: Numbers
    last_s: Numbers
    seen_s: Numbers
    frames: npt.NDArray[np.int64]
    counted: npt.NDArray[np.bool_]
    scores: FloatArray
    motion: Motion
    smoothing: Smoothing

    @classmethod
    def found(cls, faces: Detections, numbers: npt.NDArray[np.int64], time_s: float) -> _Faces:
        count = len(faces)
        return cls(
            numbers=numbers,
            first_s=np.full(count, time_s),
            last_s=np.full(count, time_s),
            seen_s=np.zeros(count),
            frames=np.ones(count, np.int64),
            counted=np.zeros(count, np.bool_),
            scores=faces.scores.copy(),
            motion=Motion(faces.boxes),
            smoothing=Smoothing(_points(faces)),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def correct(self, rows: Rows, found: Detections, time_s: float, seen_s: Numbers) -> None:
        """The faces *rows* were *found* at *time_s*, having been seen for *seen_s* seconds more."""
        passed = time_s - self.last_s[rows]
        moved = passed > _SHORTEST_S
        points = _points(found)
        self.motion.correct(rows, found.boxes)
        self.smoothing.follow(rows[moved], points[moved], passed[moved])
        self.smoothing.jump(rows[~moved], points[~moved])
        self.last_s[rows] = time_s
        self.seen_s[rows] += seen_s
        self.frames[rows] += moved
        self.scores[rows] = found.scores

    def newly_counted(self) -> int:
        """How many were just seen for long enough to be counted."""
        ripe = ~self.counted & (self.seen_s >= COUNTED_S)
        self.counted |= ripe
        return int(ripe.sum())

    def seen(self, row: int) -> Seen:
        return Seen(
            track=int(self.numbers[row]),
            first_s=float(self.first_s[row]),
            last_s=float(self.last_s[row]),
            seen_s=float(self.seen_s[row]),
            frames=int(self.frames[row]),
        )

    def picked(self, rows: npt.NDArray[np.bool_]) -> _Faces:
        plain = {name: getattr(self, name)[rows] for name in _PLAIN}
        return _Faces(**plain, motion=self.motion.picked(rows), smoothing=self.smoothing.picked(rows))

    def joined(self, other: _Faces) -> _Faces:
        plain = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _PLAIN}
        return _Faces(
            **plain, motion=self.motion.joined(other.motion), smoothing=self.smoothing.joined(other.smoothing)
        )


def _points(faces: Detections) -> Numbers:
    """N×7×2: the centre of the box, its width and height, and the landmarks (zeros where there are none)."""
    box = centred(faces.boxes).reshape(-1, 2, 2)
    landmarks = np.zeros((len(faces), 5, 2)) if faces.landmarks is None else faces.landmarks.astype(np.float64)
    return np.concatenate([box, landmarks], axis=1)


def _pairs(rows: Rows, columns: Rows, costs: Numbers) -> Rows:
    found = np.array(assign(costs, _ALONE), np.intp).reshape(-1, 2)
    return np.stack([rows[found[:, 0]], columns[found[:, 1]]], axis=1)


def _overlaps(first: Numbers, second: Numbers, grown: Numbers | float) -> Numbers:
    """Intersection over union of boxes N×4 and M×4 (centre, width, height), N×M. *grown*: by this part of their size
    they reach further to each side, one number for each row or for all."""
    far = 1 + 2 * np.broadcast_to(np.asarray(grown, np.float64), (len(first), 1))
    wide_1, tall_1 = first[:, 2:3] * far, first[:, 3:4] * far
    wide_2, tall_2 = second[:, 2] * far, second[:, 3] * far
    apart = np.abs(first[:, None, :2] - second[None, :, :2])
    across = np.minimum(np.minimum(wide_1, wide_2), (wide_1 + wide_2) / 2 - apart[:, :, 0])
    down = np.minimum(np.minimum(tall_1, tall_2), (tall_1 + tall_2) / 2 - apart[:, :, 1])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    return np.asarray(shared / np.maximum(wide_1 * tall_1 + wide_2 * tall_2 - shared, 1e-12))
