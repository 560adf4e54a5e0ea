"""The live pipeline: capture on one thread, detection on another, and never a queue between them.

::

    Source.read ─ Frame ─▶ Mailbox ─▶ FaceDetector ─ LiveResult ─▶ whoever subscribed
    capture thread        (one slot)  inference thread
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rfapp.errors import CameraFailed, RfappError
from rfapp.frames import Frame
from rfapp.runtime.capture import Capture, CaptureEvents
from rfapp.runtime.detectors import DetectorEvents, Detectors
from rfapp.runtime.inference import Inference, InferenceEvents
from rfapp.runtime.loader import MakeDetector, live_detector
from rfapp.runtime.outputs import OutputEvents, Outputs
from rfapp.runtime.playing import Playing
from rfapp.runtime.recorder import Recording
from rfapp.runtime.sender import Sending
from rfapp.runtime.states import DetectorTitle, Ended, Failed, Idle, LiveResult, Opening, Paused, Running, State
from rfapp.runtime.statistics import Statistics
from rfapp.runtime.subscribers import Subscribers
from rfapp.runtime.watchdog import WatchDog
from rfapp.settings import Settings, SourceSettings
from rfapp.sources import Source, open_source
from rfapp.text import mark

log = logging.getLogger(__name__)

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
        make_detector: MakeDetector = live_detector,
    ) -> None:
        self._now = Playing(settings)
        self._source = source
        self._subscribers = Subscribers()
        self._lock = self._now.lock
        self._stalled: CameraFailed | None = None
        self._asleep = False
        self.statistics = Statistics()
        self._detectors = Detectors(
            make_detector,
            lambda: self._now.size,
            DetectorEvents(ready=self._look_again, problem=self._tell_error, lost=self._detection_failed),
        )
        self._inference = Inference(
            self._now,
            self._detectors,
            self.statistics,
            InferenceEvents(result=self._tell_result, failed=self._detection_failed, film=self._now.hide_all),
        )
        self._outputs = Outputs(self._now, OutputEvents(recorded=self._recorded, problem=self._tell_error))
        self._watch_dog = WatchDog(lambda: self._now.capture, self._capture_stalls, self._capture_hangs)
        self._threads = [self._inference.thread, self._watch_dog.thread, self._detectors.thread]

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
        return self._now.state

    @property
    def settings(self) -> Settings:
        return self._now.settings

    @property
    def generation(self) -> int:
        """Results of a smaller generation are of a source or a place that was left."""
        return self._now.generation

    @property
    def loading(self) -> str | None:
        """The model that is being loaded beside the running one, or None."""
        return self._detectors.loading

    @property
    def detector(self) -> DetectorTitle | None:
        """What finds the faces just now; None before the first model is ready."""
        return self._detectors.title

    @property
    def recording(self) -> Recording | None:
        """How far the recording that is under way is; None while nothing is recorded."""
        return self._outputs.recording

    @property
    def sending(self) -> Sending | None:
        """What is sent to a virtual camera; None while nothing is."""
        return self._outputs.sending

    @property
    def shown_faces(self) -> frozenset[int]:
        """The numbers of the faces that are not hidden while others are."""
        return self._now.shown

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
            self._detectors.want(self._now.settings.detector)

    def pause(self) -> None:
        """Hold the picture."""
        with self._lock:
            if self._now.capture is not None:
                self._now.capture.pause()

    def resume(self) -> None:
        """Go on; from the start when the end was reached."""
        with self._lock:
            if self._now.capture is None:
                if self._source is not None:
                    self.open(self._source)
            elif isinstance(self._now.state, Failed):
                self.open(self._source or "")
            elif isinstance(self._now.state, Ended):
                self._now.capture.resume()
                if self._now.state.info.seekable:
                    self.seek(0.0)
                else:
                    self.open(self._source or "")
            else:
                self._now.capture.resume()

    def seek(self, time_s: float) -> None:
        """Go to *time_s* on the source's clock; nothing happens where the source can't."""
        with self._lock:
            capture, info = self._now.capture, self._now.info
            if capture is not None and info is not None and info.seekable:
                self._now.generation += 1
                self._inference.clear()
                capture.seek(time_s, self._now.generation)

    def step(self, direction: int) -> None:
        """Hold the picture and go to the next one (1), or in a file to the one before (-1)."""
        with self._lock:
            capture, info, frame = self._now.capture, self._now.info, self._now.last
            if capture is None or info is None or info.live:
                return
            if direction > 0:
                capture.step()
            elif frame is not None and info.seekable:
                capture.pause()
                self.seek(self._now.time_before(frame))

    def apply(self, settings: Settings) -> None:
        """Use *settings* from the next frame on. While the picture stands still it is detected again."""
        with self._lock:
            before, self._now.settings = self._now.settings, settings
            capture = self._now.capture
            if capture is not None:
                capture.set_loop(settings.source.loop)
                capture.set_speed(settings.source.speed)
                self._detectors.want(settings.detector)
                if capture.info is not None and capture.info.live and _reopens(before.source, settings.source):
                    self.open(self._source or "")
            self._outputs.change(before, settings)
            if (before.detector, before.tracking, before.hiding, before.recording) != (
                settings.detector,
                settings.tracking,
                settings.hiding,
                settings.recording,
            ):
                self._inference.again()

    def show_face(self, track: int, shown: bool) -> None:
        """Do not hide the face with the number *track*, or hide it again. A new film forgets it."""
        with self._lock:
            self._now.shown = self._now.shown | {track} if shown else self._now.shown - {track}
            self._inference.again()

    def record(self, path: Path) -> None:
        """Record from the next frame on what is played, as the settings want it, to the video *path*, and the faces to
        a .jsonl file beside it. It ends with the source, with ``stop_recording``, or when it can't be gone on with."""
        self._outputs.record(path)

    def stop_recording(self) -> None:
        """Complete the recording; that it is complete is told to who subscribed."""
        self._outputs.stop_recording()

    def send(self) -> None:
        """Send what is played to a virtual camera from the next frame on, until ``stop_sending``. That it can't be
        done, or no longer, is told as an error."""
        if self._outputs.send():
            self._inference.again()

    def stop_sending(self) -> None:
        """Let go of the virtual camera."""
        self._outputs.stop_sending()

    def sleep(self, asleep: bool) -> None:
        """While nobody looks, frames go by without being detected or told; a file plays on."""
        with self._lock:
            woken = self._asleep and not asleep
            self._asleep = asleep
            if woken:
                self._inference.again()

    def stop(self) -> None:
        """Leave the source; models stay loaded."""
        with self._lock:
            self._leave()
            self._tell_state(Idle())

    def close(self, timeout: float = 2.0) -> bool:
        """End all threads, waiting up to *timeout* seconds. False when one hangs in a driver and is left behind."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = [*self._threads, *self._outputs.threads]
            if self._now.capture is not None:
                threads.append(self._now.capture.thread)
            self._leave()
            self.stop_sending()
            self._subscribers.clear()
        for part in (self._watch_dog, self._inference, self._detectors):
            part.close()
        for thread in threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        hanging = [thread.name for thread in threads if thread.is_alive()]
        if hanging:
            log.warning("left behind: %s", ", ".join(hanging))
        else:
            self._detectors.let_go()
        return not hanging

    # ------------------------------------------------------------------------------ the source

    def _leave(self) -> None:
        self._now.generation += 1
        self._outputs.leave()
        if self._now.capture is not None:
            self._now.capture.close()
            self._now.capture = None
        self._inference.forget()
        self._now.forget()
        self._stalled = None

    def _start_capture(self, title: str, *, after: RfappError | None = None, paused: bool = False) -> None:
        source = self._source
        make = self._open_address if isinstance(source, str) else source
        if make is None:
            return
        self._now.capture = Capture(
            make,
            title,
            CaptureEvents(self._captured, self._capture_state, self._capture_problem),
            generation=self._now.generation,
            loop=self._now.settings.source.loop,
            speed=self._now.settings.source.speed,
            paused=paused,
            after=after,
        )
        self._now.capture.start()

    def _open_address(self) -> Source:
        return open_source(str(self._source), self._now.settings.source)

    def _captured(self, capture: Capture, frame: Frame) -> None:
        """On the capture thread."""
        with self._lock:
            if capture is not self._now.capture or frame.generation != self._now.generation:
                return
            self._now.note(frame)
            if self._stalled is not None and capture.info is not None:
                self._stalled = None
                self._tell_state(Running(capture.info))
            takers = self._now.takers
            asleep = self._asleep and not takers
        if asleep:
            return
        for taker in takers:
            taker.captured(frame)
        self._inference.captured(frame)

    def _capture_state(self, capture: Capture, state: State) -> None:
        with self._lock:
            if capture is not self._now.capture:
                return
            self._stalled = None
            if isinstance(state, Running) and state.info.live and _is_camera(self._source):
                # By name from now on: after a replugging "the first camera" may be another one.
                self._source = f"camera:{state.info.title}"
            self._tell_state(state)
            if not self._asleep:
                self._inference.rest()

    def _capture_problem(self, capture: Capture, error: RfappError) -> None:
        if capture is self._now.capture:
            self._tell_error(error)

    def _capture_stalls(self, capture: Capture, error: CameraFailed) -> None:
        """On the watch-dog's thread."""
        with self._lock:
            if capture is self._now.capture and self._stalled is None:
                self._stalled = error
                self._tell_state(Opening(capture.title, error))

    def _capture_hangs(self, capture: Capture, error: CameraFailed) -> None:
        """Give its thread up, and open the source again."""
        with self._lock:
            if capture is self._now.capture:
                capture.close()
                self._start_capture(capture.title, after=error, paused=isinstance(self._now.state, Paused))

    # ------------------------------------------------------------------------------ the detector

    def _look_again(self) -> None:
        self._inference.again()

    def _detection_failed(self, error: RfappError) -> None:
        """Nothing finds faces any more: the source is left, what was recorded is completed."""
        with self._lock:
            if self._now.capture is None:
                self._tell_error(error)
                return
            self._now.generation += 1  # of what is still under way nothing is shown or sent any more
            self._outputs.leave()
            self._now.capture.close()
            self._now.capture = None
            self._tell_state(Failed(error))

    # ------------------------------------------------------------------------------ telling

    def _recorded(self, recording: Recording) -> None:
        self._fail(self._subscribers.recorded(recording))

    def _tell_result(self, result: LiveResult) -> None:
        if result.frame.generation == self._now.generation:
            self._fail(self._subscribers.result(result))

    def _tell_state(self, state: State) -> None:
        self._now.state = state
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
