"""A search that was cut short goes on: what comes of it is what an uninterrupted one finds, to the last byte."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rfapp.errors import RfappError
from rfapp.frames import ByteImage, Detections
from rfapp.runtime import VideoScan
from rfapp.runtime.kept_scans import KeptScan, KeptScans, looks_beside
from rfapp.runtime.looks import (
    Begun,
    how_id,
    picture_sum,
    read_begun,
    read_heading,
    read_looks,
    write_heading,
    write_look,
)
from rfapp.runtime.scan import save_results
from rfapp.settings import Settings
from tests.runtime.fakes import FakeDetector

FOLLOWED = Settings().changed(tracking_on=True)
#: In milliseconds: what a phone gives that runs out of breath.
UNEVEN = [0, 33, 66, 67, 133, 400, 401, 433, 500, 533, 566, 700, 1500, 1533, 1566, 1600, 1633, 1700, 1733, 1800, 1833]


def write_film(path: Path, ticks: list[int], options: dict[str, str]) -> Path:
    """Two bright squares that wander, one of them faint at times, over a ground that becomes another one halfway."""
    grounds = np.random.default_rng(1).integers(0, 90, (2, 48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "8", **options})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            image = grounds[int(number >= len(ticks) // 2)].repeat(2, axis=0).repeat(2, axis=1)
            image[20:44, 4 + 3 * number : 28 + 3 * number] = 250
            image[60:84, 90 - 2 * number : 114 - 2 * number] = 150 if number % 4 == 2 else 220
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


B_FRAMES = {"bf": "3", "b-adapt": "0", "g": "9", "x264-params": "open-gop=1:b-pyramid=normal"}
FILMS: dict[str, Callable[[Path], Path]] = {
    "uneven.mkv": lambda path: write_film(path, UNEVEN, {"bf": "0", "g": "250"}),
    "uneven-b.mkv": lambda path: write_film(path, UNEVEN, B_FRAMES),
    "b.mp4": lambda path: write_film(path, [60 * number for number in range(24)], B_FRAMES),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, make in FILMS.items():
        make(folder / name)
    return folder


@pytest.fixture
def film(films: Path) -> Path:
    return films / "uneven-b.mkv"


@pytest.fixture
def kept(tmp_path: Path) -> KeptScans:
    return KeptScans(tmp_path / "faces")


class Seer(FakeDetector):
    """Finds what is bright, in the left and in the right half: what it says hangs on every pixel. *end*: it cancels
    *scan* when it has seen so many frames."""

    scan: VideoScan
    end: int | None = None

    def __call__(self, image: ByteImage, **thresholds: object) -> Detections:
        if self.end is not None and len(self.calls) + 1 >= self.end:
            self.scan.cancel()
        self.calls.append(thresholds)
        boxes, scores = [], []
        for top in (0, 48):
            half = image[top : top + 48].astype(np.float64).mean(axis=2)
            rows, columns = np.nonzero(half > 128)
            weight = half[rows, columns]
            x, y = np.average(columns, weights=weight), np.average(rows, weights=weight) + top
            boxes.append([x - 12.0, y - 12.0, x + 12.0, y + 12.0])
            scores.append(weight.mean() / 260)
        found = np.flatnonzero(np.array(scores) >= thresholds.get("score", 0.6))
        order = found[np.argsort(-np.array(scores)[found], kind="stable")]
        box = np.array(boxes, np.float32)[order]
        points = np.stack([box[:, :2] + 2 * n / 3 for n in range(5)], axis=1) if len(box) else np.zeros((0, 5, 2))
        return Detections(box, np.array(scores, np.float32)[order], points.astype(np.float32))


def searched(
    kept: KeptScans,
    film: Path,
    settings: Settings | None = None,
    *,
    end: int | None = None,
    begun: Begun | None = None,
    fingerprint: str = "fake",
) -> tuple[VideoScan, list[Seer]]:
    """A scan of *film* that is over, and the detectors that it made. *end*: it was cancelled when so many frames had
    been looked at."""
    made: list[Seer] = []

    def make(detector_settings: object) -> Seer:
        seer = Seer(detector_settings)
        seer.scan, seer.end, seer.fingerprint = scan, end, fingerprint
        made.append(seer)
        return seer

    results = kept.new_results(film, settings or Settings())
    scan = VideoScan(film, settings, results=results, looks=looks_beside(results), begun=begun, make_detector=make)
    scan.start()
    assert scan.wait(20)
    return scan, made


def whole(kept: KeptScans, film: Path, settings: Settings | None = None) -> tuple[VideoScan, bytes]:
    """An uninterrupted search, in a folder of its own, and its results."""
    scan, _ = searched(KeptScans(kept._folder.with_name("straight")), film, settings)
    assert scan.complete
    return scan, scan.results.read_bytes()


def part(kept: KeptScans, film: Path, settings: Settings | None = None, *, end: int = 12) -> KeptScan:
    """What is kept of a search that was cancelled."""
    one = kept.keep(searched(kept, film, settings, end=end)[0])
    assert one is not None
    assert not one.complete
    return one


@pytest.mark.parametrize("settings", [Settings(), FOLLOWED], ids=["single", "followed"])
@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("end", [1, 2, 7, 12, 20])
def test_it_comes_to_what_an_uninterrupted_one_finds(
    kept: KeptScans, films: Path, name: str, settings: Settings, end: int
) -> None:
    film = films / name
    straight, lines = whole(kept, film, settings)
    kept.keep(searched(kept, film, settings, end=end)[0])
    begun = kept.find(film, settings).begun
    assert len(begun.counts) == end
    scan, (seer,) = searched(kept, film, settings, begun=begun)
    assert scan.results.read_bytes() == lines
    assert scan.looks.read_bytes() == straight.looks.read_bytes()
    assert (scan.counts.times.tolist(), scan.counts.faces.tolist(), scan.people, scan.complete) == (
        straight.counts.times.tolist(),
        straight.counts.faces.tolist(),
        straight.people,
        True,
    )
    assert len(seer.calls) == len(straight.counts) - end
    values = [json.loads(line) for line in lines.splitlines()]
    frames = [value for value in values if "faces" in value]
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    if settings.tracking.on:
        numbers = {face["track"] for frame in frames for face in frame["faces"]}
        assert len(numbers) > 2  # a new scene has begun
        assert straight.people == values[-1]["people"] > 0
        assert any(face["score"] < 0.6 for frame in frames for face in frame["faces"])


def test_it_may_be_cut_short_time_and_again(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    _, lines = whole(kept, film, FOLLOWED)
    looked = 0
    for _ in range(30):
        before = kept.find(film, FOLLOWED)
        scan, (seer,) = searched(kept, film, FOLLOWED, end=4, begun=before.begun if before else None)
        looked += len(seer.calls)
        assert scan.goes_on is (before is not None)
        if kept.keep(scan).complete:
            break
        if os.name == "posix":
            assert [path.stat().st_mode & 0o077 for path in (tmp_path / "faces").iterdir()] == [0, 0]
    assert kept.find(film, FOLLOWED).results.read_bytes() == lines
    assert looked == len(UNEVEN)
    assert {path.suffix for path in (tmp_path / "faces").iterdir()} == {".jsonl", ".json"}


def test_what_was_known_is_there_while_it_is_gone_through_again(
    kept: KeptScans, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = part(kept, film).begun
    told = []

    def sum_of(image: ByteImage) -> int:
        told.append((scan.progress, len(scan.counts), len(scan.written)))
        if len(told) == 6:
            scan.cancel()
        return picture_sum(image)

    results = kept.new_results(film, Settings())
    scan = VideoScan(film, results=results, looks=looks_beside(results), begun=begun, make_detector=Seer)
    assert (scan.progress.again, scan.progress.looked_s) == (0.0, begun.counts.end_s)
    monkeypatch.setattr("rfapp.runtime.scan.picture_sum", sum_of)
    scan.start()
    assert scan.wait(10)
    assert [round(progress.again * 12) for progress, _, _ in told] == list(range(6))
    assert {(progress.looked_s, progress.speed, progress.left_s) for progress, _, _ in told} == {
        (begun.counts.end_s, None, None)
    }
    assert [count for _, count, _ in told] == [12] * 6
    assert [count for _, _, count in told] == list(range(6))
    one = kept.keep(scan)  # cancelled before it was where it had been
    assert len(one.counts) == len(one.begun.counts) == 12
    assert not results.exists()
    assert not looks_beside(results).exists()
    scan, _ = searched(kept, film, begun=begun)
    assert scan.progress.again is None


def test_frames_that_are_others_now_are_looked_at_anew(kept: KeptScans, film: Path) -> None:
    _, lines = whole(kept, film)
    begun = part(kept, film).begun
    with begun.looks.open("rb") as file:
        read_heading(file)
        looks = list(read_looks(file))
    with begun.looks.open("wb") as file:
        write_heading(file, Settings(), "fake")
        for number, (picture, faces) in enumerate(looks):
            wrong = number in (3, 8)
            write_look(file, picture + wrong, Detections.empty() if wrong else faces)
    scan, (seer,) = searched(kept, film, begun=begun)
    assert scan.results.read_bytes() == lines
    assert len(seer.calls) == len(UNEVEN) - 10


def test_what_is_gone_on_with_is_not_written_over(kept: KeptScans, film: Path) -> None:
    begun = part(kept, film).begun
    with pytest.raises(ValueError, match="gone on with"):
        VideoScan(film, looks=begun.looks, begun=begun)


# ------------------------------------------------------------------------------------------------- what is of no use


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda old: b"", "no heading"),
        (lambda old: b"\x00" * 3000, "no heading"),
        (lambda old: b"[]\n" + old, "no heading"),
        (lambda old: b"{\n" + old, "Expecting"),
        (lambda old: old.replace(b'"rfapp": "', b'"rfapp": "9', 1), "another version"),
        (lambda old: old.replace(b'"form": 1', b'"form": 0', 1), "another version"),
        (lambda old: old[:900] + bytes([old[900] ^ 1]) + old[901:], "damaged"),
    ],
)
def test_what_is_damaged_or_by_another_version_is_left_alone_and_told(
    kept: KeptScans, film: Path, caplog: pytest.LogCaptureFixture, content: Callable[[bytes], bytes], words: str
) -> None:
    _, lines = whole(kept, film)
    begun = part(kept, film).begun
    begun.looks.write_bytes(content(begun.looks.read_bytes()))
    caplog.set_level(logging.INFO, "rfapp")
    assert kept.find(film) is None
    assert [words in record.message for record in caplog.records] == [True]
    # Should it happen after it was found, the search itself takes no harm.
    scan, (seer,) = searched(kept, film, begun=begun)
    assert scan.results.read_bytes() == lines
    if words == "damaged":  # what stands before the damage is as it was
        assert len(UNEVEN) - 12 < len(seer.calls) < len(UNEVEN)
    else:
        assert len(seer.calls) == len(UNEVEN)
        assert not scan.goes_on
    assert any("can't be" in record.message for record in caplog.records[1:])
    assert kept.keep(scan).complete


def test_a_file_cut_at_any_byte_or_with_any_byte_changed_brings_nothing_wrong(kept: KeptScans, film: Path) -> None:
    begun = part(kept, film, end=4).begun
    content = begun.looks.read_bytes()
    heading = content.index(b"\n") + 1
    with io.BytesIO(content[heading:]) as file:
        looks = [(picture, faces.to_dict()) for picture, faces in read_looks(file)]
    assert len(looks) == 4

    def read(changed: bytes) -> list[tuple[int, dict]]:
        found = []
        with io.BytesIO(changed) as file:
            try:
                for picture, faces in read_looks(file):
                    found.append((picture, faces.to_dict()))
            except ValueError:
                pass
        return found

    for at in range(heading, len(content)):
        cut = read(content[heading:at])
        assert cut == looks[: len(cut)]
        changed = read(content[heading:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        assert changed == looks[: len(changed)]
        assert len(changed) < 4


def test_other_settings_begin_anew_and_both_parts_stay(kept: KeptScans, film: Path) -> None:
    other = Settings().changed(detector_score=0.9)
    first = part(kept, film, end=12)
    found = kept.find(film, other)
    assert len(found.counts) == 12  # it is shown
    assert (found.score, found.begun) == (0.6, None)  # but is nothing to go on with
    second = part(kept, film, other, end=5)
    assert (first.how, second.how) == (how_id(Settings()), how_id(other))
    for settings, frames in ((Settings(), 12), (other, 5)):
        assert len(kept.find(film, settings).counts) == len(kept.find(film, settings).begun.counts) == frames
    # Whoever takes the wrong one all the same gets nothing wrong.
    _, lines = whole(kept, film, other)
    scan, (seer,) = searched(kept, film, other, begun=first.begun)
    assert scan.results.read_bytes() == lines
    assert not scan.goes_on
    assert len(seer.calls) == len(UNEVEN)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"detector_model": "mobilenet0.5"}, False),
        ({"detector_size": 320}, False),
        ({"detector_score": 0.61}, False),
        ({"detector_nms": 0.5}, False),
        ({"detector_precision": "float32"}, False),
        ({"detector_second_pass": "half"}, False),
        ({"tracking_on": True}, False),
        ({"detector_threads": 2}, True),
        ({"tracking_smooth": False, "tracking_gap": 3.0}, True),
        ({"hiding_how": "blur", "view_boxes": False}, True),
    ],
)
def test_which_settings_matter(change: dict[str, object], same: bool) -> None:
    assert (how_id(Settings().changed(**change)) == how_id(Settings())) is same


def test_how_faces_are_followed_may_change_in_between(kept: KeptScans, film: Path) -> None:
    trembling = FOLLOWED.changed(tracking_smooth=False, tracking_gap=0.2)
    _, lines = whole(kept, film, trembling)
    _, steady = whole(kept, film, FOLLOWED)
    assert lines != steady
    scan, (seer,) = searched(kept, film, trembling, begun=part(kept, film, FOLLOWED).begun)
    assert scan.results.read_bytes() == lines
    assert len(seer.calls) == len(UNEVEN) - 12


def test_another_network_under_the_same_name_begins_anew(
    kept: KeptScans, film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = part(kept, film).begun
    caplog.set_level(logging.INFO, "rfapp")
    scan, (seer,) = searched(kept, film, begun=begun, fingerprint="another")
    assert len(seer.calls) == len(UNEVEN)
    assert not scan.goes_on
    assert "begins anew" in caplog.text


def test_another_video_under_the_same_name_begins_anew(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(film, tmp_path / "film.mkv"))
    begun = part(kept, copy).begun
    assert kept.is_of(begun, copy)
    os.utime(copy, (1, 1))
    assert not kept.is_of(begun, copy)
    assert kept.find(copy) is None
    copy.unlink()
    assert not kept.is_of(begun, copy)
    assert kept.find(copy) is None


def test_a_video_that_changes_meanwhile_is_not_taken_for_the_one_before(
    kept: KeptScans, film: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(film, tmp_path / "film.mkv"))
    scan, _ = searched(kept, copy)
    os.utime(copy, (1, 1))
    kept.keep(scan)
    assert kept.find(copy) is None


# -------------------------------------------------------------------------------------------------------- what is kept


def test_a_whole_one_takes_the_place_of_its_part_and_leaves_other_parts(kept: KeptScans, film: Path) -> None:
    other = Settings().changed(detector_score=0.9)
    part(kept, film)
    part(kept, film, other, end=5)
    one = kept.keep(searched(kept, film, begun=kept.find(film).begun)[0])
    assert one.complete
    assert one.begun is None
    assert kept.find(film).begun is None
    found = kept.find(film, other)
    assert found.complete
    assert len(found.begun.counts) == 5  # what a search in these settings goes on with
    again = kept.keep(searched(kept, film, other, end=3, begun=found.begun)[0])
    assert again.complete
    assert len(again.begun.counts) == 8
    assert kept.keep(searched(kept, film, end=3)[0]).begun is None  # there is all of it already
    assert kept.find(film).begun is None


def test_a_killed_program_leaves_what_the_next_one_goes_on_with(kept: KeptScans, film: Path, tmp_path: Path) -> None:
    _, lines = whole(kept, film, FOLLOWED)
    program = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from tests.runtime.test_looks import FOLLOWED, KeptScans, Seer, VideoScan, looks_beside

        class Dying(Seer):
            def __call__(self, image, **thresholds):
                if len(self.calls) == 9:
                    os._exit(9)
                return super().__call__(image, **thresholds)

        film = Path(sys.argv[1])
        results = KeptScans(Path(sys.argv[2])).new_results(film, FOLLOWED)
        scan = VideoScan(film, FOLLOWED, results=results, looks=looks_beside(results), make_detector=Dying)
        scan.start()
        scan.wait()
    """)
    command = [sys.executable, "-c", program, str(film), str(tmp_path / "faces")]
    died = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, timeout=60)
    assert died.returncode == 9
    left = kept.find(film, FOLLOWED)
    assert len(left.counts) == len(left.begun.counts) == 9
    with left.results.open("ab") as file:
        file.write(b'{"source": "half a li')
    os.truncate(left.begun.looks, left.begun.looks.stat().st_size - 5)
    left = kept.find(film, FOLLOWED)
    assert len(left.counts) == len(left.begun.counts) == 8
    save_results(left.results, tmp_path / "saved.jsonl")
    save_results(left.results, tmp_path / "saved.csv")
    assert (tmp_path / "saved.jsonl").read_bytes() == b"".join(lines.splitlines(keepends=True)[:9])
    assert len((tmp_path / "saved.csv").read_text().splitlines()) > 9
    scan, (seer,) = searched(kept, film, FOLLOWED, begun=left.begun)
    assert scan.results.read_bytes() == lines
    assert len(seer.calls) == len(UNEVEN) - 8


