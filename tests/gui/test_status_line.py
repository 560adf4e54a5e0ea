"""What the line below the picture tells, and what is told when something else finds the faces."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rfapp.errors import EngineFailed
from rfapp.frames import Detections, Frame
from rfapp.gui import live_view
from rfapp.gui.live_view import LiveView
from rfapp.runtime import LiveResult, Running
from rfapp.settings import Settings
from rfapp.sinks.hiding import Hidden
from tests.gui.test_following import play
from tests.runtime.fakes import Camera, Clip, FakeDetector
from tests.runtime.test_following import TwoFaces


def test_it_tells_what_the_program_takes_of_the_processor(window, qtbot):
    qtbot.waitUntil(lambda: "CPU" in window.status.text(), timeout=8000)
    percent = int(re.search(r"CPU (\d+) %", window.status.text()).group(1))
    assert 0 <= percent <= 100
    label = next(label for label in window.status.findChildren(type(window.status._faces)) if "%" in label.text())
    assert re.search(rf"uses {percent} % of this computer's processor: \d+\.\d of \d+ cores", label.toolTip())
    window.live_page.past.moments.clear()
    qtbot.waitUntil(lambda: bool(window.live_page.past.moments), timeout=3000)
    assert 0 <= window.live_page.past.moments[-1].processor <= 100


def test_whatever_lives_delivers_pictures_and_need_not_be_a_camera(window, qtbot):
    play(window, qtbot, lambda **_: Camera([0.02] * 500))
    qtbot.waitUntil(lambda: "pictures" in window.status.text(), timeout=8000)
    assert re.search(r"pictures \d+\.\d/s · detection", window.status.text())
    assert "camera" not in window.status.text()


@pytest.fixture
def dimmed(monkeypatch) -> list[bool]:
    painted = []
    monkeypatch.setattr(live_view, "paint_detections", lambda *_, dimmed: painted.append(dimmed))
    return painted


def test_boxes_are_as_bright_between_two_detections_that_a_limit_keeps_apart(make_window, qtbot, dimmed):
    window = make_window(Settings().changed(live_max_rate=4))
    play(window, qtbot, Clip, length=5000, rate=50)
    qtbot.waitUntil(lambda: len(dimmed) > 60, timeout=8000)
    assert not any(dimmed)
    assert "old" not in window.status.text()
    rate = float(re.search(r"detection ([\d.]+)/s", window.status.text()).group(1))
    assert rate == pytest.approx(4, abs=1.5)


def test_boxes_of_slow_detections_are_dimmed_and_their_age_is_told(make_window, qtbot, dimmed):
    window = make_window(detector=lambda settings: FakeDetector(settings, seconds=0.3))
    window.pipeline.open(lambda: Clip(length=5000, rate=50))
    qtbot.waitUntil(lambda: sum(dimmed) > 20, timeout=8000)
    qtbot.waitUntil(lambda: "old" in window.status.text(), timeout=3000)


def test_faces_are_cut_out_of_the_picture_that_was_looked_at_last(make_window, qtbot, monkeypatch):
    window = make_window(Settings().changed(live_max_rate=2), detector=TwoFaces)
    cut: list = []
    monkeypatch.setattr(window._saver, "crops", cut.append)
    monkeypatch.setattr(window._saver, "snapshot", lambda result, view: cut.append(result))
    play(window, qtbot, Clip, length=5000, rate=50)

    def between() -> bool:
        result = window.view.result
        return result is not None and not result.fresh and result.detections is not None

    qtbot.waitUntil(between, timeout=8000)
    shown = window.view.result
    window.commands.save_crops()
    window.commands.save_snapshot()
    for result in cut:
        assert result.fresh
        assert len(result.detections) == 2
        assert 0 < shown.frame.time_s - result.frame.time_s < 1


def test_a_picture_of_before_faces_were_hidden_is_kept_no_more(qtbot, theme):
    def result(index: int, *, hidden: bool, fresh: bool) -> LiveResult:
        frame = Frame(np.zeros((48, 64, 3), np.uint8), index, index / 30, float(index))
        veil = Hidden(None, Settings().changed(hiding_how="fill").hiding) if hidden else None
        picture = np.zeros((48, 64, 4), np.uint8)
        return LiveResult(frame, picture, Detections.empty(), fresh=fresh, hidden=veil)

    view = LiveView(theme)
    qtbot.addWidget(view)
    before, now, later = (
        result(1, hidden=False, fresh=True),
        result(2, hidden=True, fresh=False),
        result(3, hidden=True, fresh=True),
    )
    view.show_result(before)
    view.show_result(now)
    assert view.looked_at is now
    view.show_result(later)
    view.show_result(now)
    assert view.looked_at is later


def test_before_anything_was_found_what_is_shown_is_what_there_is(make_window, qtbot, theme):
    view = LiveView(theme)
    qtbot.addWidget(view)
    assert view.looked_at is None


def test_a_stand_in_is_told_over_the_picture_and_stands_in_the_status_line(make_window, qtbot, monkeypatch):
    monkeypatch.setattr("rfapp.engines.available", lambda: ("openvino",))
    made = []

    def make(settings):
        made.append(FakeDetector(settings))
        made[-1].engine = settings.engine
        if len(made) == 1:
            made[0].device, made[0].device_title = "cuda:0", "Card 9"
        return made[-1]

    window = make_window(detector=make)
    play(window, qtbot, Clip, length=5000, rate=50)
    qtbot.waitUntil(lambda: "Card 9" in window.status.text(), timeout=8000)
    made[0].broken = EngineFailed("The network stopped on {device}: lost.", device="Card 9")
    qtbot.waitUntil(window.stage.banner.isVisible, timeout=8000)
    assert "stopped on Card 9: lost. openvino stands in for it" in window.stage.banner.text
    qtbot.waitUntil(lambda: "CPU · openvino" in window.status.text(), timeout=3000)
    assert isinstance(window.pipeline.state, Running)
