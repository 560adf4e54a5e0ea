"""A whole video looked through in the background, while something else is on the screen."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rfapp.detector import FaceDetector
from rfapp.engines import machine
from rfapp.errors import RfappError, SourceDamaged
from rfapp.frames import Detections, Frame
from rfapp.runtime.batch import Batch
from rfapp.runtime.face_counts import FaceCounts
from rfapp.runtime.loader import MakeDetector
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
    video a second, ``left_s``: seconds that it will still take, both None until they are known."""

    looked_s: float
    duration_s: float | None
    speed: float | None
    left_s: float | None

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

    Every property may be read at any time and from any thread.
    """

    def __init__(
        self,
        video: str | Path,
        settings: Settings | None = None,
        *,
        results: Path | None = None,
        make_detector: MakeDetector = FaceDetector.from_settings,
    ) -> None:
        self.video = Path(video)
        self.settings = (settings or Settings()).changed(hiding_how="off")
        self.results = results
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
        """What was found so far."""
        return self._counting.counts

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
                    self._look(detector)
        except RfappError as error:
            self._error = error
        except Exception as error:
            log.exception("scanning %s", self.video)
            self._error = RfappError(mark("That did not work: {error}"), error=error)

    def _look(self, detector: FaceDetector) -> None:
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
        try:
            file = stack.enter_context(path.open("wb"))
        except OSError as error:
            raise cannot_write(path, error) from None
        return stack.enter_context(line_sink("csv" if path.suffix.lower() == ".csv" else "jsonl", file))

    def _frame_done(self, _item: Input, info: SourceInfo | None, frame: Frame) -> None:
        now, marks = time.monotonic(), self._marks
        self._info = info
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
    """Copy the JSON lines in *kept* to *path*: as a table if it is named .csv. Raises OutputError; no half is left."""
    table = path.suffix.lower() == ".csv"
    temporary = path.with_name(path.name + ".part")
    try:
        with kept.open("rb") as lines, temporary.open("wb") as file:
            if table:
                to_csv(lines, file)
            else:
                shutil.copyfileobj(lines, file)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