def test_what_others_left_goes_when_one_comes_further_but_not_what_is_being_written(
    kept: KeptScans, film: Path
) -> None:
    old, at_work = (searched(kept, film, end=frames)[0] for frames in (3, 4))
    for path in (old.results, old.looks):
        os.utime(path, (1, 1))
    assert kept.keep(searched(kept, film, end=2)[0]).results == at_work.results  # the furthest
    assert old.looks.exists()
    part(kept, film)
    assert not old.results.exists()
    assert not old.looks.exists()
    assert at_work.results.exists()
    assert at_work.looks.exists()


def test_a_failure_of_the_network_is_no_reason_to_begin_anew(kept: KeptScans, film: Path) -> None:
    _, lines = whole(kept, film)

    class Failing(Seer):
        def __call__(self, image: ByteImage, **thresholds: object) -> Detections:
            if len(self.calls) == 6:
                raise RfappError("It stopped.")
            return super().__call__(image, **thresholds)

    results = kept.new_results(film, Settings())
    scan = VideoScan(film, results=results, looks=looks_beside(results), make_detector=Failing)
    scan.start()
    assert scan.wait(10)
    begun = kept.keep(scan).begun
    assert len(begun.counts) == 6
    assert searched(kept, film, begun=begun)[0].results.read_bytes() == lines


