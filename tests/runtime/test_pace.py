"""A limit of detections a second."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rfapp.runtime import Ended, Paused
from rfapp.runtime.inference import Pace
from rfapp.settings import Settings
from tests.runtime.fakes import Clip, FakeDetector
from tests.runtime.test_following import FACES, HIDDEN, Patterned, TwoFaces, is_hidden
from tests.runtime.test_pipeline import of, playing

TEN = Settings().changed(live_max_rate=10)


@pytest.mark.parametrize(("film", "most", "looked_at"), [(30, 10, 101), (30, 20, 201), (25, 10, 101), (30, 60, 301)])
def test_so_many_of_a_film_of_ten_seconds_are_due(film, most, looked_at):
    pace = Pace()
    due = [step / film for step in range(10 * film + 1) if pace.is_due(step / film + 1e-6, most)]
    assert len(due) == pytest.approx(looked_at, abs=1)
    assert max(np.diff(due)) <= max(1 / most, 1 / film) + 1 / film


def test_a_film_that_comes_in_fits_and_starts_is_not_made_up_for():
    pace = Pace()
    assert pace.is_due(0.0, 10)
    assert pace.is_due(5.0, 10)
    assert not any(pace.is_due(5.0 + 0.01 * step, 10) for step in range(1, 10))
    assert pace.is_due(5.1, 10)


def test_a_higher_limit_holds_at_once_and_none_at_all_lets_everything_through():
    pace = Pace()
    assert pace.is_due(0.0, 1)
    assert not pace.is_due(0.1, 1)
    assert pace.is_due(0.2, 10)
    assert pace.is_due(0.21, 0)
    pace.restart()
    assert pace.is_due(0.22, 10)


def test_no_more_pictures_than_wanted_are_looked_at_and_all_are_shown():
    detector = FakeDetector()
    with playing(of(Clip(length=150, rate=100)), TEN, lambda settings: detector) as (pipeline, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.results[-1].fresh and watcher.results[-1].frame.index == 149)
        assert pipeline.statistics.dropped == 0, "what was left out on purpose is not dropped"
    assert 12 <= len(detector.calls) <= 20  # 1.5 s; the first one, and the last, which stays, come on top
    shown = sorted({result.frame.index for result in watcher.results})
    assert len(shown) > 140
    between = [r for r in watcher.results if not r.fresh and r.detections is not None]
    assert len(between) > 100
    assert max(result.age_s for result in between) < 0.2
    assert not any(result.stale for result in between), "they are as old as was asked for"
    indices = [result.frame.index for result in watcher.results]
    assert indices == sorted(indices), "the picture jumped back"


def test_the_picture_that_stays_is_looked_at_whenever_it_came():
    for stop in ("pause", "end"):
        with playing(of(Clip(length=40, rate=100)), TEN.changed(live_max_rate=1)) as (pipeline, watcher):
            watcher.wait(lambda: len(watcher.results) > 20)
            if stop == "pause":
                pipeline.pause()
                watcher.wait_for_state(Paused)
            else:
                watcher.wait_for_state(Ended)
            watcher.wait(lambda: watcher.results[-1].fresh)
            last = watcher.results[-1]
            assert last.detections.boxes[0, 0] == last.frame.index == max(r.frame.index for r in watcher.results)


def test_steps_seeks_and_changes_do_not_wait_for_their_turn():
    settings = Settings().changed(live_max_rate=1)
    with playing(of(Clip(length=5000, rate=100)), settings) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        watcher.wait(lambda: watcher.results[-1].fresh)
        began = time.monotonic()
        for _ in range(5):
            at = watcher.fresh()[-1].frame.index
            pipeline.step(1)
            watcher.wait(lambda: watcher.fresh()[-1].frame.index == at + 1)  # noqa: B023
        pipeline.seek(20.0)
        watcher.wait(lambda: watcher.fresh()[-1].frame.index == 2000)
        count = len(watcher.fresh())
        pipeline.apply(settings.changed(detector_score=0.3))
        watcher.wait(lambda: len(watcher.fresh()) > count)
        assert time.monotonic() - began < 2.5


def test_every_picture_of_a_folder_is_looked_at():
    with playing(of(Clip(length=12, rate=20, stills=True)), Settings().changed(live_max_rate=1)) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: {result.frame.index for result in watcher.fresh()} == set(range(12)))


def test_while_faces_are_hidden_no_picture_is_shown_that_was_not_looked_at():
    with playing(of(Patterned(length=150)), HIDDEN.changed(live_max_rate=10), TwoFaces) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.results[-1].fresh and watcher.results[-1].frame.index == 149)
    known = next(place for place, result in enumerate(watcher.results) if result.fresh)
    assert all(result.fresh for result in watcher.results[known:])
    assert 12 <= len(watcher.results[known:]) <= 20
    for result in watcher.results:
        assert all(is_hidden(result.picture, box) for box in FACES), (result.frame.index, result.fresh)


def test_faces_that_are_to_be_hidden_are_so_in_the_next_picture_and_not_in_the_next_turn():
    settings = Settings().changed(live_max_rate=1)
    with playing(of(Patterned(length=5000)), settings, TwoFaces) as (pipeline, watcher):
        watcher.wait(lambda: len(watcher.results) > 20)
        began = time.monotonic()
        pipeline.apply(HIDDEN.changed(live_max_rate=1))
        watcher.wait(lambda: watcher.results[-1].hidden is not None)
        assert time.monotonic() - began < 0.5
        assert all(is_hidden(watcher.results[-1].picture, box) for box in FACES)
