"""Where what is played goes besides the window: to a recording, and to a virtual camera."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rfapp.errors import RfappError
from rfapp.runtime.playing import Playing
from rfapp.runtime.recorder import Recorder, Recording
from rfapp.runtime.sender import Sender, Sending
from rfapp.settings import Settings


@dataclass(slots=True)
class OutputEvents:
    """Whom :class:`Outputs` tells what, on threads of its own."""

    #: A recording has ended.
    recorded: Callable[[Recording], None]
    #: Sending has ended by itself.
    problem: Callable[[RfappError], None]


class Outputs:
    """Begins and ends the recording and the sending of what is played, which *now* then knows as takers."""

    def __init__(self, now: Playing, events: OutputEvents) -> None:
        self._now, self._events = now, events

    @property
    def recording(self) -> Recording | None:
        """How far the recording that is under way is."""
        recorder = self._now.recorder
        return None if recorder is None else recorder.state

    @property
    def sending(self) -> Sending | None:
        """What is sent to a virtual camera."""
        sender = self._now.sender
        return None if sender is None else sender.state

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that work just now."""
        return [part.thread for part in (self._now.recorder, self._now.sender) if part is not None]

    def record(self, path: Path) -> None:
        """Record from the next frame on to the video *path*, in place of what was recorded so far."""
        with self._now.lock:
            self.stop_recording()
            rate = None if self._now.info is None else self._now.info.rate
            self._now.recorder = Recorder(path, self._now.settings.recording.content, rate=rate, on_end=self._recorded)

    def stop_recording(self) -> None:
        """Complete the recording, if there is one."""
        recorder = self._now.recorder
        if recorder is not None:
            recorder.stop()

    def _recorded(self, recording: Recording) -> None:
        """On the recorder's thread."""
        with self._now.lock:
            if self._now.recorder is not None and self._now.recorder.path == recording.path:
                self._now.recorder = None
        self._events.recorded(recording)

    def send(self) -> bool:
        """Send from the next frame on; whether that is anything new."""
        with self._now.lock:
            if self._now.sender is not None:
                return False
            self._now.sender = Sender(self._now.settings.recording.virtual_camera, on_end=self._sent)
            self._send_last()
            return True

    def stop_sending(self) -> None:
        """Let go of the virtual camera."""
        with self._now.lock:
            sender, self._now.sender = self._now.sender, None
            if sender is not None:
                sender.stop()

    def change(self, before: Settings, settings: Settings) -> None:
        """Send as *settings* want it from now on."""
        sender = self._now.sender
        if sender is not None and (before.hiding, before.recording) != (settings.hiding, settings.recording):
            sender.change(settings.recording.virtual_camera, self._now.generation)
            self._send_last()

    def leave(self) -> None:
        """What is played is left: the recording ends with it, and nothing of it is sent any more."""
        self.stop_recording()
        if self._now.sender is not None:
            self._now.sender.blank(self._now.generation)

    def _send_last(self) -> None:
        """Send the picture that stands still, if it is sent bare; else it is looked at once more."""
        if self._now.sender is not None and self._now.last is not None:
            self._now.sender.captured(self._now.last)

    def _sent(self, sender: Sender, error: RfappError | None) -> None:
        """On the sender's thread."""
        with self._now.lock:
            if self._now.sender is sender:
                self._now.sender = None
        if error is not None:
            self._events.problem(error)