@pytest.mark.parametrize("name", ["corrupt_middle.mp4", "cut_short.mkv"])
def test_a_damaged_video_is_told_just_as_it_is_without_a_break(kept: KeptScans, test_data: Path, name: str) -> None:
    video = test_data / "clips" / "broken" / name

    def scanned(begun: Begun | None, end: int | None) -> VideoScan:
        class Ending(FakeDetector):
            def __call__(self, image: ByteImage, **thresholds: object) -> Detections:
                if end is not None and len(self.calls) + 1 >= end:
                    scan.cancel()
                return super().__call__(image, **thresholds)

        results = kept.new_results(video, Settings())
        scan = VideoScan(video, results=results, looks=looks_beside(results), begun=begun, make_detector=Ending)
        scan.start()
        assert scan.wait(30)
        return scan

    straight = scanned(None, None)
    scan = scanned(kept.keep(scanned(None, 60)).begun, None)
    assert scan.goes_on
    assert scan.error.message == straight.error.message
    assert scan.results.read_bytes() == straight.results.read_bytes()


def test_parts_have_a_bound_and_leave_nothing_behind(
    kept: KeptScans, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part(kept, film)
    size = sum(path.stat().st_size for path in (tmp_path / "faces").iterdir())
    monkeypatch.setattr("rfapp.runtime.kept_scans._BYTES", round(3.5 * size))
    for number in range(4):
        copy = Path(shutil.copy(film, tmp_path / f"{number}.mkv"))
        one = part(kept, copy)
        for path in (one.results, one.begun.looks):
            os.utime(path, (10 + number, 10 + number))
    last = part(kept, film, Settings().changed(detector_score=0.5))
    assert [kept.find(tmp_path / f"{number}.mkv") is not None for number in range(4)] == [False, False, False, True]
    stems = {path.stem for path in (tmp_path / "faces").iterdir()}
    assert all((tmp_path / "faces" / f"{stem}.jsonl").exists() for stem in stems)
    assert last.results.exists()


def test_a_disk_that_is_full_ends_it_and_leaves_a_part(
    kept: KeptScans, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, lines = whole(kept, film)

    def full(file: object, picture: int, faces: Detections) -> None:
        if full.left == 0:
            raise OSError(28, "No space left on device")
        full.left -= 1
        write_look(file, picture, faces)

    full.left = 5
    with monkeypatch.context() as patch:
        patch.setattr("rfapp.runtime.scan.write_look", full)
        scan, _ = searched(kept, film)
    assert "No space left" in scan.error.message
    begun = kept.keep(scan).begun
    assert len(begun.counts) == 5
    assert searched(kept, film, begun=begun)[0].results.read_bytes() == lines


# ---------------------------------------------------------------------------------------------------------- the format


@pytest.mark.parametrize(
    "faces",
    [
        Detections.empty(),
        Detections.empty(landmarks=False),
        Detections(np.array([[1.5, -2, 3e4, 1 / 3]], np.float32), np.array([0.7], np.float32)),
        Detections(*(np.random.default_rng(3).random(shape, np.float32) for shape in ((4, 4), (4,), (4, 5, 2)))),
    ],
)
def test_faces_come_back_to_the_last_bit(tmp_path: Path, faces: Detections) -> None:
    path = tmp_path / "a.looks"
    with path.open("wb") as file:
        write_heading(file, FOLLOWED, "ä print")
        write_look(file, 2**32 - 1, faces)
    with path.open("rb") as file:
        assert read_heading(file)["fingerprint"] == "ä print"
        ((picture, read),) = read_looks(file)
    assert picture == 2**32 - 1
    assert read.boxes.tobytes() == faces.boxes.tobytes()
    assert read.scores.tobytes() == faces.scores.tobytes()
    assert (read.landmarks is None) is (faces.landmarks is None)
    assert read.landmarks is None or read.landmarks.tobytes() == faces.landmarks.tobytes()
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert len(read_begun(tmp_path / "a.jsonl", path)[1].counts) == 0


def test_pictures_are_told_apart() -> None:
    image = np.random.default_rng(2).integers(0, 255, (90, 60, 3), np.uint8)
    other = image.copy()
    other[40:48, 30] += 1
    assert picture_sum(image) == picture_sum(image.copy())
    assert len({picture_sum(one) for one in (image, other, image.reshape(60, 90, 3), image[::-1])}) == 4
