"""Finding all faces of the video that is open, in the background, and what is known of it from before."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from rfapp.errors import RfappError
from rfapp.gui import dialogs
from rfapp.gui.scan_bar import ScanBar
from rfapp.gui.tasks import Task
from rfapp.gui.texts import clock, filled, sentence_of
from rfapp.gui.theme import Theme
from rfapp.gui.timeline import Timeline
from rfapp.places import cache_dir
from rfapp.runtime import FaceCounts, VideoScan
from rfapp.runtime.kept_scans import KeptScan, KeptScans, looks_beside
from rfapp.runtime.looks import Begun, how_id
from rfapp.runtime.scan import save_results
from rfapp.settings import Settings
from rfapp.sources import SourceInfo

log = logging.getLogger(__name__)

#: How far it is, and what was found, is looked at this often.
LOOK_EVERY_MS = 300
#: When the window closes, a scan has so many seconds for its last frame.
_ENDING_S = 5.0


def _tr(text: str) -> str:
    return QCoreApplication.translate("scan", text)


class ScanControl(QObject):
    """One scan at a time. It goes on when something else is opened, and what it has found is kept: whoever opens the
    video again finds it on the time line. ``said`` carries what the user should know at once.

    *remember*: keep it beyond this run of the program.
    """

    said = Signal(str)

    def __init__(self, theme: Theme, timeline: Timeline, *, remember: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timeline = timeline
        self.bar = ScanBar(theme)
        self._passing = None if remember else tempfile.TemporaryDirectory(prefix="rfapp-")
        self._kept = KeptScans(cache_dir() / "faces" if self._passing is None else Path(self._passing.name))
        self._video: Path | None = None  # what is open, if it is a video file
        self._found: KeptScan | None = None  # what is known of it
        self._settings = Settings()
        self._asked_how = ""  # what is known was looked up for these settings
        self._pending: object = None  # stands for the look-up that is under way
        self._start_when_known = False
        self._problem: tuple[Path, RfappError] | None = None
        self._scan: VideoScan | None = None
        self._full_screen = self._hidden = False
        self._tasks: set[Task] = set()
        self._timer = QTimer(self, interval=LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self._look_up_soon = QTimer(self, interval=LOOK_EVERY_MS, singleShot=True)
        self._look_up_soon.timeout.connect(self._look_up)
        self.bar.cancelled.connect(self.cancel)
        self.bar.over_wanted.connect(self.start_over)
        self.bar.save_wanted.connect(self.save)
        self.bar.put_away.connect(self._put_away)

    @property
    def running(self) -> VideoScan | None:
        """The scan that is under way."""
        return self._scan

    @property
    def possible(self) -> bool:
        """Whether all faces of what is open can be found."""
        return self._video is not None

    # ------------------------------------------------------------------------------------------------------ commands

    def use(self, settings: Settings) -> None:
        """From now on faces are looked for with these *settings*."""
        self._settings = settings
        if self._video is not None and how_id(settings) != self._asked_how:
            self._look_up_soon.start()  # a slider that is dragged passes many of them
            self._show()

    @Slot()
    def start(self) -> None:
        """Find all faces of the video that is open, or the rest of them, as the settings of now want it."""
        if self._video is None:
            return
        if self._scan is not None:
            if self._scan.video == self._video:
                self.bar.cancel.setFocus()
            else:
                text = self.tr("“{title}” is still being looked through. Wait for its end, or cancel it.")
                self.said.emit(text.format(title=self._scan.video.name))
        elif self._is_known:
            self._begin(None if self._found is None else self._found.begun)
        else:
            self._start_when_known = True
            if self._pending is None or self._asked_how != how_id(self._settings):
                self._look_up()

    @Slot()
    def start_over(self) -> None:
        """Find all faces of the video that is open from its beginning on."""
        if self._video is not None and self._scan is None:
            self._begin(None)

    def _begin(self, begun: Begun | None) -> None:
        assert self._video is not None
        if begun is not None and not self._kept.is_of(begun, self._video):
            begun = None
        try:
            results = self._kept.new_results(self._video, self._settings)
        except OSError as error:
            self.said.emit(filled(self.tr("The faces can't be kept: {error}"), error=error))
            return
        self._hidden = False
        self._problem = None
        self._scan = VideoScan(self._video, self._settings, results=results, looks=looks_beside(results), begun=begun)
        self._scan.start()
        self._timer.start()
        self._show()

    @Slot()
    def cancel(self) -> None:
        """End the scan; what was found is kept."""
        if self._scan is not None:
            self._scan.cancel()
            self.bar.cancel.setEnabled(False)

    @Slot()
    def save(self) -> None:
        """Ask for a file and write what was found to it."""
        found, video = self._found, self._video
        if found is None or video is None:
            return
        if (path := dialogs.ask_results_file(self.bar, video)) is not None:
            saved = self.tr("Saved as {path}").format(path=path)
            self._do(lambda _tell: save_results(found.results, path), lambda _none: self.said.emit(saved))

    def show_source(self, address: str, info: SourceInfo | None, *, full_screen: bool) -> None:
        """Something is open at *address*, or (None) nothing that plays."""
        self._full_screen = full_screen
        video = None
        if info is not None and info.seekable and not info.stills and info.duration_s:
            path = Path(address)
            video = path.resolve() if path.is_file() else None
        if video != self._video:
            self._video, self._found, self._hidden = video, None, False
            self._start_when_known = False
            self._look_up()
        self._show()

    def may_close(self) -> bool:
        """Ask whether to close the window although a scan is under way."""
        return self._scan is None or dialogs.ask_about_scan(self.bar, self._scan.video.name)

    def close(self) -> None:
        """The window closes: end what is under way, and keep what it has found."""
        self._timer.stop()
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.cancel()
            if scan.wait(_ENDING_S):
                with contextlib.suppress(OSError):
                    self._kept.keep(scan)
        if self._passing is not None:
            self._passing.cleanup()

    # -------------------------------------------------------------------------------------------- what becomes of it

    @Slot()
    def _look(self) -> None:
        scan = self._scan
        if scan is not None and not scan.running:
            self._timer.stop()
            self._do(
                lambda _tell: self._kept.keep(scan),
                lambda found: self._ended(scan, found),
                otherwise=lambda: self._ended(scan, None),
            )
        self._show()

    def _ended(self, scan: VideoScan, found: KeptScan | None) -> None:
        self._scan = None
        self.bar.cancel.setEnabled(True)
        self._problem = None if scan.error is None else (scan.video, scan.error)
        if scan.video == self._video:
            self._found, self._asked_how, self._pending = found, how_id(scan.settings), None
            if not self._is_known:  # the settings were changed meanwhile
                self._look_up()
        elif scan.error is not None and not scan.complete:
            self.said.emit(f"{scan.video.name}: {sentence_of(scan.error)}")
        elif scan.complete:
            text = self.tr("All faces of “{title}” are found. Open it again to see where they are.")
            self.said.emit(text.format(title=scan.video.name))
        self._show()

    @property
    def _is_known(self) -> bool:
        """Whether it is known what there is of the video that is open, for the settings of now."""
        return self._pending is None and self._asked_how == how_id(self._settings)

    @property
    def _has_rest(self) -> bool:
        """Whether a part is known, and a search would go on with it."""
        found = self._found
        return self._is_known and found is not None and not found.complete and found.begun is not None

    @Slot()
    def _look_up(self) -> None:
        """Look beside Qt's thread for what is known of the video that is open."""
        video, settings = self._video, self._settings
        self._look_up_soon.stop()
        self._asked_how, self._pending = how_id(settings), None
        if video is None:
            return
        pending = self._pending = object()
        self._do(
            lambda _tell: self._kept.find(video, settings),
            lambda found: self._was_found(pending, found),
            otherwise=lambda: self._was_found(pending, None),
        )

    def _was_found(self, pending: object, found: KeptScan | None) -> None:
        if pending is not self._pending:  # there is something newer
            return
        self._found, self._pending = found, None
        if self._start_when_known:
            self._start_when_known = False
            self.start()
        self._show()

    @Slot()
    def _put_away(self) -> None:
        self._hidden = True
        self._show()

    def _do(
        self, work: Callable[[Any], Any], done: Callable[[Any], None], otherwise: Callable[[], None] = lambda: None
    ) -> None:
        """*work* beside Qt's thread, and then *done* with what it gave; an error is told, and *otherwise* follows."""
        task = Task(work, self)
        self._tasks.add(task)
        task.succeeded.connect(done)
        task.failed.connect(lambda error: self.said.emit(sentence_of(error)))
        task.failed.connect(lambda _error: otherwise())
        for signal in (task.succeeded, task.failed):
            signal.connect(lambda _value, task=task: self._forget(task))
        task.start()

    def _forget(self, task: Task) -> None:
        self._tasks.discard(task)
        task.deleteLater()

    # --------------------------------------------------------------------------------------------------- what is shown

    def _show(self) -> None:
        scan = self._scan
        here = scan is not None and scan.video == self._video
        counts = scan.counts if here and scan is not None else None if self._found is None else self._found.counts
        rest = self._has_rest if scan is None or not here else scan.goes_on
        self._timeline.offer_finding(self._video is not None, running=here, rest=rest)
        self._timeline.show_counts(counts)
        problem = self._problem[1] if self._problem is not None and self._problem[0] == self._video else None
        if scan is not None:
            self.bar.show_progress(self._told(scan, here), scan.progress.part)
        elif counts is not None and self._found is not None:
            text = told_of_counts(counts, self._found.people, complete=self._found.complete)
            if problem is not None:
                text = f"{sentence_of(problem)} {text}"
            about = filled(
                self.tr("Found with {model}, size {size}, score {score:.2f}"),
                model=self._found.model,
                size=self._found.size,
                score=self._found.score,
            )
            self.bar.show_found(text, about, can_save=True, can_go_on=self._has_rest)
        elif problem is not None:
            self.bar.show_found(sentence_of(problem), "", can_save=False)
        shown = scan is not None or ((counts is not None or problem is not None) and not self._hidden)
        self.bar.setVisible(shown and not self._full_screen)
        self._timeline.band.setAccessibleDescription("" if counts is None else self.bar.text)

    def _told(self, scan: VideoScan, here: bool) -> str:
        if not scan.running or not self.bar.cancel.isEnabled():
            return self.tr("Ending…")
        what = self.tr("Finding all faces")
        if not here:
            what = self.tr("Finding all faces of “{title}”").format(title=scan.video.name)
        progress = scan.progress
        if progress.part is None:
            return f"{what}…"
        if progress.again is not None:
            going = self.tr("going to {time}, where it stopped: {percent} %")
            return f"{what} · " + going.format(time=clock(progress.looked_s), percent=int(progress.again * 100))
        told = f"{what}: {int(progress.part * 100)} %"
        if progress.left_s is not None and progress.speed is not None:
            told += " · " + self.tr("{time} left").format(time=clock(ceil(progress.left_s)))
            told += " · " + filled(self.tr("{speed:.1f}× real time"), speed=progress.speed)
        return told


def told_of_counts(counts: FaceCounts, people: int | None, *, complete: bool) -> str:
    """What was found in a video, in a line."""
    stretches = counts.stretches()
    seconds = sum(one.end_s - one.begin_s for one in stretches)
    if not stretches:
        told = _tr("No faces in this video") if complete else _tr("No faces so far")
    elif len(stretches) == 1:
        told = _tr("Faces in 1 stretch, {time} in all").format(time=clock(max(1.0, seconds)))
    else:
        told = _tr("Faces in {count} stretches, {time} in all").format(
            count=len(stretches), time=clock(max(1.0, seconds))
        )
    if people is not None:
        told += " · " + (_tr("1 person") if people == 1 else _tr("{count} people").format(count=people))
    if not complete:
        told += " · " + _tr("looked through up to {time}").format(time=clock(counts.end_s))
    return told
