"""Each part of the diagnosis: what is right, what is wrong, and that one failure does not hide the rest."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from rfapp import diagnosis, engines, places
from rfapp.detector import FaceDetector
from rfapp.diagnosis import deviation, examine
from rfapp.errors import EngineFailed, RfappError
from rfapp.frames import Detections
from rfapp.sources.cameras import Camera
from rfapp.weights import Answer

POINTS = tuple((float(x), 20.0) for x in range(5))
ANSWER = Answer(size=640, score=0.9, box=(10.0, 10.0, 50.0, 60.0), landmarks=POINTS)


def faces(box=ANSWER.box, score=0.9, points=POINTS, count=1) -> Detections:
    return Detections(
        np.array([box] * count, np.float32).reshape(count, 4),
        np.full(count, score, np.float32),
        None if points is None else np.array([points] * count, np.float32).reshape(count, 5, 2),
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (faces(), ""),
        (faces(box=(10.9, 10.0, 49.1, 60.0), score=0.915), ""),
        (faces(count=0), "0 faces"),
        (faces(count=2), "2 faces"),
        (faces(score=0.87), "score is off by 0.030"),
        (faces(score=float("nan")), "score is off"),
        (faces(box=(10.0, 10.0, 50.0, 61.5)), "box is off by 1.5"),
        (faces(box=(10.0, 10.0, 50.0, float("nan"))), "box is off"),
        (faces(points=tuple((x, 23.0) for x, _ in POINTS)), "landmarks are off by 3.0"),
        (faces(points=None), "landmarks are missing"),
    ],
)
def test_deviation_from_the_answer(found, said):
    assert said in deviation(found, ANSWER)
    assert bool(deviation(found, ANSWER)) == bool(said)


def test_without_an_answer_nothing_can_be_right():
    assert "no answer" in deviation(faces(), None)


def levels(part) -> dict[str, str]:
    return {finding.name: finding.level for finding in part()}


def test_two_opencv_packages_are_a_problem_with_the_way_out(monkeypatch):
    have = {"opencv-python": "5.0", "opencv-python-headless": "4.9"}

    def version(name):
        if name in have:
            return have[name]
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    found = {finding.name: finding for finding in diagnosis.versions()}
    assert found["OpenCV"].level == "problem"
    assert "opencv-python-headless 4.9" in found["OpenCV"].value
    assert "pip uninstall opencv-python-headless" in found["OpenCV"].advice
    assert found["PyAV"].level == "problem"
    assert "pip install av" in found["PyAV"].advice
    assert found["torch"].level == "note", "the window and the command line run without it"
    assert "Training" in found["torch"].advice
    assert "pip install torch" in found["torch"].advice
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    advice = {finding.name: finding.advice for finding in diagnosis.versions()}["torch"]
    assert "pip" not in advice
    assert "full edition" in advice


def test_no_engine_is_a_problem(monkeypatch):
    monkeypatch.setattr(engines, "available", lambda: ())
    assert levels(diagnosis.installed_engines) == {"none": "problem"}
    assert levels(diagnosis.detections) == {"none": "problem"}


def test_cameras_are_named_and_a_blocked_one_says_what_to_do(monkeypatch, tmp_path):
    listed = [Camera("HD Cam", 0, 200, "/dev/no-such-video0"), Camera("Built-in", 1, 1200, "0x1420")]
    monkeypatch.setattr("rfapp.sources.list_cameras", lambda: listed, raising=False)
    blocked, usable = diagnosis.cameras()
    assert (blocked.name, blocked.level) == ("HD Cam", "problem")
    assert "group “video”" in blocked.advice
    assert (usable.name, usable.level, usable.value) == ("Built-in", "ok", "0x1420")


def test_a_folder_that_can_not_be_written_is_a_problem(monkeypatch, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("in the way")
    monkeypatch.setattr(places, "cache_dir", lambda: taken / "rfapp")
    assert levels(diagnosis.folders) == {"settings": "ok", "data": "ok", "cache": "problem", "log": "ok"}
    assert not places.config_dir().exists()  # looking makes nothing


def test_altered_weights_are_a_problem(monkeypatch, tmp_path):
    shipped = places.shipped_weights()
    for file in ("manifest.toml", "mobilenet0.25.safetensors"):
        (tmp_path / file).write_bytes((shipped / file).read_bytes())
    with (tmp_path / "mobilenet0.25.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")
    monkeypatch.setattr(places, "shipped_weights", lambda: tmp_path)
    found = {finding.name: finding for finding in diagnosis.models()}
    assert found["mobilenet0.25"].level == "problem"
    assert found["mobilenet0.25"].advice


def test_missing_weights_are_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "shipped_weights", lambda: tmp_path)
    assert levels(diagnosis.models) == {"mobilenet0.25": "problem"}


@pytest.mark.parametrize("error", [RuntimeError("broken {library}"), EngineFailed("It broke.", "Mend it.")])
def test_a_part_that_fails_becomes_a_line_and_the_rest_is_told(monkeypatch, error):
    def fail():
        raise error
        yield

    monkeypatch.setattr(diagnosis, "installed_engines", fail)
    found = list(examine())
    (line,) = [finding for finding in found if finding.section == "Engines"]
    assert line.level == "problem"
    assert (error.message if isinstance(error, RfappError) else "RuntimeError: broken {library}") == line.value
    assert found[-1].section == "Weights"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's description of the processor")
def test_the_processor_is_described():
    found = {finding.name: finding.value for finding in diagnosis.computer()}
    assert "cores can be used" in found["processor"]
    assert "processor features" in found


def test_the_self_test_is_right_here():
    results = list(diagnosis.detections())
    assert [finding.name for finding in results] == list(engines.available())
    for finding in results:
        assert finding.level != "problem", finding


def test_why_so_many_threads_is_told(monkeypatch):
    from rfapp.engines import machine
    from rfapp.weights import find

    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(diagnosis, "_said", lambda *_: None)
    with FaceDetector(engine=engines.available()[0]) as detector:
        precision = detector.precision
    times = {1: 0.0121, 2: 0.0064}
    machine.remember_times(engines.available()[0], find("mobilenet0.25"), precision, times)
    found = {finding.name: finding.value for finding in diagnosis.detections()}
    told = found[f"{engines.available()[0]} threads"]
    assert told == "640×480 took 12.1 ms with 1, 6.4 ms with 2; 2 used, 1 for moving pictures"


def test_the_self_test_notices_a_wrong_engine(monkeypatch):
    from rfapp import weights

    model = weights.find("mobilenet0.25")
    assert model.answer is not None
    moved = replace(model.answer, box=tuple(value + 40 for value in model.answer.box))
    monkeypatch.setattr(weights, "find", lambda _name: replace(model, answer=moved))
    for finding in diagnosis.detections():
        assert finding.level == "problem"
        assert "wrong" in finding.value
