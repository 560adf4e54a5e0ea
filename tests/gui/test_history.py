"""The curves of the last minutes."""

from __future__ import annotations

import math
import time

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import Qt

from rfapp.gui.past import PAST_S, Past
from rfapp.runtime import LivePipeline
from rfapp.settings import Settings
from tests.gui.test_following import play
from tests.runtime.fakes import Clip
from tests.runtime.test_following import TwoFaces


def curves(window) -> list[tuple[np.ndarray, np.ndarray]]:
    plots = window.live_page.history.findChildren(pg.PlotWidget)
    return [item.getData() for plot in plots for item in plot.listDataItems()]


def test_the_curves_show_what_was_before_they_were_opened_and_go_on(make_window, qtbot):
    window = make_window(detector=TwoFaces)
    play(window, qtbot, Clip, length=5000, rate=30)
    qtbot.waitUntil(lambda: sum(m.faces == 2 for m in window.live_page.past.moments) > 3, timeout=8000)
    qtbot.keyClick(window, Qt.Key.Key_G)
    assert window.live_page.history.isVisible()
    minutes, faces = curves(window)[0]
    assert (np.diff(minutes) > 0).all()
    assert -0.5 < minutes[-1] <= 0
    assert (faces[np.isfinite(faces)] == 2).sum() > 3
    count = len(minutes)
    qtbot.waitUntil(lambda: len(curves(window)[0][0]) > count, timeout=5000)
    assert "Faces: 2" in window.live_page.history.accessibleDescription()
    captured, detected = curves(window)[2][1], curves(window)[3][1]
    assert captured[-1] == pytest.approx(30, rel=0.5)
    assert detected[-1] == pytest.approx(30, rel=0.5)
    qtbot.keyClick(window, Qt.Key.Key_G)
    assert not window.live_page.history.isVisible()


def test_only_the_last_minutes_are_kept_and_where_nothing_ran_is_a_gap():
    past, pipeline = Past(), LivePipeline(None, Settings())
    start = time.monotonic()
    for step in range(2000):
        past.note(pipeline, None, start + step * 0.4)
    assert past.moments[-1].at - past.moments[0].at <= PAST_S
    assert len(past.moments) == pytest.approx(PAST_S / 0.4, abs=2)
    assert all(math.isnan(moment.faces) and math.isnan(moment.captured) for moment in past.moments)


def test_the_plotting_library_is_not_loaded_before_it_is_needed(make_window):
    assert make_window().live_page.history is None


def test_in_a_small_window_the_last_curve_makes_room_for_the_others(theme, qtbot):
    from rfapp.gui.history import History

    history = History(theme, Past())
    qtbot.addWidget(history)
    history.show()
    for width, shown in ((900, 4), (400, 3), (900, 4)):
        history.resize(width, history.height())
        qtbot.wait(1)
        plots = [plot for plot in history.findChildren(pg.PlotWidget) if plot.isVisible()]
        assert len(plots) == shown
        assert {abs(plot.width() - plots[0].width()) <= 2 for plot in plots} == {True}
