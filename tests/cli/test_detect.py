"""``rfapp detect`` as a user calls it. The network is replaced where it does not matter which faces are found."""

from __future__ import annotations

import _thread
import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rfapp.cli.main import main
from rfapp.frames import Detections
from rfapp.sources import read_picture
from rfapp.sources.video import Video


class RedFinder:
    """Stands for the network: finds one face wherever the upper left corner is red."""

    notes: tuple[str, ...] = ()
    calls = 0
    before_call: Callable[[int], None] = staticmethod(lambda number: None)

    @classmethod
    def from_settings(cls, settings: object) -> RedFinder:
        return cls()

    def __enter__(self) -> RedFinder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, image: np.ndarray) -> Detections:
        RedFinder.before_call(RedFinder.calls)
        RedFinder.calls += 1
        if image[0, 0, 2] < 150:
            return Detections.empty()
        return Detections(
            np.array([[1, 2, 20, 30]], np.float32),
            np.array([0.875], np.float32),
            np.arange(10, dtype=np.float32).reshape(1, 5, 2),
        )


@pytest.fixture(autouse=True)
def red_finder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_network" not in request.fixturenames:
        monkeypatch.setattr("rfapp.detector.FaceDetector", RedFinder)
        monkeypatch.setattr(RedFinder, "calls", 0)
        monkeypatch.setattr(RedFinder, "before_call", staticmethod(lambda number: None))


@pytest.fixture
def real_network() -> None:
    pytest.importorskip("torch")


def picture(path: Path, *, red: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((48, 64, 3), (0, 0, 255) if red else (255, 0, 0), np.uint8)
    cv2.imencode(path.suffix, image)[1].tofile(path)
    return path


def video(path: Path, times: list[int]) -> Path:
    """A video with a frame at each of *times* in milliseconds; every second one is red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times):
            colour = (255, 0, 0) if number % 2 else (0, 0, 255)
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), "bgr24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


TIMES = [0, 40, 80, 150, 300, 340, 700]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures and a video, in folders, with other things between them."""
    root = tmp_path / "in"
    for name in ("p10.png", "p9.jpg", "sub/a.png", "sub/p9.jpg", ".hidden/x.png"):
        picture(root / name)
    picture(root / "blue.png", red=False)
    video(root / "film.mkv", TIMES)
    (root / "notes.txt").write_text("words")
    (root / "code.ts").write_text("words")
    return root


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def frames_in(path: Path) -> int:
    with Video(path) as source:
        source.open()
        count = 0
        while source.read() is not None:
            count += 1
    return count


def test_lines_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(folder)]) == 0
    captured = capsys.readouterr()
    lines = lines_of(captured.out)
    order = list(dict.fromkeys(line["source"] for line in lines))
    names = ["blue.png", "film.mkv", "p9.jpg", "p10.png", "sub/a.png", "sub/p9.jpg"]
    assert order == [str(folder / name) for name in names]
    film = [line for line in lines if line["source"].endswith("film.mkv")]
    assert [line["frame"] for line in film] == list(range(len(TIMES)))
    assert [line["time_s"] for line in film] == [time_ms / 1000 for time_ms in TIMES]
    assert [len(line["faces"]) for line in film] == [1, 0] * 3 + [1]
    assert lines[0]["faces"] == []
    assert lines[-1] == {
        "source": str(folder / "sub/p9.jpg"),
        "frame": 0,
        "time_s": 0.0,
        "width": 64,
        "height": 48,
        "faces": [
            {
                "box": [1.0, 2.0, 20.0, 30.0],
                "score": 0.875,
                "landmarks": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]],
                "track": None,
            }
        ],
    }
    assert "6 inputs, 12 frames, 8 faces" in captured.err


def test_a_dash_is_standard_output(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["detect", str(folder / "p10.png"), "--output", "-"]) == 0
    printed = capsys.readouterr().out
    assert main(["detect", str(folder / "p10.png")]) == 0
    assert printed == capsys.readouterr().out != ""
    assert not (tmp_path / "-").exists()


