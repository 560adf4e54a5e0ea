"""Recording what is played: a video that survives whatever ends it, and the faces beside it."""

from __future__ import annotations

import contextlib
import io
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error

from rfapp.errors import OutputError, RfappError
from rfapp.frames import Detections, Frame
from rfapp.runtime.outgoing import Canvas, Outgoing
from rfapp.runtime.priority import give_way
from rfapp.settings import ViewSettings
from rfapp.sinks.encoding import Encoder
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.lines import JsonLines
from rfapp.sinks.pictures import cannot_write
from rfapp.text import mark

log = logging.getLogger(__name__)

#: So many frames wait for the writer; more are dropped.
WAITING = 30
#: The writer takes so many at once, or what there is after so many seconds: with warm caches a frame takes it a third
#: less time.
_AT_ONCE, _AT_LEAST_S = 6, 0.25
#: A recording is written in pieces of so many seconds: whatever ends it, no more than one of them is lost.
PIECE_S = 0.25
#: Pictures that do not depend on others come this often; players jump to them.
_KEY_S = 2.0
#: In a bare recording faces come after their frame, by at most so many frames.
_LATE = 300
#: Half the work of the next slower preset for half as much again of space: detection goes on beside it.
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording so far, or (as its end is told) as a whole. ``error``: what ended it, if not the user."""

    path: Path
    seconds: float = 0.0
    frames: int = 0
    dropped: int = 0
    error: RfappError | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    frame: Frame
    faces: Detections


class Recorder:
    """Writes a video to *path* (MP4, H.264) and the faces in it to a file of the same name with the ending .jsonl,
    whose frames and times are those of the recording.

    *content* as in :class:`rfapp.settings.RecordingSettings`. ``captured`` and ``detected`` only leave the frame for
    the writer's thread, and drop it where that is more than 30 frames behind. The video is written in pieces of a
    quarter of a second, each of which can be played as soon as it is in the file: after a crash or on a full disk all
    but the last two are there. *on_end* is told, on the writer's thread, how it ended.
    """

    def __init__(
        self,
        path: Path,
        content: str,
        *,
        rate: float | None = None,
        on_end: Callable[[Recording], None] = lambda recording: None,
        open_file: Callable[[Path], BinaryIO] = lambda path: path.open("xb", buffering=0),
    ) -> None:
        self.path, self.content = path, content
        self._rate = rate
        self._on_end = on_end
        self._open_file = open_file
        self._waiting: queue.Queue[Outgoing | _Faces | None] = queue.Queue(WAITING)
        self._enough = threading.Event()
        self._stopped = threading.Event()
        self._state = Recording(path)
        self._dropped = 0
        self._encoder: Encoder | None = None
        self._lines: JsonLines | None = None
        self._canvas = Canvas()
        self._start_s = 0.0
        self._written: dict[tuple[int, int], Frame] = {}
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    @property
    def state(self) -> Recording:
        """How far it is."""
        return replace(self._state, dropped=self._dropped)

    def captured(self, frame: Frame) -> None:
        """A frame as the source delivers it."""
        if self.content == "clean":
            self._leave(Outgoing(frame, None))

    def detected(self, frame: Frame, faces: Detections, view: ViewSettings, hidden: Hidden | None) -> None:
        """A frame with its *faces*, and how it is shown."""
        if self.content == "clean":
            self._leave(_Faces(frame, faces))
        else:
            self._leave(Outgoing(frame, faces, view if self.content == "annotated" else None, hidden))

    def stop(self) -> None:
        """Complete the file; returns at once."""
        self._stopped.set()
        self._enough.set()

    def _leave(self, item: Outgoing | _Faces) -> None:
        if self._stopped.is_set():
            return
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self._dropped += isinstance(item, Outgoing)
        if self._waiting.qsize() >= _AT_ONCE:
            self._enough.set()

    # ------------------------------------------------------------------------------ the writer's thread

    def _run(self) -> None:
        give_way(5)  # detection goes first
        error: RfappError | None = None
        try:
            self._write_all()
        except RfappError as problem:
            error = problem
        except (av.error.FFmpegError, OSError, ValueError) as problem:
            error = _cannot_record(self.path, problem)
        except Exception as problem:
            log.exception("recording")
            error = _cannot_record(self.path, problem)
        self._stopped.set()
        if self._lines is not None and not self.path.exists():  # not even one piece of the film could be written
            self.path.with_suffix(".jsonl").unlink(missing_ok=True)
        self._on_end(replace(self.state, error=error))

    def _write_all(self) -> None:
        with ExitStack() as stack:
            while (item := self._next()) is not None:
                if isinstance(item, _Faces):
                    self._write_faces(item.frame, item.faces)
                    continue
                if self._encoder is None:
                    self._begin(item.frame, stack)
                self._write(item)
            if self._encoder is not None:
                self._encoder.finish()

    def _next(self) -> Outgoing | _Faces | None:
        """What is to be written; None after ``stop`` when there is nothing left."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._waiting.get_nowait()
            if self._stopped.is_set():
                return None
            self._enough.wait(_AT_LEAST_S)
            self._enough.clear()

    def _begin(self, frame: Frame, stack: ExitStack) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        faces = stack.enter_context(self.path.with_suffix(".jsonl").open("xb"))
        self._lines = stack.enter_context(JsonLines(faces))
        file = stack.enter_context(_VideoFile(self._open_file(self.path), self.path))
        options = {"movflags": "+hybrid_fragmented", "frag_duration": str(round(PIECE_S * 1e6))}
        container = stack.enter_context(_closing(av.open(file, "w", format="mp4", options=options)))
        key_frames = max(1, round((self._rate or 30) * _KEY_S))
        self._encoder = Encoder(
            container,
            frame.width,
            frame.height,
            rate=self._rate,
            options={**_OPTIONS, "g": str(key_frames)},
            threads=1,
        )
        self._start_s = frame.captured_at

    def _write(self, item: Outgoing) -> None:
        assert self._encoder is not None
        frame, faces = item.frame, item.faces
        seconds = max(frame.captured_at - self._start_s, 0.0)
        self._encoder.append(self._canvas.image(item), seconds)
        recorded = replace(frame, index=self._state.frames, time_s=seconds)
        self._state = replace(self._state, seconds=seconds, frames=self._state.frames + 1)
        if faces is None:
            self._written[frame.generation, frame.index] = recorded
            while len(self._written) > _LATE:
                del self._written[next(iter(self._written))]
        elif self._lines is not None:
            self._lines.append(self.path.name, recorded, faces)

    def _write_faces(self, frame: Frame, faces: Detections) -> None:
        """The faces of a frame that was written before, unless it was dropped."""
        recorded = self._written.pop((frame.generation, frame.index), None)
        if recorded is not None and self._lines is not None:
            self._lines.append(self.path.name, recorded, faces)


