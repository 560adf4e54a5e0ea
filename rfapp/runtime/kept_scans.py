"""What was found in whole videos, and in parts of them, kept for the next time that they are opened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rfapp.runtime.face_counts import FaceCounts
from rfapp.runtime.looks import Begun, how_id, read_begun
from rfapp.runtime.scan import VideoScan
from rfapp.settings import Settings, Size, write_whole

log = logging.getLogger(__name__)

#: So many searches, and bytes of results, are kept; the oldest go first.
_VIDEOS, _BYTES = 50, 500_000_000
#: What a run left that did not come to its end, and nobody has written to for so long, goes in any case.
_LEFT_BEHIND_S = 30 * 86_400.0
#: A search that has not written for so long is over; what it left goes when another one has come further.
_QUIET_S = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class KeptScan:
    """What was found in one video. ``results``: the faces, as JSON lines. ``complete``: all of it was looked at.
    ``people``: counted, or None. ``model``, ``size`` and ``score``: how it was looked at; ``how``: the same, with all
    else that matters, in short. ``begun``: with what a search can go on that has the settings that were asked for, or
    None. Of a complete one it is the beginning of another search."""

    results: Path
    counts: FaceCounts
    complete: bool
    people: int | None
    model: str
    size: Size
    score: float
    how: str = ""
    begun: Begun | None = None


class KeptScans:
    """The folder where results are kept, each under a name made of its video's path, length and time of change: when
    the video becomes another one, nothing is found for it. Files of our own making that can't be read count as not
    there.

    A whole video is ``VIDEO.jsonl`` and ``.json``; a part of it ``VIDEO-HOW.jsonl`` and ``.looks``, with what a search
    goes on (:mod:`rfapp.runtime.looks`); and what a search is writing ``VIDEO-HOW-….part`` and ``.looks``. The last
    is as good as a part should the program be killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new_results(self, video: Path, settings: Settings) -> Path:
        """A file of its own for a scan of *video* to write to; :func:`looks_beside` it is another. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{_name_for(video)}-{how_id(settings)}-"
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=prefix, suffix=".part")
        os.close(handle)
        looks_beside(Path(name)).touch(0o600)  # both can be read by the user alone
        return Path(name)

    def is_of(self, begun: Begun, video: Path) -> bool:
        """Whether *begun* is of *video* as it is now."""
        try:
            return begun.looks.name.startswith(f"{_name_for(video)}-")
        except OSError:
            return False

    def keep(self, scan: VideoScan) -> KeptScan | None:
        """Keep what *scan*, which has ended, has found, unless something better is kept already; the better one.
        What can't be kept is only missing the next time."""
        assert scan.results is not None
        assert scan.looks == looks_beside(scan.results)
        assert not scan.running
        name, how, _ = scan.results.stem.split("-")  # of the video as it was when the scan began
        before = self._find(name, how, leave_out=scan.results)
        one = _kept(scan, how)
        if not len(one.counts) or (not one.complete and before is not None and _better(before, one)):
            _remove(scan.results)
            return before
        try:
            one = self._put_whole(name, one) if one.complete else self._put_part(f"{name}-{how}", one)
        except OSError as error:  # the disk is full, say
            log.warning("what was found in %s can't be kept: %s", scan.video, error)
        else:
            self._clear_up(f"{name}-{how}", one.results)
            self._make_room()
        if before is not None and before.complete and not one.complete:
            return replace(before, begun=one.begun)
        return one

    def find(self, video: Path, settings: Settings | None = None) -> KeptScan | None:
        """What is kept of *video*, or None: all of it before a part, and a part that a search with *settings* can go on
        with before others. Reads all of it, which takes a second for hours of video."""
        try:
            return self._find(_name_for(video), how_id(settings or Settings()))
        except OSError as error:
            log.info("what was found in %s can't be read: %s", video, error)
            return None

    def _find(self, name: str, how: str, leave_out: Path | None = None) -> KeptScan | None:
        whole = self._read_whole(self._folder / f"{name}.jsonl")
        left = [path for path in self._folder.glob(f"{name}-*.part") if path != leave_out]
        parts = [*self._folder.glob(f"{name}-*.jsonl"), *left]
        mine = [path for path in parts if path.stem.split("-")[1] == how]
        going_on = _longest(map(_read_part, mine))
        begun = None if going_on is None else going_on.begun
        if whole is not None:
            return replace(whole, begun=begun)
        if going_on is not None:
            return going_on
        other = _longest(map(_read_part, (path for path in parts if path not in mine)))
        return None if other is None else replace(other, begun=None)

    def _read_whole(self, results: Path) -> KeptScan | None:
        try:
            facts = json.loads(results.with_suffix(".json").read_bytes())
            with results.open("rb") as lines:
                found = KeptScan(results, FaceCounts.read(lines), **facts)
            if not found.complete:
                raise ValueError("it is a part, by another version")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.info("what was found can't be read in %s: %s", results, error)
            return None
        return found

    def _put_whole(self, name: str, one: KeptScan) -> KeptScan:
        facts = {key: getattr(one, key) for key in ("complete", "people", "model", "size", "score", "how")}
        results = self._folder / f"{name}.jsonl"
        write_whole(results.with_suffix(".json"), json.dumps(facts).encode())
        one.results.replace(results)
        _remove(one.results)
        _remove(self._folder / f"{name}-{one.how}.jsonl")
        return replace(one, results=results)

    def _put_part(self, name: str, one: KeptScan) -> KeptScan:
        assert one.begun is not None
        results = self._folder / f"{name}.jsonl"
        looks = one.begun.looks.replace(looks_beside(results))
        return replace(one, results=one.results.replace(results), begun=Begun(looks, one.counts))

    def _clear_up(self, part: str, results: Path) -> None:
        """Drop what searches left that have not come as far as *results*, which lie in their place now."""
        with contextlib.suppress(OSError):
            for left in self._folder.glob(f"{part}-*.part"):
                if results.stat().st_mtime - left.stat().st_mtime > _QUIET_S:
                    _remove(left)

    def _make_room(self) -> None:
        with contextlib.suppress(OSError):
            times = {
                path: path.stat().st_mtime for ending in ("jsonl", "part") for path in self._folder.glob(f"*.{ending}")
            }
            videos = total = 0
            for path in sorted(times, key=lambda path: times[path], reverse=True):
                videos += path.suffix == ".jsonl"
                total += sum(file.stat().st_size for file in (path, looks_beside(path)) if file.exists())
                left_behind = path.suffix == ".part" and max(times.values()) - times[path] > _LEFT_BEHIND_S
                if left_behind or (videos > 1 and (videos > _VIDEOS or total > _BYTES)):
                    _remove(path)
            for looks in self._folder.glob("*.looks"):
                if not any(looks.with_suffix(ending).exists() for ending in (".jsonl", ".part")):
                    looks.unlink(missing_ok=True)


