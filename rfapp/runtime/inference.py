"""The inference thread: finds faces in the newest frame, again and again; and what is shown until it has."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rfapp.detector import FaceDetector
from rfapp.errors import EngineFailed, RfappError, SettingsError, UsageError
from rfapp.frames import Detections, Frame
from rfapp.runtime.detectors import Detectors
from rfapp.runtime.following import Follower, hidden_in
from rfapp.runtime.mailbox import Mailbox
from rfapp.runtime.outgoing import hiding_for
from rfapp.runtime.playing import Playing
from rfapp.runtime.screen import screen_picture
from rfapp.runtime.states import Ended, LiveResult, Paused, Running
from rfapp.runtime.statistics import Statistics
from rfapp.text import mark

log = logging.getLogger(__name__)

#: While a detection takes longer than this, every captured frame is shown with the boxes of an older one.
SLOW_S = 0.150


@dataclass(slots=True)
class InferenceEvents:
    """Whom the inference tells what, from several threads."""

    #: Something to show.
    result: Callable[[LiveResult], None]
    #: It can't go on: the error is none of an engine's, for which another could stand in.
    failed: Callable[[RfappError], None]
    #: A film begins.
    film: Callable[[], None]


class Inference:
    """Makes results out of frames; ``detectors`` says with what, *now* says how."""

    def __init__(self, now: Playing, detectors: Detectors, statistics: Statistics, events: InferenceEvents) -> None:
        self._now, self._detectors, self._statistics, self._events = now, detectors, statistics, events
        self._frames: Mailbox[Frame] = Mailbox()
        self._follower = Follower(on_film=events.film)
        self._pace = Pace()
        self._repeat: Frame | None = None
        self._taken_up: Frame | None = None  # the last that was left for the inference thread
        self._previewed: Frame | None = None
        self._detector: FaceDetector | None = None
        self._detecting_since: float | None = None
        self._last_detection: tuple[Frame, Detections] | None = None
        self._last_detect_s = 0.0
        self._closing = threading.Event()
        self.thread = threading.Thread(target=self._run, name="inference", daemon=True)

    # ------------------------------------------------------------------------------ from other threads

    def captured(self, frame: Frame) -> None:
        """Take a frame as the source delivers it. On the capture thread."""
        self._statistics.frame_captured(frame)
        due = self._is_due(frame)
        if self._is_shown_at_once(frame, due):
            # Before it goes to the detector: the frame's own result must come after this one, and stay.
            self._previewed = frame
            self._events.result(self._unfinished(frame))
        if not due:
            return
        self._taken_up = frame
        replaced = self._frames.put(frame)
        if replaced is not None and replaced is not self._repeat:
            self._statistics.frame_dropped(replaced)

    def forget(self) -> None:
        """Another source comes."""
        self._frames.clear()
        self._previewed = self._repeat = self._taken_up = None
        self._last_detection = None

    def clear(self) -> None:
        """Another place of the film comes."""
        self._frames.clear()

    def again(self) -> None:
        """Detect the picture that stands still once more, or else the next one: something about it has changed."""
        self._pace.restart()
        with self._now.lock:
            if not self._frames.full:
                self._repeat_last()

    def rest(self) -> None:
        """The picture stands still: look at it, if it was not its turn when it came."""
        with self._now.lock:
            if self._now.last is not self._taken_up:
                self._repeat_last()

    def _repeat_last(self) -> None:
        frame = self._now.last
        if frame is not None and isinstance(self._now.state, Paused | Ended):
            self._repeat = replace(frame, generation=self._now.generation, captured_at=time.perf_counter())
            self._frames.put(self._repeat)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._frames.close()

    # ------------------------------------------------------------------------------ frames without own detections

    def _is_due(self, frame: Frame) -> bool:
        """Whether *frame* is to be detected; all are but for more than the settings want a second. Pictures that stand
        for themselves, the first one of a film or place, and those that stand still always are."""
        last = self._last_detection
        if self._now.stills or last is None or last[0].generation != frame.generation:
            return True
        if not isinstance(self._now.state, Running):
            return True
        return self._pace.is_due(frame.captured_at, self._now.settings.live.max_rate)

    def _is_shown_at_once(self, frame: Frame, due: bool) -> bool:
        """Whether *frame* is shown with the faces of an earlier one, before it is (or without being) detected."""
        if self._detectors.title is None or self._last_detection is None:
            return True
        if self._now.settings.live.max_rate and self._now.settings.hiding.how != "off":
            return False  # of what was left out on purpose nobody knows which faces came into it
        since = self._detecting_since
        slow = self._last_detect_s > SLOW_S or (since is not None and frame.captured_at - since > SLOW_S)
        return slow or not due

    def _unfinished(self, frame: Frame) -> LiveResult:
        """*frame* with the faces of an earlier one, for while its own are not found yet."""
        last, settings = self._last_detection, self._now.settings
        hidden = self._follower.hidden_at(frame, settings, self._now.shown)
        age = 0.0 if last is None else max(0.0, frame.captured_at - last[0].captured_at)
        return LiveResult(
            frame=frame,
            picture=screen_picture(frame.image, hidden),
            detections=None if last is None else last[1],
            fresh=False,
            age_s=age,
            stale=age > SLOW_S + (1 / settings.live.max_rate if settings.live.max_rate else 0.0),
            detector=self._detectors.title,
            hidden=hidden,
            people=self._follower.people,
            earlier=None if last is None else last[0],
        )

    # ------------------------------------------------------------------------------ the inference thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._detectors.wait()
            frame = self._frames.take()
            if frame is None:
                continue
            detector = self._detectors.take()
            if detector is not self._detector:
                self._detector, self._last_detect_s = detector, 0.0
            if detector is None:
                continue
            try:
                self._detect(detector, frame)
            except _EngineBroke as broken:
                self._start_over()
                self._detectors.broke(broken.error)
            except RfappError as error:
                self._events.failed(error)
            except Exception as error:
                log.exception("detection")
                self._events.failed(EngineFailed(mark("Detection failed: {error}"), error=error))
            self._detecting_since = None

    def _start_over(self) -> None:
        """Until the next detection nothing is known of where faces are, as before the first one."""
        self._detector = None
        self._follower.expect_nothing()
        with self._now.lock:
            self._last_detection = None

    def _detect(self, detector: FaceDetector, frame: Frame) -> None:
        settings = self._now.settings
        network = settings.detector
        repeated = frame is self._repeat
        started = time.perf_counter()
        self._detecting_since = started

        def find(score: float) -> Detections:
            try:
                return detector(
                    frame.image,
                    score=score,
                    nms=network.nms,
                    size=network.size,
                    min_face=network.min_face,
                    second_pass=network.second_pass,
                )
            except (SettingsError, UsageError):  # which no other engine would like better
                raise
            except RfappError as error:
                raise _EngineBroke(error) from error
            except Exception as error:
                log.exception("detection")
                raise _EngineBroke(EngineFailed(mark("Detection failed: {error}"), error=error)) from error

        takers = self._now.takers
        followed = self._follower.find(find, frame, hiding_for(takers, settings), still=self._now.stills)
        detections = followed.faces
        seconds = time.perf_counter() - started
        hidden = hidden_in(followed, settings, self._now.shown)
        for taker in takers:
            wanted = hiding_for([taker], settings)
            taker.detected(frame, detections, settings.drawn, hidden_in(followed, wanted, self._now.shown))
        picture = screen_picture(frame.image, hidden)
        with self._now.lock:
            self._detecting_since = None
            self._last_detect_s = seconds
            if frame.generation != self._now.generation:
                return
            self._last_detection = (frame, detections)
            newest = self._previewed
        if not repeated:
            self._statistics.frame_detected(frame, seconds)
        if newest is not None and newest.captured_at > frame.captured_at and newest.generation == frame.generation:
            # Newer frames were shown meanwhile; going back to this one would make the picture jump.
            self._events.result(self._unfinished(newest))
            return
        self._events.result(
            LiveResult(
                frame,
                picture,
                detections,
                fresh=True,
                detect_s=seconds,
                repeated=repeated,
                detector=self._detectors.title,
                hidden=hidden,
                people=followed.people,
            )
        )


class Pace:
    """Says which frames are looked at so that there are at most so many a second."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let the next frame be due. From any thread."""
        self._next_s = float("-inf")

    def is_due(self, now_s: float, rate: float) -> bool:
        """Whether a frame of the time *now_s* is looked at, at most *rate* a second; with a rate of 0 all are."""
        if not rate:
            return True
        if now_s < self._next_s <= now_s + 1 / rate:
            return False
        # From where it was due on, so that the rate is met on the whole also where it does not divide that of the film.
        due_s = self._next_s if 0 <= now_s - self._next_s < 1 / rate else now_s
        self._next_s = due_s + 1 / rate
        return True


class _EngineBroke(Exception):
    """The detector itself has failed, with *error*."""

    def __init__(self, error: RfappError) -> None:
        super().__init__(error)
        self.error = error