def test_csv(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(folder), "--format", "csv", "--quiet"]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader(printed.splitlines()))
    assert len(rows) == 8
    assert rows[0]["source"] == str(folder / "film.mkv")
    assert [rows[1][key] for key in ("frame", "time_s", "face", "track", "x2", "score", "ly5")] == [
        *("2", "0.08", "0", "", "20.0", "0.875", "9.0")
    ]
    assert main(["detect", str(folder), "--output", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text() == printed


def test_summary_is_the_last_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.jpg").write_text("no picture")
    assert main(["detect", str(folder), "--json"]) == 1
    summary = lines_of(capsys.readouterr().out)[-1]
    assert summary.pop("seconds") > 0
    assert summary == {"inputs": 7, "frames": 12, "faces": 8, "failed": 1}


def test_output_file_leaves_standard_output_to_the_summary(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "out.jsonl"
    assert main(["detect", str(folder), "--output", str(output), "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err == ""
    assert len(lines_of(output.read_text())) == 12


def test_bad_inputs_are_a_sentence_each_and_the_rest_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "zero.png").touch()
    (tmp_path / "empty").mkdir()
    bad = [str(tmp_path / name) for name in ("empty", "missing.jpg", "no*match.png")]
    words = [*bad, str(folder / "notes.txt"), "rtsp://camera/1"]
    assert main(["detect", *words, str(folder), "--quiet"]) == 1
    captured = capsys.readouterr()
    lines = lines_of(captured.out)
    errors = {line["source"]: line["error"] for line in lines if "error" in line}
    assert set(errors) == {*words, str(folder / "text.jpg"), str(folder / "zero.png")}
    assert "no picture or video in the folder" in errors[bad[0]]
    assert "There is no file or folder" in errors[bad[1]]
    assert "is not a picture" in errors[str(folder / "text.jpg")]
    assert "is empty" in errors[str(folder / "zero.png")]
    assert "is a network stream" in errors["rtsp://camera/1"]
    for source, error in errors.items():
        assert source in error
        assert error.count(". ") == 0
    assert len([line for line in lines if "faces" in line]) == 12
    assert len(captured.err.splitlines()) == len(errors)
    assert all(line.startswith("rfapp: ") for line in captured.err.splitlines())


def test_libraries_keep_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = picture(tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:-30])
    assert cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) is None
    assert capfd.readouterr().err  # else this proves nothing
    assert main(["detect", str(path)]) == 1
    captured = capfd.readouterr()
    assert "is damaged or incomplete" in captured.err
    assert [line.partition(" ")[0] for line in captured.err.splitlines()] == ["rfapp:", "1"]


def test_what_python_says_comes_through() -> None:
    code = """
import logging, os, sys
from rfapp.cli.detect import quiet_libraries
logging.basicConfig(stream=sys.stderr, format="logged %(message)s")
with quiet_libraries():
    os.write(2, b"chatter ")
    logging.error("one")
    print("printed", file=sys.stderr)
os.write(2, b"after")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.split() == ["logged", "one", "printed", "after"]


def test_file_without_permission(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = folder / "p9.jpg"
    if os.geteuid() == 0:  # to whom nothing is forbidden
        fromfile = np.fromfile

        def refuse(path: Path, *arguments: Any) -> np.ndarray:
            if Path(path) == secret:
                raise PermissionError(13, "Permission denied", str(path))
            return fromfile(path, *arguments)

        monkeypatch.setattr(np, "fromfile", refuse)
    else:
        secret.chmod(0)
    code = main(["detect", str(folder)])
    assert code == 1
    captured = capsys.readouterr()
    lines = lines_of(captured.out)
    errors = [line for line in lines if "error" in line]
    assert [line["source"] for line in errors] == [str(secret)]
    assert "may not be read by you" in errors[0]["error"]
    assert len(lines) == 12


def test_folder_without_permission(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder / "sub" / "a.png"
    if os.geteuid() == 0:  # to whom nothing is forbidden
        stat = os.stat

        def refuse(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
            if not isinstance(path, int) and Path(path) == inside:
                raise PermissionError(13, "Permission denied", str(path))
            return stat(path, *arguments, **named)

        monkeypatch.setattr(os, "stat", refuse)
    else:
        inside.parent.chmod(0)
    try:
        assert main(["detect", str(inside), str(folder / "p9.jpg"), "--quiet"]) == 1
    finally:
        if os.geteuid() != 0:
            inside.parent.chmod(0o700)
    error, result = lines_of(capsys.readouterr().out)
    assert "may not be read by you" in error["error"]
    assert result["faces"]


def test_closed_folder_within(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "sub"
    if os.geteuid() == 0:  # to whom nothing is forbidden
        scandir = os.scandir

        def refuse(path: Any) -> Any:
            if Path(path) == inner:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
    else:
        inner.chmod(0)
    try:
        assert main(["detect", str(folder), "--quiet"]) == 1
    finally:
        inner.chmod(0o700)
    lines = lines_of(capsys.readouterr().out)
    assert "The folder" in lines[-1]["error"]
    assert lines[-1]["source"] == str(inner)
    assert len(lines) == 10 + 1


def test_everything_broken(test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = test_data / "clips" / "broken"
    inputs = [str(path) for path in sorted(broken.iterdir())]
    good = picture(tmp_path / "good.png")
    media = tmp_path / "media"
    assert main(["detect", *inputs, str(good), "--save-media", str(media), "--quiet"]) == 1
    captured = capsys.readouterr()
    lines = lines_of(captured.out)
    errors = {Path(line["source"]).name: line["error"] for line in lines if "error" in line}
    assert set(errors) == {path.name for path in broken.iterdir()}
    assert len(captured.err.splitlines()) == len(errors)
    frames = {name: [line for line in lines if line["source"].endswith(name) and "faces" in line] for name in errors}
    assert len(frames["corrupt_middle.mp4"]) >= 90
    assert len(frames["cut_short.mkv"]) == 75
    for name in ("corrupt_middle.mp4", "cut_short.mkv"):
        of_one = [line for line in lines if line["source"].endswith(name)]
        assert "error" in of_one[-1]
        assert frames_in(media / Path(name).with_suffix(".mp4")) == len(of_one) - 1
    assert lines[-1]["source"] == str(good)
    assert (media / "good.png").exists()
    assert len(list(media.iterdir())) == 3


def test_annotated_copies(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    media = tmp_path / "media"
    assert main(["detect", str(folder), "--save-media", str(media)]) == 0
    written = sorted(str(path.relative_to(media)) for path in media.rglob("*") if path.is_file())
    assert written == ["a.png", "blue.png", "film.mp4", "p10.png", "p9.jpg", "sub/p9.jpg"]
    assert (read_picture(media / "blue.png") == (255, 0, 0)).all()
    assert (read_picture(media / "p10.png") != (0, 0, 255)).any()
    with Video(media / "film.mp4") as source:
        source.open()
        times = [frame.time_s for frame in iter(source.read, None)]
    assert times == pytest.approx([time_ms / 1000 for time_ms in TIMES], abs=1e-5)


def test_results_in_the_folder_are_not_read_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "detect",
        str(folder),
        "--save-media",
        str(folder / "out"),
        "--output",
        str(folder / "out.jsonl"),
        "--json",
    ]
    assert main(words) == 0
    first = lines_of(capsys.readouterr().out)[-1]
    assert main([*words, "--force"]) == 0
    second = lines_of(capsys.readouterr().out)[-1]
    assert first["inputs"] == second["inputs"] == 6


def test_nothing_is_replaced_unasked(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, media = tmp_path / "out.jsonl", tmp_path / "media"
    output.write_text("mine")
    assert main(["detect", str(folder), "--output", str(output)]) == 1
    assert "--force" in capsys.readouterr().err
    assert output.read_text() == "mine"
    picture(media / "p9.jpg", red=False)
    before = (media / "p9.jpg").read_bytes()
    assert main(["detect", str(folder), "--save-media", str(media)]) == 1
    assert "p9.jpg” is there already" in capsys.readouterr().err
    assert (media / "p9.jpg").read_bytes() == before
    assert main(["detect", str(folder), "--save-media", str(media), "--output", str(output), "--force"]) == 0
    assert len(lines_of(output.read_text())) == 12


def test_originals_are_safe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    picture_path = str(folder / "p9.jpg")
    assert main(["detect", picture_path, "--save-media", str(folder), "--force"]) == 2
    assert main(["detect", picture_path, "--output", picture_path, "--force"]) == 2
    assert "over the original" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words", [["--resume"], ["--resume", "--force", "--output", "x"], ["--output", "."], ["--score", "2"]]
)
def test_wrong_usage(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(folder), *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_patterns_are_expanded_and_files_taken_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(folder / "*.png"), str(folder / "p10.png"), str(folder / "**" / "p9.*")]) == 0
    names = [line["source"].removeprefix(str(folder) + os.sep) for line in lines_of(capsys.readouterr().out)]
    assert names == ["blue.png", "p10.png", "p9.jpg", "sub/p9.jpg"]


# ------------------------------------------------------------------------------------------------ interrupted runs


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Shells let what they start in the background ignore Ctrl-C; the tests may be run like that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(number: int) -> Callable[[int], None]:
    def press(call: int) -> None:
        if call == number:
            _thread.interrupt_main()
            time.sleep(0.05)

    return press


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_interrupted_run_keeps_what_was_done_and_is_gone_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, media, whole = tmp_path / "out.jsonl", tmp_path / "media", tmp_path / "whole.jsonl"
    assert main(["detect", str(folder), "--output", str(whole)]) == 0
    words = ["detect", str(folder), "--output", str(output), "--save-media", str(media), "--json"]

    monkeypatch.setattr(RedFinder, "calls", 0)
    monkeypatch.setattr(RedFinder, "before_call", staticmethod(interrupt_at(5)))  # the fifth frame of the video
    capsys.readouterr()
    threads = threading.active_count()
    assert main(words) == 130
    captured = capsys.readouterr()
    assert "what was done is kept" in captured.err
    assert lines_of(captured.out)[-1]["frames"] == 5
    assert output.read_text() == "".join(whole.read_text().splitlines(keepends=True)[:5])
    assert frames_in(media / "film.mp4") == 4
    assert sorted(path.name for path in media.iterdir()) == ["blue.png", "film.mp4"]
    assert threading.active_count() == threads

    monkeypatch.setattr(RedFinder, "before_call", staticmethod(lambda call: None))
    monkeypatch.setattr(RedFinder, "calls", 0)
    assert main([*words, "--resume"]) == 0
    assert RedFinder.calls == len(TIMES) + 4  # the picture before the video was not done again
    assert output.read_text() == whole.read_text()
    assert frames_in(media / "film.mp4") == len(TIMES)
    assert "1 of 6 inputs are done already" in capsys.readouterr().err

    monkeypatch.setattr(RedFinder, "calls", 0)
    assert main([*words, "--resume"]) == 0
    assert RedFinder.calls == 0
    assert output.read_text() == whole.read_text()


def test_resume_without_results_begins(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    assert main(["detect", str(folder), "--output", str(output), "--resume", "--quiet"]) == 0
    assert len(output.read_text().splitlines()) == 9


def test_failure_while_writing_stops_with_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rfapp.sinks.pictures.os.replace", full)
    threads = threading.active_count()
    assert main(["detect", str(folder), "--save-media", str(tmp_path / "media"), "--quiet"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert threading.active_count() == threads


def test_defect_in_the_reader_does_not_hang(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(path: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rfapp.runtime.batch.read_picture", defect)
    with pytest.raises(ZeroDivisionError):
        main(["detect", str(folder)])


def test_progress_bar_on_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    (folder / "bad [red].jpg").write_text("no picture")
    assert main(["detect", str(folder), "--debug"]) == 1
    captured = capsys.readouterr()
    assert len(lines_of(captured.out)) == 13
    assert "bad [red].jpg” is not a picture" in captured.err
    assert "7 inputs, 12 frames, 8 faces" in captured.err


# ------------------------------------------------------------------------------------------------ the real network


def test_faces_of_a_real_picture(real_network: None, test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = test_data / "photos" / "group_six.jpg"
    assert main(["detect", str(path), "--quiet", "--threads", "1"]) == 0
    (line,) = lines_of(capsys.readouterr().out)
    expected = json.loads((test_data / "photos" / "expected.json").read_text())[path.name]
    assert expected["count_min"] <= len(line["faces"]) <= expected["count_max"]
    scores = [face["score"] for face in line["faces"]]
    assert scores == sorted(scores, reverse=True)


def test_every_face_of_the_sample_is_found(real_network: None) -> None:
    from rfapp.detector import FaceDetector
    from rfapp.sources.sample import SampleScene

    scene = SampleScene()
    with FaceDetector(threads=1) as detector:
        counts = [len(detector(scene.render(index))) for index in range(0, 1800, 150)]
    assert counts == [scene.faces] * len(counts)


def test_malicious_checkpoint(
    real_network: None, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "it ran"

    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(proof),)

    checkpoint = tmp_path / "nice.pth"
    checkpoint.write_bytes(pickle.dumps({"state_dict": Malicious()}))
    assert main(["detect", str(folder / "p9.jpg"), "--model", str(checkpoint)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "Traceback" not in captured.err
    assert not proof.exists()
