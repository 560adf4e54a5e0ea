"""Examples to learn from: what is written is what the data sets' readers and the trainer's loader take."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfapp.datasets import Sample, clean, open_dataset, summarise
from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.locks import try_lock, unlock
from rfapp.sinks import examples
from rfapp.sinks.examples import Count, ExampleFolder
from rfapp.sources import read_picture

WIDTH, HEIGHT = 96, 64
BOXES = np.array([[10.126, 8.5, 40.25, 38.754], [50, 10, 80, 42.5]], np.float32)


def frame_of(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8), seed, 0.0, 0.0)


def faces_of(boxes: np.ndarray = BOXES, *, landmarks: bool = True) -> Detections:
    parts = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    points = boxes[:, None, :2] + parts * (boxes[:, None, 2:] - boxes[:, None, :2])
    return Detections(boxes, np.linspace(0.9, 0.7, len(boxes), dtype=np.float32), points if landmarks else None)


def samples_in(folder: ExampleFolder) -> dict[str, Sample]:
    """What a training gets: every label is read and cleaned without a word."""
    dataset = open_dataset(folder.path / "label.txt")
    cleaned = clean(dataset, decode=True)
    assert not [finding for finding in cleaned.findings.kept if finding.kind != "empty"]
    return {sample.picture.name: sample for sample in cleaned.samples}


@pytest.fixture
def folder(tmp_path: Path) -> ExampleFolder:
    return ExampleFolder(tmp_path / "examples")


def contents(folder: ExampleFolder) -> dict[str, bytes]:
    """Every file but the lock, which says nothing."""
    files = (path for path in folder.path.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files}


def test_the_picture_is_the_frame_bit_for_bit_and_the_labels_are_the_faces(folder: ExampleFolder) -> None:
    frame, faces = frame_of(0), faces_of()
    path = folder.keep(frame, faces)
    assert path.suffix == ".png"
    assert np.array_equal(read_picture(path), frame.image)
    sample = samples_in(folder)[path.name]
    assert np.abs(sample.boxes - faces.boxes).max() <= 0.011, "two decimals, of the corner and of the size"
    assert np.abs(sample.landmarks - faces.landmarks).max() <= 0.0051
    assert sample.known.all()
    assert not sample.ignore.any()
    assert set(contents(folder)) == {"label.txt", f"images/{path.name}"}
    assert [sample.picture for sample in open_dataset(folder.path).samples] == [path], "the folder alone is enough"


def test_faces_of_a_model_without_landmarks(folder: ExampleFolder) -> None:
    path = folder.keep(frame_of(0), faces_of(landmarks=False))
    sample = samples_in(folder)[path.name]
    assert len(sample) == 2
    assert not sample.known.any()


def test_boxes_are_cut_at_the_edges_and_those_outside_are_left_out(folder: ExampleFolder) -> None:
    boxes = np.array([[-5, -3, 30, 30], [70, 40, 99, 70], [-20, 10, -2, 30], [96, 10, 120, 30]], np.float32)
    path = folder.keep(frame_of(0), faces_of(boxes, landmarks=False))
    assert samples_in(folder)[path.name].boxes.tolist() == [[0, 0, 30, 30], [70, 40, 96, 64]]


def test_the_same_picture_is_one_example_and_others_stay_as_they_are(folder: ExampleFolder) -> None:
    first = folder.keep(frame_of(1), faces_of())
    second = folder.keep(frame_of(2), faces_of())
    third = folder.keep(frame_of(3, 64, 96), faces_of(BOXES[:, [1, 0, 3, 2]]))
    before = samples_in(folder)
    assert folder.keep(frame_of(2), faces_of()[[1]]) == second
    after = samples_in(folder)
    assert list(after) == list(before) == [first.name, second.name, third.name]
    assert np.allclose(after[second.name].boxes, BOXES[1:], atol=0.011)
    for path in (first, third):
        assert np.array_equal(after[path.name].boxes, before[path.name].boxes)
    assert folder.count() == Count(3, 3)


def test_the_same_pixels_in_another_shape_are_another_picture(folder: ExampleFolder) -> None:
    flat = np.zeros((8, 32, 3), np.uint8)
    tall = flat.reshape(32, 8, 3)
    assert folder.keep(Frame(flat, 0, 0, 0), faces_of(BOXES[:0])) != folder.keep(
        Frame(tall.copy(), 0, 0, 0), faces_of(BOXES[:0])
    )


def test_labels_that_were_edited_by_hand_stay_as_they_are(folder: ExampleFolder) -> None:
    kept = [folder.keep(frame_of(seed), faces_of()[:0]).name for seed in range(3)]
    edited = f"\ufeff# {kept[0]}\r\n10 10 20 20\r\n\r\n# {kept[1]}\n#{kept[2]}\n5 5 10 10 0.5"
    (folder.path / "label.txt").write_bytes(edited.encode())
    new = folder.keep(frame_of(9), faces_of()[:0]).name
    assert (folder.path / "label.txt").read_bytes() == f"{edited}\n# {new}\n".encode()
    folder.keep(frame_of(1), faces_of()[:1])
    folder.keep(frame_of(0), faces_of())
    samples = samples_in(folder)
    assert [len(samples[name]) for name in (*kept, new)] == [2, 1, 1, 0]


def test_labels_in_utf_16_are_told_and_left_alone(folder: ExampleFolder) -> None:
    folder.keep(frame_of(0), faces_of())
    labels = folder.path / "label.txt"
    labels.write_text(labels.read_text(), encoding="utf-16")
    before = contents(folder)
    with pytest.raises(OutputError, match="UTF-16"):
        folder.keep(frame_of(1), faces_of())
    assert contents(folder) == before


def test_what_was_deleted_does_not_count(folder: ExampleFolder) -> None:
    assert folder.count() == Count(0, 0)
    paths = [folder.keep(frame_of(seed), faces_of()[:seed]) for seed in range(3)]
    assert folder.count() == Count(3, 2)
    paths[1].unlink()
    assert folder.count() == Count(2, 1)
    (folder.path / "label.txt").unlink()
    assert folder.count() == Count(0, 0)


# ---------------------------------------------------------------------------------------------- learning from them


def test_a_picture_without_faces_is_learned_from_as_one(folder: ExampleFolder, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from rfapp.training.augmentation import Augmentation
    from rfapp.training.gathering import gather
    from rfapp.training.loader import Order, Share, batches
    from rfapp.training.plan import Plan
    from rfapp.training.recipes import recipe_for

    folder.keep(frame_of(0), faces_of())
    empty = folder.keep(frame_of(1), faces_of()[:0])
    plan = Plan(
        data=(folder.path / "label.txt",), validation="none", recipe=recipe_for("quick", "mobilenet0.25"), seed=1
    )
    samples = gather(plan, lambda _text: None).training
    assert [(sample.picture == empty, len(sample)) for sample in samples] == [(False, 2), (True, 0)]
    order = Order(samples, batch=4, empty=0.5, seed=1)
    shown = list(batches(samples, order, Augmentation(size=64), first=0, last=4, workers=0, share=Share()))
    counts = [np.bincount(batch.targets.picture, minlength=4) for batch in shown]
    empties = [[index == 1 for index in batch.samples] for batch in shown]
    assert np.any(empties), "it was never shown"
    assert all((count[np.array(no_face)] == 0).all() for count, no_face in zip(counts, empties, strict=True))
    assert not any(batch.problems for batch in shown)

    alone = ExampleFolder(tmp_path / "none")
    alone.keep(frame_of(1), faces_of()[:0])
    more = gather(replace(plan, negatives=(alone.path,)), lambda _text: None).training
    assert [len(sample) for sample in more] == [2, 0, 0], "as --negatives, too"


def test_rfapp_data_check_reads_them(folder: ExampleFolder) -> None:
    folder.keep(frame_of(0), faces_of())
    folder.keep(frame_of(1), faces_of()[:0])
    dataset = open_dataset(folder.path / "label.txt")
    found = summarise(dataset, clean(dataset, decode=True))
    assert (found.format, found.usable, found.negatives, found.faces, found.with_landmarks) == (
        "RetinaFace label.txt",
        2,
        1,
        2,
        2,
    )
    assert not len(found.findings)


# ---------------------------------------------------------------------------------------------- what can go wrong


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the size of files are Unix's")
@pytest.mark.parametrize("known", [False, True])
def test_a_disk_that_is_full_is_told_and_leaves_no_half_picture(folder: ExampleFolder, known: bool) -> None:
    import resource

    folder.keep(frame_of(0), faces_of())
    if known:
        folder.keep(frame_of(1), faces_of())
    before = contents(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"“.*\.png” can't be written: File too large") as told:
            folder.keep(frame_of(1), faces_of()[:1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "space that is left" in told.value.hint
    assert contents(folder) == before


@pytest.mark.parametrize("known", [False, True])
def test_labels_that_can_not_be_written_take_their_new_picture_with_them(
    folder: ExampleFolder, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep(frame_of(0), faces_of())
    if known:
        folder.keep(frame_of(1), faces_of())
    before = contents(folder)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"“.*label\.txt” can't be written: No space left on device"):
        folder.keep(frame_of(1), faces_of()[:1])
    assert contents(folder) == before


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        ExampleFolder(tmp_path / "file" / "examples").keep(frame_of(0), faces_of())


def test_another_program_that_does_not_let_go_is_told(folder: ExampleFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.keep(frame_of(0), faces_of())
    before = contents(folder)
    monkeypatch.setattr(examples, "PATIENCE_S", 0.1)
    with (folder.path / ".lock").open("a+b") as file:
        assert try_lock(file)
        with pytest.raises(OutputError, match="another program"):
            folder.keep(frame_of(1), faces_of())
        unlock(file)
    assert contents(folder) == before
    folder.keep(frame_of(1), faces_of())
    assert folder.count().pictures == 2


def test_one_that_lets_go_is_waited_for(folder: ExampleFolder) -> None:
    folder.keep(frame_of(0), faces_of())
    with (folder.path / ".lock").open("a+b") as file, ThreadPoolExecutor(1) as pool:
        assert try_lock(file)
        waiting = pool.submit(folder.keep, frame_of(1), faces_of())
        threading.Event().wait(0.1)
        assert not waiting.done()
        unlock(file)
        assert waiting.result(5).exists()
    assert folder.count().pictures == 2


WRITER = """
import sys
from pathlib import Path
from rfapp.sinks.examples import ExampleFolder
from tests.sinks.test_examples import faces_of, frame_of
print("ready", flush=True)
sys.stdin.readline()
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    ExampleFolder(Path(sys.argv[1])).keep(frame_of(seed), faces_of()[: seed % 3])
"""


def writer(folder: ExampleFolder, first: int, last: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WRITER, str(folder.path), str(first), str(last)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_windows_at_once_lose_nothing(folder: ExampleFolder) -> None:
    writers = [writer(folder, 0, 25), writer(folder, 20, 45)]
    for process in writers:
        begin(process)
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert {len(sample) for sample in samples_in(folder).values()} == {0, 1, 2}
    assert folder.count() == Count(45, 30)
    assert len(contents(folder)) == 46


@pytest.mark.skipif(sys.platform == "win32", reason="a killed process is Unix's")
def test_whoever_is_killed_leaves_whole_labels_and_no_lock(folder: ExampleFolder) -> None:
    for part in range(4):
        process = writer(folder, 100 * part, 100 * part + 100)
        begin(process)
        threading.Event().wait(0.03 + 0.02 * part)
        process.kill()
        process.communicate(timeout=30)
    path = folder.keep(frame_of(9999), faces_of())
    samples = samples_in(folder)
    assert path.name in samples
    assert len(samples) == folder.count().pictures
    assert all(len(sample) in (0, 1, 2) for sample in samples.values())
