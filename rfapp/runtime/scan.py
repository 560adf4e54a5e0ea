"""A whole video looked through in the background, while something else is on the screen."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rfapp.detector import FaceDetector
from rfapp.engines import machine
from rfapp.errors import RfappError, SourceDamaged
from rfapp.frames import ByteImage, Detections, Frame
from rfapp.runtime.batch import Batch
from rfapp.runtime.face_counts import FaceCounts
from rfapp.runtime.loader import MakeDetector
from rfapp.runtime.looks import (
    Begun,
    how_of,
    picture_sum,
    read_heading,
    read_looks,
    write_heading,
    write_look,
)
from rfapp.runtime.priority import give_way
from rfapp.settings import DetectorSettings, Settings
from rfapp.sinks.lines import LineSink, line_sink, to_csv
from rfapp.sinks.pictures import cannot_write
from rfapp.sources.base import SourceInfo
from rfapp.sources.inputs import Input
from rfapp.text import mark

log = logging.getLogger(__name__)

#: The speed is that of so many last seconds, looked at so often.
_SPEED_OVER_S, _SPEED_EVERY_S = 15.0, 0.25


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """How far a scan is. ``looked_s`` of ``duration_s`` of the video (None: unknown) are done; ``speed``: seconds of
    video a second, ``left_s``: seconds that it will still take, both None until they are known. ``again``: how much of
    what an earlier search has done is behind it, from 0 to 1; None where it finds faces itself."""

    looked_s: float
    duration_s: float | None
    speed: float | None
    left_s: float | None
    again: float | None = None

    @property
    def part(self) -> float | None:
        """From 0 to 1; None for a video of unknown length."""
        return min(1.0, self.looked_s / self.duration_s) if self.duration_s else None


class VideoScan:
    """Finds the faces in every frame of the video file *video*, on threads of its own.

    >>> scan = VideoScan("film.mp4", results=Path("film.jsonl"))       # doctest: +SKIP
    >>> scan.start()                                                    # doctest: +SKIP
    >>> scan.wait()                                                     # doctest: +SKIP
    >>> [(one.begin_s, one.end_s) for one in scan.counts.stretches()]   # doctest: +SKIP

    *settings*: how it detects, and whether faces are followed; nothing is hidden. *results*: a file for the faces
    themselves, as ``rfapp detect`` writes them, CSV if it is named .csv and JSON lines if not; what is there is
    replaced. On a processor it takes half of the cores at most, and (on Linux) only what others leave of them.

    *looks*: a file from which another scan can go on, should this one end early (:mod:`rfapp.runtime.looks`). *begun*:
    what an earlier one came to. The video is read from its beginning then, too, which takes a part of the time, and
    what is known of a frame stands for the work of the network; all else is done as ever, so that the results are
    those of a scan that was never cut short, byte for byte. Frames whose picture is another one than it was are looked
    at anew, and all of them are if *begun* can't be used: other settings, another network, or a damaged file.

    Every property may be read at any time and from any thread.
    """

    def __init__(
        self,
        video: str | Path,
        settings: Settings | None = None,
        *,
        results: Path | None = None,
        looks: Path | None = None,
        begun: Begun | None = None,
        make_detector: MakeDetector = FaceDetector.from_settings,
    ) -> None:
        if begun is not None and begun.looks == looks:
            raise ValueError(f"{looks} can't be gone on with and be written to")
        self.video = Path(video)
        self.settings = (settings or Settings()).changed(hiding_how="off")
        self.results, self.looks = results, looks
        self._begun = begun
        self._looking: _Looking | None = None
        self._make_detector = make_detector
        self._counting = _Counting()
        self._info: SourceInfo | None = None
        self._batch: Batch | None = None
        self._marks: tuple[tuple[float, float], ...] = ()  # when so many seconds of the video were done
        self._cancelled = threading.Event()
        self._error: RfappError | None = None
        self._complete = False
        self._thread = threading.Thread(target=self._run, name="scan", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def cancel(self) -> None:
        """End it soon; what was found until then stays. Returns at once."""
        self._cancelled.set()
        if self._batch is not None:
            self._batch.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, at most *timeout* seconds; whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    @property
    def counts(self) -> FaceCounts:
        """What was found so far, also by the search that it goes on with."""
        own, begun = self._counting.counts, self._begun
        return own if begun is None or len(own) >= len(begun.counts) else begun.counts

    @property
    def written(self) -> FaceCounts:
        """What its results tell so far: the same, but for what it has not come to again."""
        return self._counting.counts

    @property
    def goes_on(self) -> bool:
        """Whether it goes on where an earlier search has ended."""
        return self._begun is not None

    @property
    def people(self) -> int | None:
        """How many people were counted; None until the end, and where faces are not followed."""
        return self._counting.people

    @property
    def error(self) -> RfappError | None:
        """What went wrong. SourceDamaged: what can be had of the video was looked at."""
        return self._error

    @property
    def complete(self) -> bool:
        """Whether all of the video that can be had was looked at."""
        return self._complete

    @property
    def progress(self) -> ScanProgress:
        """How far it is."""
        marks = self._marks
        duration = None if self._info is None else self._info.duration_s
        begun, looking = self._begun, self._looking
        if begun is not None and (looking is None or looking.knows):
            again = 0.0 if looking is None else min(1.0, looking.frames / len(begun.counts))
            return ScanProgress(begun.counts.end_s, duration, None, None, again)
        looked = marks[-1][1] if marks else 0.0
        if len(marks) < 2 or marks[-1][0] - marks[0][0] < _SPEED_EVERY_S:
            return ScanProgress(looked, duration, None, None)
        speed = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
        left = max(0.0, duration - looked) / speed if duration and speed > 0 else None
        return ScanProgress(looked, duration, speed, left)

    # ------------------------------------------------------------------------------------------------ its own thread

    def _run(self) -> None:
        give_way(10)
        try:
            with ExitStack() as stack:
                self._counting.inner = self._open_results(stack)
                if not self._cancelled.is_set():
                    detector = self._make_detector(_modest(self.settings.detector))
                    stack.enter_context(contextlib.closing(detector))
                    self._looking = self._open_looks(stack, detector)
                    self._look(self._looking)
        except RfappError as error:
            self._error = error
        except Exception as error:
            log.exception("scanning %s", self.video)
            self._error = RfappError(mark("That did not work: {error}"), error=error)

    def _look(self, detector: _Looking) -> None:
        item = Input(str(self.video), self.video, self.video.parent)
        batch = Batch(
            [item], detector, self._counting, {}, self.settings, on_frame=self._frame_done, on_end=self._ended
        )
        self._batch = batch
        if self._cancelled.is_set():  # between the look at it and here
            batch.stop()
        batch.run()

    def _open_results(self, stack: ExitStack) -> LineSink | None:
        path = self.results
        if path is None:
            return None
        file = _open(stack, path)
        return stack.enter_context(line_sink("csv" if path.suffix.lower() == ".csv" else "jsonl", file))

    def _open_looks(self, stack: ExitStack, detector: FaceDetector) -> _Looking:
        if self.looks is None and self._begun is None:
            return _Looking(detector)
        fingerprint = detector.fingerprint
        known = self._open_begun(stack, fingerprint)
        if self.looks is None:
            return _Looking(detector, known)
        file = _open(stack, self.looks)
        try:
            write_heading(file, self.settings, fingerprint)
        except OSError as error:
            raise cannot_write(self.looks, error) from None
        return _Looking(detector, known, (self.looks, file))

    def _open_begun(self, stack: ExitStack, fingerprint: str) -> Iterable[tuple[int, Detections]]:
        if self._begun is None:
            return ()
        try:
            file = stack.enter_context(self._begun.looks.open("rb"))
            heading = read_heading(file)
            if (heading["how"], heading.get("fingerprint")) == (how_of(self.settings), fingerprint):
                return read_looks(file)
            reason = f"it is by {heading.get('fingerprint')} with {heading['how']}, not by {fingerprint}"
        except (OSError, ValueError) as error:
            reason = str(error)
        log.info("the search in %s begins anew, %s can't be gone on with: %s", self.video, self._begun.looks, reason)
        self._begun = None
        return ()

    def _frame_done(self, _item: Input, info: SourceInfo | None, frame: Frame) -> None:
        now, marks = time.monotonic(), self._marks
        self._info = info
        if self._looking is not None and self._looking.knows:
            return  # this is no measure of how fast faces are found
        if not marks or now - marks[-1][0] >= _SPEED_EVERY_S:
            self._marks = (*(one for one in marks if now - one[0] <= _SPEED_OVER_S), (now, frame.time_s))

    def _ended(self, _item: Input, error: RfappError | None) -> None:
        self._error = error
        self._complete = error is None or isinstance(error, SourceDamaged)


def _modest(settings: DetectorSettings) -> DetectorSettings:
    """With as many threads as leave half of the cores to others. PyTorch has one number of threads for all its
    networks, which is not changed under the feet of a detector that runs."""
    if settings.engine == "torch":
        return settings
    half = max(1, machine.cores() // 2)
    return replace(settings, threads=min(settings.threads or half, half))


def _open(stack: ExitStack, path: Path) -> BinaryIO:
    try:
        return stack.enter_context(path.open("wb"))
    except OSError as error:
        raise cannot_write(path, error) from None


class _Looking:
    """The faces of one frame of a video after the other: those that are *known* (checksum of the picture, and faces),
    those that *detector* finds where the picture is another one or nothing is known any more. All of them are written
    to *log*, a path and the file that is open there."""

    def __init__(
        self,
        detector: Callable[..., Detections],
        known: Iterable[tuple[int, Detections]] = (),
        log: tuple[Path, BinaryIO] | None = None,
    ) -> None:
        self._detector = detector
        self._known, self._log = iter(known), log
        self._next = self._known_next()
        self.frames = 0

    @property
    def knows(self) -> bool:
        """Whether something is known of the frames to come."""
        return self._next is not None

    def __call__(self, image: ByteImage, **thresholds: Any) -> Detections:
        known = self._next
        if known is None and self._log is None:
            return self._detector(image, **thresholds)
        picture = picture_sum(image)
        faces = known[1] if known is not None and known[0] == picture else self._detector(image, **thresholds)
        if self._log is not None:
            path, file = self._log
            try:
                write_look(file, picture, faces)
            except OSError as error:
                raise cannot_write(path, error) from None
        self.frames += 1
        self._next = None if known is None else self._known_next()
        return faces

    def _known_next(self) -> tuple[int, Detections] | None:
        try:
            return next(self._known, None)
        except (OSError, ValueError) as error:
            log.info("what an earlier search found can't be read on: %s", error)
            return None


class _Counting(LineSink):
    """Counts what passes on its way to another sink."""

    def __init__(self) -> None:
        self.inner: LineSink | None = None
        self.people: int | None = None
        self._times, self._faces = array("d"), array("i")

    @property
    def counts(self) -> FaceCounts:
        times, faces = self._times[:], self._faces[:]  # at once; the other thread goes on
        return FaceCounts.of(times[: len(faces)], faces)

    def append(self, source: str, frame: Frame, faces: Detections) -> None:
        if self.inner is not None:
            self.inner.append(source, frame, faces)
        self._times.append(frame.time_s)
        self._faces.append(len(faces))

    def summarise(self, source: str, people: int, tracks: Sequence[Mapping[str, float]]) -> None:
        if self.inner is not None:
            self.inner.summarise(source, people, tracks)
        self.people = people

    def fail(self, source: str, sentence: str) -> None:
        if self.inner is not None:
            self.inner.fail(source, sentence)


def save_results(kept: Path, path: Path) -> None:
    """Copy the JSON lines in *kept* to *path*: as a table if it is named .csv. A last line that was cut off, as a
    killed program leaves it, stays out. Raises OutputError; no half is left."""
    table = path.suffix.lower() == ".csv"
    temporary = path.with_name(path.name + ".part")
    try:
        with kept.open("rb") as lines, temporary.open("wb") as file:
            whole = (line for line in lines if line.endswith(b"\n"))
            if table:
                to_csv(whole, file)
            else:
                file.writelines(whole)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
