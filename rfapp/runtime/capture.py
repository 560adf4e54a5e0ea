"""The capture thread: opens a source, plays it at its own speed, and opens it again when it goes away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rfapp.errors import CameraFailed, CameraLost, CameraNotFound, RfappError, SourceDamaged, SourceError
from rfapp.frames import Frame
from rfapp.runtime.states import Ended, Failed, Opening, Paused, Running, State
from rfapp.sources import Source, SourceInfo
from rfapp.text import mark

log = logging.getLogger(__name__)

#: Waits between attempts to reach a camera that went away, in seconds; the last one repeats.
BACK_OFF_S = (0.5, 1.0, 2.0, 3.0)
#: A file that falls this far behind its own clock goes on from where it is instead of rushing after it.
FORGIVEN_S = 0.5


@dataclass(slots=True)
class CaptureEvents:
    """Whom a capture tells what. All are called on its thread."""

    frame: Callable[[Capture, Frame], None]
    state: Callable[[Capture, State], None]
    problem: Callable[[Capture, RfappError], None]


class Capture:
    """One opening of one source, on a thread of its own.

    Commands (``pause``, ``resume``, ``seek``, ``close``) return at once. A driver that hangs in a read can't be
    interrupted: such a capture is closed and left behind, and whatever it still delivers is ignored.
    """

    def __init__(
        self,
        make_source: Callable[[], Source],
        title: str,
        events: CaptureEvents,
        *,
        generation: int,
        loop: bool = False,
        speed: float = 1.0,
        paused: bool = False,
        after: RfappError | None = None,
    ) -> None:
        self._make_source = make_source
        self.title = title
        self._events = events
        self._changed = threading.Condition()
        self._generation = generation
        self._loop, self._speed = loop, speed
        self._paused = paused
        self._seek_to: float | None = None
        self._show_one = False  # deliver the next frame even while paused: it is where a seek went
        self._closed = False
        self._commands = 0  # counts them, so that none is missed between looking and waiting
        self._source: Source | None = None
        self._was_running = after is not None
        self._after = after
        self.info: SourceInfo | None = None
        #: What the thread is in and since when, for the watch-dog: "open", "read" or "" (nothing that can hang).
        self.busy: tuple[str, float] = ("", time.perf_counter())
        self.thread = threading.Thread(target=self._run, name=f"capture {title}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    # ------------------------------------------------------------------------------ commands, from any thread

    def pause(self) -> None:
        self._command(paused=True)

    def resume(self) -> None:
        self._command(paused=False)

    def set_loop(self, loop: bool) -> None:
        self._command(loop=loop)

    def set_speed(self, speed: float) -> None:
        """Play a file so many times as fast."""
        self._command(speed=speed)

    def step(self) -> None:
        """Hold the picture, and show the next one."""
        self._command(paused=True, show_one=True)

    def seek(self, time_s: float, generation: int) -> None:
        """Go on at *time_s*; frames from there on carry *generation*."""
        self._command(seek_to=max(0.0, time_s), generation=generation, show_one=True)

    def _command(self, **changes: object) -> None:
        with self._changed:
            for name, value in changes.items():
                setattr(self, f"_{name}", value)
            self._commands += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread as soon as its driver lets it; nothing is delivered any more."""
        with self._changed:
            self._closed = True
            self._commands += 1
            self._changed.notify_all()
            source = self._source
        if source is not None:
            # A driver may hang in release, too: that must not be our caller's trouble.
            threading.Thread(target=source.close, name=f"close {self.title}", daemon=True).start()

    @property
    def closed(self) -> bool:
        return self._closed

    # ------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        attempt = 0
        problem = self._after
        while not self._closed:
            self._tell(Opening(self.title, problem))
            if problem is not None and not self._sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)]):
                return
            try:
                self._open_and_play()
                return
            except RfappError as error:
                if not self._worth_another_try(error):
                    self._tell(Failed(error))
                    return
                attempt = 0 if problem is None else attempt + 1
                problem = error
                log.info("%s: %s; opening it again", self.title, error)
            except Exception as error:
                log.exception("capture of %s failed", self.title)
                self._tell(Failed(SourceError(mark("“{title}” failed: {error}"), title=self.title, error=error)))
                return

    def _worth_another_try(self, error: RfappError) -> bool:
        """A live source that was there comes back: a pulled plug, a busy camera, a stream that stalled."""
        if not self._was_running:
            return False
        live = self.info is None or self.info.live
        return live or isinstance(error, CameraNotFound | CameraFailed)

    def _open_and_play(self) -> None:
        source = self._make_source()
        with self._changed:
            if self._closed:
                return
            self._source = source
        try:
            self.busy = ("open", time.perf_counter())
            self.info = source.open()
            self.busy = ("", time.perf_counter())
            self.title = self.info.title
            self._play(source, self.info)
        finally:
            self.busy = ("", time.perf_counter())
            with self._changed:
                self._source = None
            source.close()

    def _play(self, source: Source, info: SourceInfo) -> None:
        clock = _Clock()
        told: bool | None = None  # what was told last: running (False) or paused (True)
        ended = False
        pending: Frame | None = None  # read, but its time has not come
        while True:
            with self._changed:
                if self._closed:
                    return
                seen = self._commands
                target, self._seek_to = self._seek_to, None
                paused, show_one = self._paused, self._show_one
            if target is not None:
                source.seek(target)
                clock.reset()
                told, ended, pending = None, False, None
            if not ended and told is not paused:
                told = paused
                clock.reset()
                self._tell(Paused(info) if paused else Running(info))
            if ended or (paused and not show_one and not info.live):
                self._wait_for_command(seen)
                continue
            if pending is None:
                try:
                    pending = self._read(source)
                except SourceDamaged as error:
                    ended = self._at_end(source, info, clock, error)
                    continue
                except SourceError as error:
                    if error.fatal:
                        raise
                    self._events.problem(self, error)
                    continue
                if pending is None:
                    ended = self._at_end(source, info, clock, None)
                    continue
                self._was_running = True
            if not info.live:
                early_s = clock.seconds_until(pending.time_s, self._speed)
                if not show_one and self._wait_for_command(seen, early_s):
                    continue
            frame, pending = pending, None
            self._deliver(frame, info)

    def _wait_for_command(self, seen: int, timeout: float | None = None) -> bool:
        """Wait until a command comes after the *seen* ones; False when none came in *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._commands != seen, timeout)

    def _read(self, source: Source) -> Frame | None:
        self.busy = ("read", time.perf_counter())
        try:
            return source.read()
        finally:
            self.busy = ("", time.perf_counter())

    def _at_end(self, source: Source, info: SourceInfo, clock: _Clock, problem: RfappError | None) -> bool:
        """Start again, or tell the end. Returns whether it has ended."""
        if self._closed:
            return True
        if info.live:
            # A camera or stream has no end: it went away without a word.
            raise CameraLost(mark("“{title}” stopped delivering pictures."), title=info.title)
        if self._loop and info.seekable and self._was_running:
            if problem is not None:
                self._events.problem(self, problem)
            source.seek(0.0)
            clock.reset()
            return False
        with self._changed:
            self._show_one = False
        self._tell(Ended(info, problem))
        return True

    def _deliver(self, frame: Frame, info: SourceInfo) -> None:
        with self._changed:
            if self._closed or self._seek_to is not None:
                return
            if info.live and self._paused and not self._show_one:
                return  # a paused camera is read on, so that it does not start again with an old picture
            self._show_one = False
            # A file is read ahead of its time: for all that follows it is read when its time has come.
            captured_at = frame.captured_at if info.live else time.perf_counter()
            frame = replace(frame, generation=self._generation, captured_at=captured_at)
        self._events.frame(self, frame)

    def _tell(self, state: State) -> None:
        if not self._closed:
            self._events.state(self, state)

    def _sleep(self, seconds: float) -> bool:
        """Wait, unless it is closed meanwhile; whether it is still wanted."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed, seconds)


class _Clock:
    """Ties a source's own time to the computer's, so that a file plays at its own speed, or so many times as fast."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._speed = 1.0

    def reset(self) -> None:
        """The next frame is due at once."""
        self._start = None

    def seconds_until(self, time_s: float, speed: float) -> float:
        """How long it is until the frame at *time_s* is due."""
        now = time.perf_counter()
        if speed != self._speed and self._start is not None:  # where the film is now stays where it is
            self._start = now - (now - self._start) * self._speed / speed
        self._speed = speed
        if self._start is None or now - (self._start + time_s / speed) > FORGIVEN_S:
            self._start = now - time_s / speed
        return max(0.0, self._start + time_s / speed - now)