class _VideoFile(io.RawIOBase):
    """The file of a recording. After the first failure nothing more is written: what is there must stay as it is, and
    is cut back to its last whole piece."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self._failure is not None:
            raise self._failure
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._failure = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._failure is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(whole_pieces(self._path))
        self._file.close()
        if self._failure is not None:
            if self._path.stat().st_size == 0:
                self._path.unlink()
            raise self._failure


def whole_pieces(path: Path) -> int:
    """Up to where the MP4 file *path* consists of whole boxes (ISO/IEC 14496-12, 4.2), in bytes; 0 where it has no
    piece of a film that could be played."""
    end, pieces, size = 0, 0, path.stat().st_size
    with path.open("rb") as file:
        while end + 8 <= size:
            file.seek(end)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or end + length > size:
                break
            end += length
            pieces += head[4:8] == b"mdat"
    return end if pieces else 0


@contextlib.contextmanager
def _closing(container: av.container.OutputContainer) -> Iterator[av.container.OutputContainer]:
    try:
        yield container
    except BaseException:
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            container.close()
        raise
    container.close()


def _cannot_record(path: Path, error: Exception) -> OutputError:
    if isinstance(error, OSError) and error.errno is not None:
        return cannot_write(path, error)
    return OutputError(mark("The recording “{path}” can't be gone on with: {error}."), path=str(path), error=error)
