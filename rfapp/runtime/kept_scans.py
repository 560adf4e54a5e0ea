"""What was found in whole videos, kept for the next time that they are opened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfapp.runtime.face_counts import FaceCounts
from rfapp.runtime.scan import VideoScan
from rfapp.settings import Size, write_whole

log = logging.getLogger(__name__)

#: So many videos, and bytes of results, are kept; the oldest go first.
_VIDEOS, _BYTES = 50, 500_000_000
#: What nobody has written to for so long was left behind by a run that did not come to its end.
_LEFT_BEHIND_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class KeptScan:
    """What was found in one video. ``results``: the faces, as JSON lines. ``complete``: all of it was looked at.
    ``people``: counted, or None. ``model``, ``size`` and ``score``: how it was looked at."""

    results: Path
    counts: FaceCounts
    complete: bool
    people: int | None
    model: str
    size: Size
    score: float


class KeptScans:
    """The folder where results are kept, each under a name made of its video's path, length and time of change: when
    the video becomes another one, nothing is found for it. Files of our own making that can't be read count as not
    there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new_results(self, video: Path) -> Path:
        """A file of its own for a scan of *video* to write to. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=f"{_name_for(video)}-", suffix=".part")
        os.close(handle)
        return Path(name)

    def keep(self, scan: VideoScan) -> KeptScan | None:
        """Keep what *scan*, which has ended, has found, unless something better is kept already; the better one.
        What can't be kept is only missing the next time."""
        assert scan.results is not None
        assert not scan.running
        counts, before, detector = scan.counts, self.find(scan.video), scan.settings.detector
        better = before is None or scan.complete or (not before.complete and len(counts) > len(before.counts))
        if not (len(counts) and better):
            scan.results.unlink(missing_ok=True)
            return before
        facts: dict[str, Any] = {
            "complete": scan.complete,
            "people": scan.people,
            "model": detector.model,
            "size": detector.size,
            "score": detector.score,
        }
        results = scan.results
        try:
            name = self._folder / f"{_name_for(scan.video)}.jsonl"
            write_whole(name.with_suffix(".json"), json.dumps(facts).encode())
            results = results.replace(name)
        except OSError as error:  # the disk is full, or the video is gone
            log.warning("what was found in %s can't be kept: %s", scan.video, error)
        else:
            self._make_room()
        return KeptScan(results, counts, **facts)

    def find(self, video: Path) -> KeptScan | None:
        """What is kept of *video*, or None. Reads all of it, which takes a second for hours of video."""
        try:
            results = self._folder / f"{_name_for(video)}.jsonl"
            facts = json.loads(results.with_suffix(".json").read_bytes())
            with results.open("rb") as lines:
                counts = FaceCounts.read(lines)
            return KeptScan(results, counts, **facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.info("what was found in %s can't be read: %s", video, error)
            return None

    def _make_room(self) -> None:
        with contextlib.suppress(OSError):
            kept = sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
            for part in self._folder.glob("*.part"):
                if kept and kept[0].stat().st_mtime - part.stat().st_mtime > _LEFT_BEHIND_S:
                    part.unlink(missing_ok=True)
            total = 0
            for number, path in enumerate(kept):
                total += path.stat().st_size
                if number and (number >= _VIDEOS or total > _BYTES):
                    path.unlink(missing_ok=True)
                    path.with_suffix(".json").unlink(missing_ok=True)


def _name_for(video: Path) -> str:
    """Raises OSError where there is no *video*."""
    about = video.stat()
    facts = os.fsencode(video.resolve()), str(about.st_size).encode(), str(about.st_mtime_ns).encode()
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:32]
