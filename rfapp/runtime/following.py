"""From what is found in single frames to faces over time, and to what of a picture is not to be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rfapp.frames import Detections, FloatArray, Frame
from rfapp.settings import Settings
from rfapp.sinks.hiding import Hidden
from rfapp.tracking import Seen, Tracker, faint

#: The faces of a picture that reach the score given.
Find = Callable[[float], Detections]
#: Between two detections faces go on moving: what is hidden grows by this part of its size a second.
_GROWS = 1.0
#: An unpainted guess where faces are is good for so long.
_GUESS_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """The faces of a frame; ``tracks`` is None where they are not followed. ``missing``: those that keep their number
    although they were not found. ``cut``: a new scene begins. ``people``: so many were seen so far."""

    faces: Detections
    missing: Detections
    cut: bool = False
    people: int | None = None


def follows(settings: Settings) -> bool:
    """Whether faces are followed: also where they are hidden, so that a face missed for a moment stays so."""
    return settings.tracking.on or settings.hiding.how != "off"


class Follower:
    """Follows the faces of one film after the other. Not for several threads at once, apart from ``people`` and
    ``hidden_at``.

    A film begins with another ``Frame.generation``, and when time goes backwards; its numbers begin with 1.
    """

    def __init__(
        self, on_end: Callable[[Seen], None] = lambda seen: None, on_film: Callable[[], None] = lambda: None
    ) -> None:
        self._on_end, self._on_film = on_end, on_film
        self._tracker: Tracker | None = None
        self._generation = -1
        self._last_s = 0.0
        self._guess: _Guess | None = None

    @property
    def people(self) -> int | None:
        """How many were seen so far; None while faces are not followed."""
        tracker = self._tracker
        return None if tracker is None else tracker.people

    def find(self, find: Find, frame: Frame, settings: Settings, *, still: bool = False) -> Followed:
        """The faces of *frame*, numbered as *settings* want it; not in a picture that stands for itself (*still*)."""
        score = settings.detector.score
        if still or not follows(settings):
            self.finish()
            return Followed(find(score), Detections.empty(landmarks=False))
        found = find(faint(score))
        tracker = self._tracker_for(frame)
        tracker.score, tracker.gap_s = score, settings.tracking.gap
        tracker.smooth = settings.tracking.on and settings.tracking.smooth
        faces = tracker.update(found, frame.time_s, frame.image)
        self._guess = _Guess(frame.time_s, frame.generation, tracker.expected(0.0), tracker.expected(_GUESS_S))
        return Followed(faces, tracker.missing(), tracker.cut, tracker.people)

    def finish(self) -> None:
        """The film is over."""
        tracker, self._tracker, self._guess = self._tracker, None, None
        if tracker is not None:
            tracker.finish()

    def expect_nothing(self) -> None:
        """The next detection is long in coming: what is expected of the faces holds no more. Their numbers stay."""
        self._guess = None

    def hidden_at(self, frame: Frame, settings: Settings, shown: frozenset[int]) -> Hidden | None:
        """What to hide in a *frame* that has not been looked at (yet): all of it where nothing is known of the film.
        *shown*: the numbers of faces that are not hidden. From any thread."""
        if settings.hiding.how == "off":
            return None
        guess = self._guess
        if guess is None or guess.generation != frame.generation:
            return Hidden(None, settings.hiding)
        return Hidden(guess.boxes_at(frame.time_s, shown), settings.hiding)

    def _tracker_for(self, frame: Frame) -> Tracker:
        other = frame.generation != self._generation or frame.time_s < self._last_s
        self._generation, self._last_s = frame.generation, frame.time_s
        if self._tracker is None or other:
            self.finish()
            self._tracker = Tracker(0.5, on_end=self._on_end)
            self._on_film()
        return self._tracker


@dataclass(frozen=True, slots=True, eq=False)
class _Guess:
    """Where faces are just after a frame: their boxes in it, and half a second later if nothing changes."""

    time_s: float
    generation: int
    now: Detections
    later: Detections

    def boxes_at(self, time_s: float, shown: frozenset[int]) -> FloatArray:
        passed = min(max(time_s - self.time_s, 0.0), _GUESS_S)
        boxes = self.now.boxes + (self.later.boxes - self.now.boxes) * (passed / _GUESS_S)
        grown = (boxes[:, 2:] - boxes[:, :2]) * (_GROWS * passed / 2)
        return np.concatenate([boxes[:, :2] - grown, boxes[:, 2:] + grown], axis=1)[_not_in(self.now, shown)]


def hidden_in(followed: Followed, settings: Settings, shown: frozenset[int] = frozenset()) -> Hidden | None:
    """What to hide in the very frame in which faces were *followed*; None while nothing is hidden."""
    if settings.hiding.how == "off":
        return None
    rows, missing = (_not_in(faces, shown) for faces in (followed.faces, followed.missing))
    boxes = np.concatenate([followed.faces.boxes[rows], followed.missing.boxes[missing]])
    return Hidden(boxes, settings.hiding, rows)


def _not_in(faces: Detections, shown: frozenset[int]) -> npt.NDArray[np.bool_]:
    """Which of *faces* have no number in *shown*."""
    if faces.tracks is None:
        return np.ones(len(faces), np.bool_)
    return ~np.isin(faces.tracks, list(shown))
