"""The live pipeline: capture on one thread, detection on another, and never a queue between them.

::

    Source.read ─ Frame ─▶ Mailbox ─▶ FaceDetector ─ LiveResult ─▶ whoever subscribed
    capture thread        (one slot)  inference thread
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rfapp.detector import FaceDetector
from rfapp.errors import CameraFailed, EngineFailed, RfappError
from rfapp.frames import Detections, Frame
from rfapp.runtime.capture import Capture, CaptureEvents
from rfapp.runtime.following import Follower, hidden_in
from rfapp.runtime.loader import DetectorLoader, MakeDetector, same_network
from rfapp.runtime.mailbox import Mailbox
from rfapp.runtime.recorder import Recorder, Recording, hiding_for
from rfapp.runtime.screen import screen_picture
from rfapp.runtime.states import (
    DetectorTitle,
    Ended,
    Failed,
    Idle,
    LiveResult,
    Opening,
    Paused,
    Running,
    State,
)
from rfapp.runtime.statistics import Statistics
from rfapp.runtime.subscribers import Subscribers
from rfapp.settings import DetectorSettings, Settings, SourceSettings
from rfapp.sources import Source, open_source
from rfapp.text import mark

log = logging.getLogger(__name__)

#: While a detection takes longer than this, every captured frame is shown with the boxes of an older one.
SLOW_S = 0.150
#: A live source that delivers nothing for STALLED_S is said to have stalled; after ABANDONED_S its thread is given up
#: and it is opened again (OpenCV's own time limit for a camera is 10 s). Opening may take OPENING_S.
STALLED_S, ABANDONED_S, OPENING_S = 3.0, 12.0, 30.0

MakeSource = Callable[[], Source]


class LivePipeline:
    """Plays one source after the other and finds the faces in them.

    *source*: an address as in :func:`rfapp.sources.open_source`, or a function that makes a new Source, or None.
    Every method but ``close`` returns at once; what comes of it is told as a state. The callbacks given to
    ``subscribe`` run on worker threads and must not block; an exception in one ends as ``Failed``.
    """

    def __init__(
        self,
        source: str | MakeSource | None,
        settings: Settings,
        *,
        make_detector: MakeDetector = FaceDetector.from_settings,
    ) -> None:
        self._settings = settings
        self._source = source
        self._subscribers = Subscribers()
        self._lock = threading.RLock()
        self._state: State = Idle()
        self._generation = 0
        self._capture: Capture | None = None
        self._stalled: CameraFailed | None = None
        self._frames: Mailbox[Frame] = Mailbox()
        self._last_frame: Frame | None = None
        self._previewed: Frame | None = None
        self._times: deque[float] = deque(maxlen=1_000)  # of the frames that were shown, for steps back
        self._repeat: Frame | None = None
        self._detector: FaceDetector | None = None
        self._detector_for: DetectorSettings | None = None
        self._title: DetectorTitle | None = None
        self._new_detector: tuple[DetectorSettings, FaceDetector] | None = None
        self._detector_there = threading.Event()
        self._loader = DetectorLoader(make_detector, self._detector_ready, self._detector_failed, self._picture_size)
        self._detecting_since: float | None = None
        self._last_detection: tuple[Frame, Detections] | None = None
        self._last_detect_s = 0.0
        self._follower = Follower(on_film=self._show_nobody)
        self._shown: frozenset[int] = frozenset()
        self._recorder: Recorder | None = None
        self._asleep = False
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._detect, name="inference", daemon=True),
            threading.Thread(target=self._watch, name="watch-dog", daemon=True),
            self._loader.thread,
        ]
        self.statistics = Statistics()

    # ------------------------------------------------------------------------------ for whoever watches

    def subscribe(
        self,
        on_result: Callable[[LiveResult], None] | None = None,
        on_state: Callable[[State], None] | None = None,
        on_error: Callable[[RfappError], None] | None = None,
        on_recorded: Callable[[Recording], None] | None = None,
    ) -> Callable[[], None]:
        """Be told of results, states, errors that do not end anything, and recordings that have ended. Returns a
        function that ends it."""
        return self._subscribers.add(on_result, on_state, on_error, on_recorded)

    @property
    def state(self) -> State:
        return self._state

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def generation(self) -> int:
        """Results of a smaller generation are of a source or a place that was left."""
        return self._generation

    @property
    def loading(self) -> str | None:
        """The model that is being loaded beside the running one, or None."""
        return self._loader.loading

    @property
    def detector(self) -> DetectorTitle | None:
        """What finds the faces just now; None before the first model is ready."""
        return self._title

    @property
    def recording(self) -> Recording | None:
        """How far the recording that is under way is; None while nothing is recorded."""
        recorder = self._recorder
        return None if recorder is None else recorder.state

    @property
    def shown_faces(self) -> frozenset[int]:
        """The numbers of the faces that are not hidden while others are."""
        return self._shown

    # ------------------------------------------------------------------------------ commands

    def start(self) -> None:
        """Start the threads and open the source that was given."""
        for thread in self._threads:
            thread.start()
        if self._source is not None:
            self.open(self._source)

    def open(self, source: str | MakeSource, *, title: str | None = None) -> None:
        """Leave the present source and open another one."""
        with self._lock:
            self._source = source
            self._leave()
            self._start_capture(title or (source if isinstance(source, str) else mark("source")))
            self._want_detector()

    def pause(self) -> None:
        """Hold the picture."""
        with self._lock:
            if self._capture is not None:
                self._capture.pause()

    def resume(self) -> None:
        """Go on; from the start when the end was reached."""
        with self._lock:
            if self._capture is None:
                if self._source is not None:
                    self.open(self._source)
            elif isinstance(self._state, Failed):
                self.open(self._source or "")
            elif isinstance(self._state, Ended):
                self._capture.resume()
                if self._state.info.seekable:
                    self.seek(0.0)
                else:
                    self.open(self._source or "")
            else:
                self._capture.resume()

    def seek(self, time_s: float) -> None:
        """Go to *time_s* on the source's clock; nothing happens where the source can't."""
        with self._lock:
            info = None if self._capture is None else self._capture.info
            if self._capture is not None and info is not None and info.seekable:
                self._generation += 1
                self._frames.clear()
                self._capture.seek(time_s, self._generation)

    def step(self, direction: int) -> None:
        """Hold the picture and go to the next one (1), or in a file to the one before (-1)."""
        with self._lock:
            capture, frame = self._capture, self._last_frame
            info = None if capture is None else capture.info
            if capture is None or info is None or info.live:
                return
            if direction > 0:
                capture.step()
            elif frame is not None and info.seekable:
                capture.pause()
                # A seek leads to the first frame at or after its time: a bit less finds it in any case.
                before = [time_s for time_s in self._times if 0 < frame.time_s - time_s < 0.5]
                usual = frame.time_s - 1 / (info.rate or 25.0)
                self.seek(max(0.0, max(before, default=usual) - 0.25 / (info.rate or 25.0)))

    def apply(self, settings: Settings) -> None:
        """Use *settings* from the next frame on. While the picture stands still it is detected again."""
        with self._lock:
            before, self._settings = self._settings, settings
            capture = self._capture
            if capture is not None:
                capture.set_loop(settings.source.loop)
                capture.set_speed(settings.source.speed)
                self._want_detector()
                if capture.info is not None and capture.info.live and _reopens(before.source, settings.source):
                    self.open(self._source or "")
            if (before.detector, before.tracking, before.hiding) != (
                settings.detector,
                settings.tracking,
                settings.hiding,
            ):
                self._detect_again()

    def show_face(self, track: int, shown: bool) -> None:
        """Do not hide the face with the number *track*, or hide it again. A new film forgets it."""
        with self._lock:
            self._shown = self._shown | {track} if shown else self._shown - {track}
            self._detect_again()

    def record(self, path: Path) -> None:
        """Record from the next frame on what is played, as the settings want it, to the video *path*, and the faces to
        a .jsonl file beside it. It ends with the source, with ``stop_recording``, or when it can't be gone on with."""
        with self._lock:
            self.stop_recording()
            info = None if self._capture is None else self._capture.info
            rate = None if info is None else info.rate
            self._recorder = Recorder(path, self._settings.recording.content, rate=rate, on_end=self._recorded)

    def stop_recording(self) -> None:
        """Complete the recording; that it is complete is told to who subscribed."""
        recorder = self._recorder
        if recorder is not None:
            recorder.stop()

    def _recorded(self, recording: Recording) -> None:
        """On the recorder's thread."""
        with self._lock:
            if self._recorder is not None and self._recorder.path == recording.path:
                self._recorder = None
        self._fail(self._subscribers.recorded(recording))

    def _show_nobody(self) -> None:
        self._shown = frozenset()

    def sleep(self, asleep: bool) -> None:
        """While nobody looks, frames go by without being detected or told; a file plays on."""
        with self._lock:
            woken = self._asleep and not asleep
            self._asleep = asleep
            if woken:
                self._detect_again()

    def stop(self) -> None:
        """Leave the source; models stay loaded."""
        with self._lock:
            self._leave()
            self._tell_state(Idle())

    def close(self, timeout: float = 2.0) -> bool:
        """End all threads, waiting up to *timeout* seconds. False when one hangs in a driver and is left behind."""
        deadline = time.monotonic() + timeout
        with self._lock:
            capture, recorder = self._capture, self._recorder
            self._leave()
            self._subscribers.clear()
        self._closing.set()
        self._detector_there.set()
        self._frames.close()
        self._loader.close()
        threads = [*self._threads, *(part.thread for part in (capture, recorder) if part is not None)]
        for thread in threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        hanging = [thread.name for thread in threads if thread.is_alive()]
        if hanging:
            log.warning("left behind: %s", ", ".join(hanging))
        elif self._detector is not None:
            self._detector.close()
        return not hanging

    # ------------------------------------------------------------------------------ the source

    def _leave(self) -> None:
        self._generation += 1
        self.stop_recording()
        if self._capture is not None:
            self._capture.close()
            self._capture = None
        self._frames.clear()
        self._last_frame = self._previewed = self._repeat = self._stalled = None
        self._last_detection = None
        self._times.clear()

    def _start_capture(self, title: str, *, after: RfappError | None = None, paused: bool = False) -> None:
        source = self._source
        make = self._open_address if isinstance(source, str) else source
        if make is None:
            return
        self._capture = Capture(
            make,
            title,
            CaptureEvents(self._captured, self._capture_state, self._capture_problem),
            generation=self._generation,
            loop=self._settings.source.loop,
            speed=self._settings.source.speed,
            paused=paused,
            after=after,
        )
        self._capture.start()

    def _open_address(self) -> Source:
        return open_source(str(self._source), self._settings.source)

    def _captured(self, capture: Capture, frame: Frame) -> None:
        """On the capture thread."""
        with self._lock:
            if capture is not self._capture or frame.generation != self._generation:
                return
            self._last_frame = frame
            self._times.append(frame.time_s)
            if self._stalled is not None and capture.info is not None:
                self._stalled = None
                self._tell_state(Running(capture.info))
            recorder = self._recorder
            asleep = self._asleep and recorder is None
        if asleep:
            return
        if recorder is not None:
            recorder.captured(frame)
        self.statistics.frame_captured(frame)
        since = self._detecting_since
        slow = self._last_detect_s > SLOW_S or (since is not None and frame.captured_at - since > SLOW_S)
        if self._detector is None or slow or self._last_detection is None:
            # Before it goes to the detector: the frame's own result must come after this one, and stay.
            self._previewed = frame
            self._tell_result(self._unfinished(frame))
        replaced = self._frames.put(frame)
        if replaced is not None and replaced is not self._repeat:
            self.statistics.frame_dropped(replaced)

    def _unfinished(self, frame: Frame) -> LiveResult:
        """*frame* with the faces of an earlier one, for while its own are not found yet."""
        last = self._last_detection
        hidden = self._follower.hidden_at(frame, self._settings, self._shown)
        return LiveResult(
            frame=frame,
            picture=screen_picture(frame.image, hidden),
            detections=None if last is None else last[1],
            fresh=False,
            age_s=0.0 if last is None else max(0.0, frame.captured_at - last[0].captured_at),
            detector=self._title,
            hidden=hidden,
            people=self._follower.people,
        )

    def _capture_state(self, capture: Capture, state: State) -> None:
        with self._lock:
            if capture is not self._capture:
                return
            self._stalled = None
            if isinstance(state, Running) and state.info.live and _is_camera(self._source):
                # By name from now on: after a replugging "the first camera" may be another one.
                self._source = f"camera:{state.info.title}"
            self._tell_state(state)

    def _capture_problem(self, capture: Capture, error: RfappError) -> None:
        if capture is self._capture:
            self._tell_error(error)

    def _watch(self) -> None:
        """Watch for drivers that hang: tell it, then give their thread up and open the source again."""
        while not self._closing.wait(0.25):
            with self._lock:
                capture = self._capture
                if capture is None:
                    continue
                doing, since = capture.busy
                seconds = time.perf_counter() - since
                live = capture.info is None or capture.info.live
                title = capture.info.title if capture.info is not None else str(self._source)
                if not live or not doing:
                    continue
                if seconds > (ABANDONED_S if doing == "read" else OPENING_S):
                    log.warning("giving up thread %s: it hangs in %s", capture.thread.name, doing)
                    error = _silent(title)
                    capture.close()
                    self._start_capture(title, after=error, paused=isinstance(self._state, Paused))
                elif doing == "read" and seconds > STALLED_S and self._stalled is None:
                    self._stalled = _silent(title)
                    self._tell_state(Opening(title, self._stalled))

    # ------------------------------------------------------------------------------ the detector

    def _want_detector(self) -> None:
        settings = self._settings.detector
        if not same_network(self._detector_for, settings):
            self._detector_for = settings
            self._loader.wish(settings)

    def _picture_size(self) -> tuple[int, int] | None:
        frame = self._last_frame
        return None if frame is None else (frame.width, frame.height)

    def _detector_ready(self, settings: DetectorSettings, detector: FaceDetector) -> None:
        """On the loader's thread."""
        with self._lock:
            if self._closing.is_set() or not same_network(self._detector_for, settings):
                detector.close()  # meanwhile another one was asked for
                return
            self._new_detector = (settings, detector)
            self._detector_there.set()
            self._detect_again()
        for note in detector.notes:
            log.info("%s", note)

    def _detector_failed(self, settings: DetectorSettings, error: RfappError) -> None:
        with self._lock:
            if same_network(self._detector_for, settings):
                self._detector_for = None  # so that asking for it again tries again
        self._tell_error(error)

    def _detect_again(self) -> None:
        """Detect the picture that stands still once more: something about the detector has changed."""
        with self._lock:
            frame = self._last_frame
            if frame is not None and not self._frames.full and isinstance(self._state, Paused | Ended):
                self._repeat = replace(frame, generation=self._generation, captured_at=time.perf_counter())
                self._frames.put(self._repeat)

    def _detect(self) -> None:
        """The inference thread."""
        while not self._closing.is_set():
            self._detector_there.wait()
            frame = self._frames.take()
            if frame is None:
                continue
            self._take_new_detector()
            if self._detector is None:
                continue
            try:
                self._detect_one(self._detector, frame)
            except RfappError as error:
                self._engine_failed(error)
            except Exception as error:
                log.exception("detection")
                self._engine_failed(EngineFailed(mark("Detection failed: {error}"), error=error))

    def _detect_one(self, detector: FaceDetector, frame: Frame) -> None:
        settings = self._settings
        network = settings.detector
        repeated = frame is self._repeat
        started = time.perf_counter()
        self._detecting_since = started

        def find(score: float) -> Detections:
            return detector(frame.image, score=score, nms=network.nms, size=network.size, min_face=network.min_face)

        recorder = self._recorder
        wanted = hiding_for(recorder, settings)
        followed = self._follower.find(find, frame, wanted, still=self._stills)
        detections = followed.faces
        seconds = time.perf_counter() - started
        hidden = hidden_in(followed, settings, self._shown)
        if recorder is not None:
            recorder.detected(frame, detections, settings.drawn, hidden_in(followed, wanted, self._shown))
        picture = screen_picture(frame.image, hidden)
        with self._lock:
            self._detecting_since = None
            self._last_detect_s = seconds
            if frame.generation != self._generation:
                return
            self._last_detection = (frame, detections)
            newest = self._previewed
        if not repeated:
            self.statistics.frame_detected(frame, seconds)
        if newest is not None and newest.captured_at > frame.captured_at and newest.generation == frame.generation:
            # Newer frames were shown meanwhile; going back to this one would make the picture jump.
            self._tell_result(self._unfinished(newest))
            return
        self._tell_result(
            LiveResult(
                frame,
                picture,
                detections,
                fresh=True,
                detect_s=seconds,
                repeated=repeated,
                detector=self._title,
                hidden=hidden,
                people=followed.people,
            )
        )

    @property
    def _stills(self) -> bool:
        info = None if self._capture is None else self._capture.info
        return info is not None and info.stills

    def _take_new_detector(self) -> None:
        with self._lock:
            if self._new_detector is None:
                return
            old = self._detector
            _, self._detector = self._new_detector
            self._new_detector = None
            self._last_detect_s = 0.0
            detector = self._detector
            self._title = DetectorTitle(detector.model, detector.engine, detector.device_title, detector.precision)
        if old is not None:
            old.close()

    def _engine_failed(self, error: RfappError) -> None:
        with self._lock:
            self._detecting_since = None
            if self._capture is not None:
                self._capture.close()
                self._capture = None
            self._detector, self._detector_for, self._title = None, None, None
            self._detector_there.clear()
            self._tell_state(Failed(error))

    # ------------------------------------------------------------------------------ telling

    def _tell_result(self, result: LiveResult) -> None:
        if result.frame.generation == self._generation:
            self._fail(self._subscribers.result(result))

    def _tell_state(self, state: State) -> None:
        self._state = state
        failed = self._subscribers.state(state)
        if not isinstance(state, Failed):  # else a callback that can't bear failures would go round for ever
            self._fail(failed)

    def _tell_error(self, error: RfappError) -> None:
        self._fail(self._subscribers.error(error))

    def _fail(self, failed: Failed | None) -> None:
        if failed is not None:
            self._tell_state(failed)


def _is_camera(source: object) -> bool:
    return isinstance(source, str) and (source.isdecimal() or source.partition(":")[0] == "camera")


def _reopens(before: SourceSettings, after: SourceSettings) -> bool:
    """Whether a camera has to be opened again: its size, rate and driver are asked for at opening."""
    return replace(before, loop=after.loop, speed=after.speed, picture_seconds=after.picture_seconds) != after


def _silent(title: str) -> CameraFailed:
    return CameraFailed(
        mark("“{title}” delivers no pictures."),
        mark("Check its cable, or close other programs that use it."),
        title=title,
    )
