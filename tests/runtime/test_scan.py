"""A whole video in the background: what is found, what is written, how it ends, and what is kept."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rfapp.errors import EngineFailed, OutputError, RfappError, SourceDamaged, SourceNotFound
from rfapp.frames import Detections
from rfapp.runtime import VideoScan
from rfapp.runtime.kept_scans import KeptScans, looks_beside
from rfapp.runtime.looks import Begun
from rfapp.runtime.scan import save_results
from rfapp.settings import DetectorSettings, Settings
from tests.runtime.film import FACES, RATE, Counter, make_film


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    Counter.made.clear()
    Counter.let.set()
    yield
    Counter.let.set()
    assert not [thread for thread in threading.enumerate() if thread.name in ("scan", "reader")]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "Ünter wegs.mp4")


def scanned(video: Path, settings: Settings | None = None, results: Path | None = None) -> VideoScan:
    scan = VideoScan(video, settings, results=results, make_detector=Counter)
    scan.start()
    assert scan.wait(20)
    return scan


def test_every_frame_is_looked_at(film: Path) -> None:
    scan = scanned(film)
    assert scan.counts.faces.tolist() == FACES
    assert scan.counts.times == pytest.approx(np.arange(len(FACES)) / RATE, abs=1e-3)
    assert [(round(one.begin_s, 2), round(one.end_s, 2), one.most) for one in scan.counts.stretches()] == [
        (0.5, 1.25, 1),
        (2.75, 3.5, 2),
    ]
    assert scan.complete
    assert scan.error is None
    assert not scan.running
    assert Counter.made[0].closed


def test_it_detects_as_the_settings_want_and_leaves_half_of_the_processor(film: Path, monkeypatch) -> None:
    monkeypatch.setattr("rfapp.engines.machine.cores", lambda: 8)
    settings = Settings().changed(detector_size=320, detector_score=0.8, hiding_how="blur", detector_threads=6)
    scan = scanned(film, settings)
    used = Counter.made[0].settings
    assert (used.size, used.score, used.threads) == (320, 0.8, 4)
    assert Counter.made[0].calls[0] == {}  # hiding would look for fainter faces
    assert scan.settings.hiding.how == "off"
    scanned(film, settings.changed(detector_threads=1))
    assert Counter.made[1].settings.threads == 1
    scanned(film, settings.changed(detector_engine="torch"))
    assert Counter.made[2].settings.threads == 6


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_it_gives_way_to_everything_else(film: Path) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    scanned(film)
    assert Counter.made[0].priority == min(before + 10, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_people_are_counted_where_faces_are_followed(film: Path) -> None:
    assert scanned(film).people is None
    assert scanned(film, Settings().changed(tracking_on=True)).people == 3


def test_results_are_those_of_the_command_line(film: Path, tmp_path: Path) -> None:
    for results in (tmp_path / "film.jsonl", tmp_path / "film.csv"):
        scanned(film, results=results)
    lines = [json.loads(line) for line in (tmp_path / "film.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [len(line["faces"]) for line in lines] == FACES
    assert {line["source"] for line in lines} == {str(film)}
    save_results(tmp_path / "film.jsonl", tmp_path / "saved.csv")
    assert (tmp_path / "saved.csv").read_bytes() == (tmp_path / "film.csv").read_bytes()
    save_results(tmp_path / "film.jsonl", tmp_path / "saved.jsonl")
    assert (tmp_path / "saved.jsonl").read_bytes() == (tmp_path / "film.jsonl").read_bytes()
    with pytest.raises(OutputError, match="can't be written"):
        save_results(tmp_path / "film.jsonl", tmp_path / "no folder" / "saved.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"film.jsonl", "film.csv", "saved.csv", "saved.jsonl"}


def test_what_was_found_until_it_is_cancelled_stays(film: Path) -> None:
    Counter.let.clear()
    scan = VideoScan(film, make_detector=Counter)
    scan.start()
    while not Counter.made:
        time.sleep(0.01)
    assert scan.running
    began = time.monotonic()
    scan.cancel()
    Counter.let.set()
    assert scan.wait(5)
    assert time.monotonic() - began < 3
    assert len(scan.counts) < len(FACES)
    assert not scan.complete
    assert scan.error is None
    assert Counter.made[0].closed


def test_cancelled_before_it_has_begun_it_makes_nothing(film: Path) -> None:
    scan = VideoScan(film, make_detector=Counter)
    scan.cancel()
    scan.start()
    assert scan.wait(5)
    assert not Counter.made
    assert not scan.complete


def test_how_far_it_is_and_how_fast(film: Path, monkeypatch) -> None:
    clock = iter(np.arange(0.0, 1000.0, 0.5))
    monkeypatch.setattr("rfapp.runtime.scan.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    scan = VideoScan(film, make_detector=Counter)
    assert scan.progress.part is None
    scan.start()
    assert scan.wait(20)
    progress = scan.progress
    assert progress.speed == pytest.approx(1 / RATE / 0.5, rel=0.01)
    assert progress.duration_s == pytest.approx(len(FACES) / RATE, abs=0.1)
    assert progress.part == pytest.approx(1.0, abs=0.05)
    assert progress.left_s == pytest.approx((progress.duration_s - progress.looked_s) / progress.speed)


@pytest.mark.parametrize(
    ("name", "error", "complete", "frames"),
    [
        ("cut_short.mkv", SourceDamaged, True, 20),
        ("corrupt_middle.mp4", SourceDamaged, True, 20),
        ("zero_byte.mp4", RfappError, False, 0),
        ("text_renamed.mp4", RfappError, False, 0),
    ],
)
def test_of_a_damaged_video_what_can_be_had_is_looked_at(
    test_data: Path, name: str, error: type, complete: bool, frames: int
) -> None:
    scan = scanned(test_data / "clips" / "broken" / name)
    assert isinstance(scan.error, error)
    assert scan.complete is complete
    assert len(scan.counts) >= frames


def test_a_video_that_is_not_there_is_told(tmp_path: Path) -> None:
    scan = scanned(tmp_path / "gone.mp4")
    assert isinstance(scan.error, SourceNotFound)
    assert not scan.complete


@pytest.mark.parametrize(("problem", "kind"), [(EngineFailed("It stopped."), EngineFailed), (KeyError(3), RfappError)])
def test_a_detector_that_fails_is_told(film: Path, problem: Exception, kind: type) -> None:
    def make(settings: DetectorSettings) -> Counter:
        detector = Counter(settings)
        detector.broken = problem
        return detector

    scan = VideoScan(film, make_detector=make)
    scan.start()
    assert scan.wait(10)
    assert isinstance(scan.error, kind)
    assert not scan.complete
    assert Counter.made[0].closed


def test_results_that_can_not_be_written_are_told(film: Path, tmp_path: Path) -> None:
    assert isinstance(scanned(film, results=tmp_path / "no folder" / "a.jsonl").error, OutputError)


# ------------------------------------------------------------------------------------------------------- what is kept


@pytest.fixture
def kept(tmp_path: Path) -> KeptScans:
    return KeptScans(tmp_path / "faces")


def kept_scan(
    kept: KeptScans,
    film: Path,
    settings: Settings | None = None,
    *,
    frames: int | None = None,
    begun: Begun | None = None,
) -> VideoScan:
    """Scan *film*, all of it or so many *frames* that are looked at."""

    class Some(Counter):
        def __call__(self, image: np.ndarray, **thresholds: object) -> Detections:
            if frames is not None and len(self.calls) + 1 >= frames:
                scan.cancel()
            return super().__call__(image, **thresholds)

    results = kept.new_results(film, settings or Settings())
    scan = VideoScan(film, settings, results=results, looks=looks_beside(results), begun=begun, make_detector=Some)
    scan.start()
    assert scan.wait(20)
    return scan


def test_what_was_found_is_there_the_next_time(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    assert kept.find(film) is None
    scan = kept_scan(kept, film)
    for one in (kept.keep(scan), KeptScans(tmp_path / "faces").find(film)):
        assert one is not None
        assert one.counts.faces.tolist() == FACES
        assert one.complete
        assert (one.model, one.size, one.score) == ("mobilenet0.25", 640, 0.6)
        assert len(one.results.read_bytes().splitlines()) == len(FACES)
    if os.name == "posix":
        assert [path.stat().st_mode & 0o077 for path in (tmp_path / "faces").iterdir()] == [0, 0]


def test_a_part_never_takes_the_place_of_the_whole(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    few = kept.keep(kept_scan(kept, film, frames=5))
    assert few is not None
    assert len(few.counts) == 5
    assert not few.complete
    assert len(kept.keep(kept_scan(kept, film, frames=20)).counts) == 20
    assert len(kept.keep(kept_scan(kept, film, frames=5)).counts) == 20
    assert kept.keep(kept_scan(kept, film)).complete
    assert kept.keep(kept_scan(kept, film, frames=30)).complete
    assert kept.find(film).complete
    assert not list((tmp_path / "faces").glob("*.part"))


def test_another_video_of_the_same_name_is_another_one(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "film.mp4"
    copy.write_bytes(film.read_bytes())
    kept.keep(kept_scan(kept, copy))
    assert kept.find(copy) is not None
    assert kept.find(film) is None
    os.utime(copy, (1, 1))
    assert kept.find(copy) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"complete": true}', b"\xff\xfe"])
def test_what_can_not_be_read_is_not_there(kept: KeptScans, film: Path, tmp_path: Path, content: bytes) -> None:
    for suffix in (".json", ".jsonl"):
        one = kept.keep(kept_scan(kept, film))
        one.results.with_suffix(suffix).write_bytes(content + b"\n")
        found = kept.find(film)
        assert found is None or (suffix == ".jsonl" and not len(found.counts))


def test_room_is_made_and_leftovers_go(kept: KeptScans, film: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rfapp.runtime.kept_scans._VIDEOS", 2)
    left = kept.new_results(film, Settings())
    os.utime(left, (1, 1))
    at_work = kept.new_results(film, Settings())
    for number in range(4):
        copy = tmp_path / f"{number}.mp4"
        copy.write_bytes(film.read_bytes())
        one = kept.keep(kept_scan(kept, copy))
        os.utime(one.results, (10 + number, 10 + number))
    assert [kept.find(tmp_path / f"{number}.mp4") is not None for number in range(4)] == [False, False, True, True]
    assert not left.exists()
    assert at_work.exists()


def test_what_can_not_be_kept_is_there_for_now(kept: KeptScans, film: Path, tmp_path: Path, monkeypatch) -> None:
    copy = tmp_path / "film.mp4"
    copy.write_bytes(film.read_bytes())
    scan = kept_scan(kept, copy)
    copy.unlink()
    found = kept.keep(scan)
    assert found.counts.faces.tolist() == FACES
    save_results(found.results, tmp_path / "saved.jsonl")

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rfapp.runtime.kept_scans.write_whole", full)
    found = kept.keep(kept_scan(kept, film))
    assert found.counts.faces.tolist() == FACES
    assert found.results.exists()
    left = kept.find(film)  # as good as a part that was kept
    assert not left.complete
    assert left.begun.counts.faces.tolist() == FACES
