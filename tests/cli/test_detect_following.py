"""``rfapp detect --track`` and ``--hide``: faces over time, and no face to be seen."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.cli.main import main
from rfapp.frames import Detections, Frame
from rfapp.sinks.video import VideoSink
from rfapp.sources import read_picture
from rfapp.sources.video import Video

WIDTH, HEIGHT, RATE, SIDE = 320, 200, 25, 40
FRAMES = 40
#: In these frames the face is there but not found.
UNFOUND = {0, 1, 2, 3, 15, 16, 20, 36, 37, 38, 39}


def left_of(index: int) -> int:
    return 20 + 4 * index


def picture(index: int, lefts: list[int]) -> np.ndarray:
    """Grey, with a chessboard of red and white for each face, and the index in the corner in black and white."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    board = np.indices((SIDE, SIDE)).sum(axis=0) // 4 % 2
    for left in lefts:
        image[80 : 80 + SIDE, left : left + SIDE] = np.where(board[..., None], (40, 40, 230), (240, 240, 240))
    for bit in range(8):
        image[:16, bit * 16 : bit * 16 + 16] = 255 if index >> bit & 1 else 0
    return image


def boards(image: np.ndarray) -> list[int]:
    """The left edges of the chessboards that can be seen."""
    red = (image[80 : 80 + SIDE, :, 2].astype(int) - image[80 : 80 + SIDE, :, 0]) > 110
    columns = np.flatnonzero(red.sum(axis=0) >= 8)
    if not len(columns):
        return []
    return [int(part[0]) for part in np.split(columns, np.flatnonzero(np.diff(columns) > 8) + 1)]


class BoardFinder:
    """Stands for the network: finds chessboards, but not in the frames UNFOUND."""

    notes: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: object) -> BoardFinder:
        return cls()

    def __enter__(self) -> BoardFinder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, image: np.ndarray, score: float = 0.6) -> Detections:
        index = sum(int(image[8, bit * 16 + 8, 1] > 128) << bit for bit in range(8))
        lefts = [] if index in UNFOUND else boards(image)
        boxes = np.array([[left, 80, left + SIDE, 80 + SIDE] for left in lefts], np.float32).reshape(-1, 4)
        scores = np.full(len(lefts), 0.4 if index == 25 else 0.9, np.float32)
        return Detections(boxes, scores, np.zeros((len(lefts), 5, 2), np.float32))[scores >= score]


@pytest.fixture(autouse=True)
def board_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfapp.detector.FaceDetector", BoardFinder)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    with VideoSink(path, rate=RATE) as sink:
        for index in range(FRAMES):
            sink.append(Frame(picture(index, [left_of(index)]), index, index / RATE, 0.0), Detections.empty())
    return path


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(*words: object) -> int:
    return main(["detect", "--quiet", *map(str, words)])


def test_a_face_keeps_one_number_and_the_film_is_summed_up(film, tmp_path, capsys):
    out = tmp_path / "faces.jsonl"
    assert run(film, film.with_name("nothing.mp4"), "--track", "--output", out, "--json") == 1
    *frames, summary, error = lines(out)
    assert [line["frame"] for line in frames] == list(range(FRAMES))
    found = {line["frame"]: [face["track"] for face in line["faces"]] for line in frames}
    # A fainter face is found again, but none begins with it.
    assert found == {index: [] if index in UNFOUND else [1] for index in range(FRAMES)}
    assert summary["source"] == str(film)
    assert summary["people"] == 1
    (track,) = summary["tracks"]
    assert (track["track"], track["first_s"], track["last_s"], track["frames"]) == (1, 4 / RATE, 35 / RATE, 29)
    assert track["seen_s"] == pytest.approx((10 + 2 + 14) / RATE + 1 / RATE, abs=1 / RATE + 1e-6)
    assert "error" in error
    assert json.loads(capsys.readouterr().out)["people"] == 1


def test_numbers_begin_anew_with_every_film_and_stand_in_the_table(film, tmp_path):
    other = film.with_name("film2.mp4")
    other.write_bytes(film.read_bytes())
    out = tmp_path / "faces.csv"
    assert run(film, other, "--track", "--output", out) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert {row["track"] for row in rows} == {"1"}
    assert len(rows) == 2 * (FRAMES - len(UNFOUND))


def test_without_the_option_there_are_no_numbers_and_no_summary(film, tmp_path):
    out = tmp_path / "faces.jsonl"
    assert run(film, "--output", out) == 0
    assert len(lines(out)) == FRAMES
    assert {face["track"] for line in lines(out) for face in line["faces"]} == {None}
    assert sum(len(line["faces"]) for line in lines(out)) == FRAMES - len(UNFOUND) - 1


