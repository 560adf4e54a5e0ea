"""Finding the faces in many files: reading, detecting and writing at the same time, in order, nothing dropped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rfapp.errors import RfappError, SourceError, SourceUnreadable
from rfapp.frames import Detections, Frame
from rfapp.runtime.following import Follower, follows
from rfapp.settings import Settings
from rfapp.sinks.crops import CropSink
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.lines import LineSink
from rfapp.sinks.pictures import PictureSink
from rfapp.sinks.video import VideoSink
from rfapp.sources.base import SourceInfo
from rfapp.sources.inputs import Input
from rfapp.sources.pictures import read_picture
from rfapp.sources.video import Video
from rfapp.text import mark
from rfapp.tracking import Cover, Seen, counted

#: So many decoded frames wait for the network, and so many results for the encoder.
READ_AHEAD, WRITE_BEHIND = 3, 4

T = TypeVar("T")


@dataclass(slots=True)
class Count:
    """What was done so far. ``failed``: inputs of which something could not be had. ``people``: counted in the videos
    in which faces were followed."""

    inputs: int = 0
    frames: int = 0
    faces: int = 0
    failed: int = 0
    people: int = 0


@dataclass(frozen=True, slots=True)
class _Begin:
    item: Input
    info: SourceInfo | None  # None for a picture


@dataclass(frozen=True, slots=True)
class _End:
    item: Input
    error: RfappError | None


@dataclass(frozen=True, slots=True)
class _Crash:
    error: BaseException


_Step = _Begin | Frame | _End


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A frame with its faces, and what of it is not to be seen, on its way into a picture or video."""

    frame: Frame
    faces: Detections
    hidden: Hidden | None = None


#: Told after every frame, and (with the error, or None) after every input.
OnFrame = Callable[[Input, SourceInfo | None, Frame], None]
OnEnd = Callable[[Input, RfappError | None], None]