def looks_beside(results: Path) -> Path:
    """Where the looks lie that belong to *results*."""
    return results.with_suffix(".looks")


def _kept(scan: VideoScan, how: str) -> KeptScan:
    """What *scan* has found, where it lies."""
    assert scan.results is not None
    detector, counts = scan.settings.detector, scan.written
    facts: dict[str, Any] = {"model": detector.model, "size": detector.size, "score": detector.score, "how": how}
    begun = None if scan.complete or scan.looks is None else Begun(scan.looks, counts)
    return KeptScan(scan.results, counts, scan.complete, scan.people, **facts, begun=begun)


def _better(before: KeptScan, part: KeptScan) -> bool:
    """Whether what was there *before* leaves nothing to be kept of the *part*, which was found just now."""
    if before.complete and before.how == part.how:
        return True
    return before.begun is not None and len(before.begun.counts) >= len(part.counts)


def _read_part(results: Path) -> KeptScan | None:
    try:
        if results.suffix == ".part" and not looks_beside(results).stat().st_size:
            return None  # the search has not come to its first frame
        heading, begun = read_begun(results, looks_beside(results))
        how = heading["how"]
        facts = {key: how[key] for key in ("model", "size", "score")}
    except FileNotFoundError:  # gone in the meantime
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.info("what was found can't be gone on with, %s: %s", results, error)
        return None
    if not len(begun.counts):
        return None
    return KeptScan(results, begun.counts, False, None, **facts, how=results.stem.split("-")[1], begun=begun)


def _longest(parts: Iterable[KeptScan | None]) -> KeptScan | None:
    return max((part for part in parts if part is not None), key=lambda part: len(part.counts), default=None)


def _remove(results: Path) -> None:
    """*results*, and what lies beside them."""
    for path in (results, looks_beside(results), results.with_suffix(".json")):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _name_for(video: Path) -> str:
    """Raises OSError where there is no *video*."""
    about = video.stat()
    facts = os.fsencode(video.resolve()), str(about.st_size).encode(), str(about.st_mtime_ns).encode()
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:32]