def test_a_film_that_was_summed_up_is_done(film, tmp_path, capsys):
    out = tmp_path / "faces.jsonl"
    assert run(film, "--track", "--output", out) == 0
    before = out.read_bytes()
    assert run(film, "--track", "--output", out, "--resume", "--json") == 0
    assert out.read_bytes() == before
    assert json.loads(capsys.readouterr().out)["frames"] == 0
    out.write_bytes(before[: before.rindex(b'{"source"')])  # ended before the summary
    assert run(film, "--track", "--output", out, "--resume") == 0
    assert out.read_bytes() == before


def frames_of(path: Path) -> list[np.ndarray]:
    with Video(path) as video:
        video.open()
        return [frame.image for frame in iter(video.read, None)]


@pytest.mark.parametrize("how", ["blur", "pixelate", "fill"])
def test_a_hidden_face_is_hidden_in_every_frame_also_where_it_was_not_found(film, tmp_path, how):
    originals = frames_of(film)
    assert [boards(image) for image in originals] == [[left_of(index)] for index in range(FRAMES)]
    assert run(film, "--hide", how, "--save-media", tmp_path / "out", "--output", tmp_path / "f.jsonl") == 0
    copies = frames_of(tmp_path / "out" / "film.mp4")
    assert len(copies) == FRAMES
    for index, (copy, original) in enumerate(zip(copies, originals, strict=True)):
        assert boards(copy) == [], index
        left = left_of(index)
        face = copy[80 : 80 + SIDE, left : left + SIDE].astype(int)
        assert np.abs(np.diff(face, axis=1)).mean() < 12, index
        assert np.abs(copy[140:].astype(int) - original[140:]).max() < 12  # nothing else is
    results = lines(tmp_path / "f.jsonl")
    assert {face["track"] for line in results for face in line["faces"]} == {None}
    # Those that were followed for the sake of hiding only are no results.
    assert sum(len(line["faces"]) for line in results) == FRAMES - len(UNFOUND) - 1


def test_a_hidden_film_that_is_interrupted_is_hidden_up_to_its_end(film, tmp_path, monkeypatch):
    call = BoardFinder.__call__
    calls = []

    def interrupted(self: BoardFinder, image: np.ndarray, score: float = 0.6) -> Detections:
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return call(self, image, score)

    monkeypatch.setattr(BoardFinder, "__call__", interrupted)
    assert run(film, "--hide", "fill", "--save-media", tmp_path / "out", "--output", tmp_path / "f.jsonl") == 130
    copies = frames_of(tmp_path / "out" / "film.mp4")
    assert len(copies) == 29
    assert [boards(image) for image in copies] == [[]] * 29


def test_hidden_faces_in_pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "one.png"), picture(30, [40, 200]))
    assert run(folder, "--hide", "pixelate", "--hide-shape", "box", "--save-media", tmp_path / "out") == 0
    copy = read_picture(tmp_path / "out" / "one.png")
    assert boards(copy) == []
    assert len(np.unique(copy[80 : 80 + SIDE, 40 : 40 + SIDE].reshape(-1, 3), axis=0)) < 70


def test_a_margin_beyond_its_limits_is_wrong_usage(film, capsys):
    assert run(film, "--hide", "blur", "--hide-margin", "999") == 2
    assert "Hidden margin" in capsys.readouterr().err
    assert run(film, "--hide", "smear") == 2


def test_crops_of_pictures_and_of_followed_faces(film, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "one.png"), picture(30, [40, 200]))
    out = tmp_path / "crops"
    assert run(pictures, film, "--crops", out, "--output", tmp_path / "f.jsonl") == 0
    assert (out / "one.png-face1.png").is_file()
    assert len(list(out.glob("film.mp4-*-face0.png"))) == FRAMES - len(UNFOUND) - 1
    assert read_picture(out / "one.png-face0.png").shape == (112, 112, 3)
    assert run(film, "--crops", out, "--track", "--output", tmp_path / "g.jsonl") == 1
    assert "in the folder" in capsys.readouterr().err
    assert run(film, "--crops", out, "--track", "--hide", "blur", "--force", "--output", tmp_path / "g.jsonl") == 0
    assert len(list((out / "film.mp4" / "track-0001").iterdir())) == FRAMES - len(UNFOUND)


def test_crops_into_a_file_are_wrong_usage(film, capsys):
    assert run(film, "--crops", film) == 2
    assert "--crops" in capsys.readouterr().err