class Batch:
    """Detects in *inputs*, one after the other.

    *detector* is a FaceDetector, or what can be called as one. Results go to *lines*, annotated copies to the *media*
    path of each input's name; with hidden faces, if *settings* want that. *crops*: the folder for the faces cut out,
    and what each input is called there. One thread reads ahead, the caller's detects, and one draws and encodes. A
    file that fails is told through *on_end*, and the next one follows.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        detector: Callable[..., Detections],
        lines: LineSink,
        media: Mapping[str, Path],
        settings: Settings,
        *,
        crops: tuple[Path, Mapping[str, str]] | None = None,
        on_frame: OnFrame = lambda item, info, frame: None,
        on_end: OnEnd = lambda item, error: None,
    ) -> None:
        self._inputs = inputs
        self._detector = detector
        self._lines = lines
        self._media, self._crops = media, crops
        self._settings = settings
        self._seen: list[Seen] = []
        self._follower = Follower(self._seen.append)
        self._cover: Cover[_Drawn] = Cover()
        self._on_frame = on_frame
        self._on_end = on_end
        self._stop = threading.Event()
        self._steps: queue.Queue[_Step | _Crash | None] = queue.Queue(READ_AHEAD)
        self._writes: queue.Queue[_Begin | _Drawn | _End | None] = queue.Queue(WRITE_BEHIND)
        self._write_error: BaseException | None = None
        self.count = Count()

    def run(self) -> Count:
        """Work through all inputs. Raises OutputError, EngineError, or KeyboardInterrupt: then, too, and after
        ``stop``, everything that was detected is written, and an unfinished video is completed so that it plays."""
        reader = threading.Thread(target=self._read_all, name="reader", daemon=True)
        writer = threading.Thread(target=self._write_all, name="writer", daemon=True) if self._writing else None
        reader.start()
        if writer is not None:
            writer.start()
        try:
            self._detect_all()
        except BaseException:
            self._stop.set()
            raise
        finally:
            try:
                self._cover_up(self._cover.finish())
            finally:
                if writer is not None:
                    self._hand_over(None)
                    _join(writer)
                self._stop.set()
                _join(reader)
        if self._write_error is not None:
            raise self._write_error
        return self.count

    def stop(self) -> None:
        """Make ``run`` end after the frame that is being worked on, with what was done until then. From any thread."""
        self._stop.set()

    @property
    def _writing(self) -> bool:
        return bool(self._media) or self._crops is not None

    # ------------------------------------------------------------------------------------------------- detecting

    def _detect_all(self) -> None:
        begin = _Begin(Input("", Path(), Path()), None)
        for step in self._taken():
            if isinstance(step, _Begin):
                begin = step
                self._hand_over(step)
            elif isinstance(step, Frame):
                # Each film has a generation of its own: its numbers begin with 1.
                faces = self._detect(replace(step, generation=self.count.inputs), film=begin.info is not None)
                self._lines.append(begin.item.name, step, faces)
                self.count.frames += 1
                self.count.faces += len(faces)
                self._on_frame(begin.item, begin.info, step)
            else:
                self._end(step)

    def _detect(self, frame: Frame, *, film: bool) -> Detections:
        """The faces of *frame* for the results; the frame goes on to the writer."""
        settings = self._settings
        if not film or not follows(settings):
            faces = self._detector(frame.image)
            hidden = None if settings.hiding.how == "off" else Hidden(faces.boxes, settings.hiding)
            self._hand_over(_Drawn(frame, faces, hidden))
            return faces
        followed = self._follower.find(lambda score: self._detector(frame.image, score=score), frame, settings)
        found = faces = followed.faces
        if not settings.tracking.on:  # they are followed for the sake of hiding only
            faces = replace(found[found.scores >= settings.detector.score], tracks=None)
        drawn = _Drawn(frame, faces)
        if settings.hiding.how == "off" or not self._writing:
            self._hand_over(drawn)
        else:
            size, missing = frame.image.nbytes, followed.missing
            self._cover_up(self._cover.put(drawn, frame.time_s, found, missing, cut=followed.cut, size=size))
        return faces

    def _cover_up(self, covered: Iterator[tuple[_Drawn, Any]]) -> None:
        for drawn, boxes in covered:
            self._hand_over(replace(drawn, hidden=Hidden(boxes, self._settings.hiding)))

    def _end(self, end: _End) -> None:
        self._follower.finish()
        self._cover_up(self._cover.finish())
        name = end.item.name
        if self._settings.tracking.on and not end.item.picture and (end.error is None or self._seen):
            seen, people = sorted(self._seen, key=lambda one: one.track), counted(self._seen)
            self._lines.summarise(name, people, [asdict(one) for one in seen])
            self.count.people += people
        self._seen.clear()
        if end.error is not None:
            self.count.failed += 1
            self._lines.fail(name, end.error.message)
        self.count.inputs += 1
        self._hand_over(end)
        self._on_end(end.item, end.error)

    def _taken(self) -> Iterator[_Step]:
        while not self._stop.is_set():
            try:
                step = self._steps.get(timeout=0.5)  # unlike a plain get() this can be interrupted on every system
            except queue.Empty:
                continue
            if step is None:
                return
            if isinstance(step, _Crash):
                raise step.error
            yield step

    def _hand_over(self, step: _Begin | _Drawn | _End | None) -> None:
        """Give *step* to the writer, waiting for room. Raises the writer's error when it has failed."""
        if not self._writing:
            return
        while self._write_error is None:
            try:
                self._writes.put(step, timeout=0.2)
                return
            except queue.Full:
                continue
        if step is not None:
            raise self._write_error

    # --------------------------------------------------------------------------------------------------- reading

    def _read_all(self) -> None:
        try:
            for item in self._inputs:
                for step in _steps(item):
                    if not self._put(step):
                        return
            self._put(None)
        except BaseException as error:  # whatever it is, the detecting thread must not wait for ever
            self._put(_Crash(error))

    def _put(self, step: _Step | _Crash | None) -> bool:
        while not self._stop.is_set():
            try:
                self._steps.put(step, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    # --------------------------------------------------------------------------------------------------- writing

    def _write_all(self) -> None:
        try:
            while (step := _get(self._writes)) is not None:
                if isinstance(step, _Begin):
                    self._write_one(step)
        except BaseException as error:  # told by the detecting thread
            self._write_error = error

    def _write_one(self, begin: _Begin) -> None:
        name, film = begin.item.name, begin.info is not None
        sinks: list[PictureSink | VideoSink] = []
        if name in self._media:
            path = self._media[name]
            rate = None if begin.info is None else begin.info.rate
            sinks.append(VideoSink(path, sound=begin.item.path, rate=rate) if film else PictureSink(path))
        crops = None if self._crops is None else CropSink(self._crops[0], self._crops[1][name], film=film)
        with ExitStack() as stack:
            for sink in sinks:
                stack.enter_context(sink)
            while isinstance(step := _get(self._writes), _Drawn):
                for sink in sinks:
                    sink.append(step.frame, step.faces, step.hidden)
                if crops is not None:
                    crops.append(step.frame, step.faces)
            if step is None:  # interrupted in the middle
                for sink in sinks:
                    if isinstance(sink, VideoSink):
                        sink.finish(whole=False)
                self._writes.put(None)


def _steps(item: Input) -> Iterator[_Step]:
    """What happens while *item* is read."""
    if item.error is not None:
        yield _End(item, item.error)
    elif item.picture:
        try:
            image = read_picture(item.path)
        except SourceError as error:
            yield _End(item, error)
            return
        except MemoryError:
            yield _End(item, _too_large(item))
            return
        yield _Begin(item, None)
        yield Frame(image, 0, 0.0, time.perf_counter())
        yield _End(item, None)
    else:
        yield from _video_steps(item)


def _video_steps(item: Input) -> Iterator[_Step]:
    problem: RfappError | None = None
    with Video(item.path) as video:
        try:
            yield _Begin(item, video.open())
            while (frame := video.read()) is not None:
                yield frame
        except SourceError as error:  # SourceDamaged comes behind all that could be had
            problem = error
        except MemoryError:
            problem = _too_large(item)
    yield _End(item, problem)


def _too_large(item: Input) -> SourceUnreadable:
    return SourceUnreadable(
        mark("“{path}” is too large for the memory of this computer."),
        mark("Make it smaller, or close other programs."),
        path=str(item.path),
    )


def _get(source: queue.Queue[T]) -> T:
    """The next item; unlike a plain get() this can be interrupted on every system."""
    while True:
        try:
            return source.get(timeout=0.5)
        except queue.Empty:
            continue


def _join(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(0.5)
