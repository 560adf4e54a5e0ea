"""Sends what is played to a virtual camera."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rfapp.errors import OutputError, RfappError
from rfapp.frames import Detections, Frame
from rfapp.runtime.mailbox import Mailbox
from rfapp.runtime.outgoing import Canvas, Outgoing
from rfapp.runtime.priority import give_way
from rfapp.settings import ViewSettings
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.virtual_camera import RATE, VirtualCamera
from rfapp.text import mark

log = logging.getLogger(__name__)

#: A picture that stands still is sent again after so many seconds: whoever begins to look then sees it, too.
REPEAT_S = 0.2
#: Pictures that come much faster than the device takes them are left out.
_APART_S = 0.8 / RATE


@dataclass(frozen=True, slots=True)
class Sending:
    """What is sent just now: to which *device* ("" before the first picture), and how many pictures so far."""

    device: str = ""
    pictures: int = 0


class Sender:
    """Sends pictures to a virtual camera on a thread of its own until ``stop``.

    *content* as in :class:`rfapp.settings.RecordingSettings`. ``captured`` and ``detected`` only leave the frame, of
    which the newest is sent: the live view never waits. *on_end* is told, on the sender's thread, what ended it, if not
    the user.
    """

    def __init__(
        self,
        content: str,
        *,
        on_end: Callable[[Sender, RfappError | None], None] = lambda sender, error: None,
        make_camera: Callable[[], VirtualCamera] = VirtualCamera,
    ) -> None:
        self._content = content
        self._on_end = on_end
        self._make_camera = make_camera
        self._waiting: Mailbox[Outgoing] = Mailbox()
        self._lock = threading.Lock()
        self._since = 0
        self._blank = False
        self._stopped = threading.Event()
        self._state = Sending()
        self._canvas = Canvas()
        self.thread = threading.Thread(target=self._run, name="virtual camera", daemon=True)
        self.thread.start()

    @property
    def state(self) -> Sending:
        """How far it is."""
        return self._state

    @property
    def content(self) -> str:
        """What is sent."""
        return self._content

    def change(self, content: str, generation: int) -> None:
        """Send other *content*, or the same with other faces hidden, from the next frame on. The last picture is not
        sent again: what is not to be seen any more may be in it."""
        self._content = content
        self.blank(generation)

    def captured(self, frame: Frame) -> None:
        """A frame as the source delivers it."""
        if self._content == "clean":
            self._leave(Outgoing(frame, None))

    def detected(self, frame: Frame, faces: Detections, view: ViewSettings, hidden: Hidden | None) -> None:
        """A frame with its *faces*, and how it is shown."""
        content = self._content
        if content == "annotated":
            self._leave(Outgoing(frame, faces, view, hidden))
        elif content == "hidden" and hidden is not None:  # None: it was looked at before this content was chosen
            self._leave(Outgoing(frame, faces, None, hidden))

    def blank(self, generation: int) -> None:
        """What was played was left: send a black picture until frames of this *generation* come, and no older one."""
        with self._lock:
            self._since, self._blank = generation, True
            self._waiting.clear()

    def stop(self) -> None:
        """Let go of the device; returns at once."""
        self._stopped.set()
        self._waiting.close()

    def _leave(self, item: Outgoing) -> None:
        with self._lock:
            if item.frame.generation >= self._since:
                self._blank = False
                self._waiting.put(item)

    # ------------------------------------------------------------------------------ its own thread

    def _run(self) -> None:
        give_way(5)
        error: RfappError | None = None
        try:
            with self._make_camera() as camera:
                while not self._stopped.is_set():
                    self._send_next(camera)
        except RfappError as problem:
            error = problem
        except Exception as problem:
            log.exception("virtual camera")
            error = OutputError(mark("Sending to the virtual camera failed: {error}."), error=problem)
        self._stopped.set()
        self._on_end(self, error)

    def _send_next(self, camera: VirtualCamera) -> None:
        item = self._waiting.take(REPEAT_S)
        if self._stopped.is_set():
            return
        if self._blank:
            camera.blank()
            return
        if item is None:
            camera.repeat()
            return
        if item.frame.generation < self._since:  # it was left since this was taken, and something newer has come
            return
        began = time.monotonic()
        camera.append(self._canvas.image(item))
        self._state = Sending(camera.device, self._state.pictures + 1)
        self._stopped.wait(max(0.0, _APART_S - (time.monotonic() - began)))
