"""Which detector the live pipeline takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("openvino")

from rfapp.detector import FaceDetector
from rfapp.engines import machine
from rfapp.runtime.loader import live_detector, same_network
from rfapp.settings import DetectorSettings
from rfapp.weights import find

SETTINGS = DetectorSettings(engine="openvino", precision="float32")


@pytest.fixture
def measured(monkeypatch):
    """Let it be known how many seconds a picture takes with one thread and with two."""
    monkeypatch.setattr(machine, "cores", lambda: 2)

    def remember(one: float, two: float) -> None:
        machine.remember_times("openvino", find("mobilenet0.25"), "float32", {1: one, 2: two})

    return remember


def threads(settings: DetectorSettings) -> int:
    with live_detector(settings) as detector:
        return detector.threads


def test_as_few_threads_as_keep_up(measured):
    measured(0.012, 0.006)
    assert threads(SETTINGS) == 1
    with FaceDetector.from_settings(SETTINGS) as detector:  # everything else wants it fast
        assert detector.threads == 2
    measured(0.03, 0.02)
    assert threads(SETTINGS) == 2


@pytest.mark.parametrize(
    "changes", [{"size": "original"}, {"size": 1280}, {"second_pass": "original"}, {"threads": 2}], ids=str
)
def test_all_threads_where_there_is_more_to_do_or_they_were_asked_for(measured, changes):
    measured(0.012, 0.006)
    assert threads(replace(SETTINGS, **changes)) == 2


def test_nothing_measured_nothing_changed(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)
    assert threads(SETTINGS) == 3


def test_a_size_that_takes_more_threads_takes_another_detector():
    assert same_network(SETTINGS, replace(SETTINGS, score=0.9, size=320))
    assert not same_network(SETTINGS, replace(SETTINGS, size=1280))
    assert not same_network(SETTINGS, replace(SETTINGS, threads=1))
    fixed = replace(SETTINGS, threads=1)
    assert same_network(fixed, replace(fixed, size=1280))
