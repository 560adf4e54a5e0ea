"""A file frame by frame, slower and faster."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from rfapp.runtime import Ended, Paused
from rfapp.settings import Settings
from rfapp.sources.video import Video
from tests.runtime.fakes import Camera, Clip
from tests.runtime.test_pipeline import of, playing


def shown(watcher) -> int:
    return watcher.fresh()[-1].frame.index


def test_one_frame_on_and_one_back():
    with playing(of(Clip(length=300, rate=30))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        time.sleep(0.1)
        at = shown(watcher)
        for steps in range(1, 6):
            pipeline.step(1)
            watcher.wait(lambda: shown(watcher) == at + steps)  # noqa: B023
        for steps in range(4, -1, -1):
            pipeline.step(-1)
            watcher.wait(lambda: shown(watcher) == at + steps)  # noqa: B023
        assert isinstance(pipeline.state, Paused)


def test_one_back_in_a_film_of_changing_rate(test_data):
    clip = test_data / "clips" / "webcam_vfr.mkv"
    with Video(clip) as video:  # a busy computer leaves out frames while it plays, but none when it steps
        video.open()
        times = [frame.time_s for frame in iter(video.read, None)]
    with playing(str(clip)) as (pipeline, watcher):
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].frame.time_s > 3.2, 20)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        time.sleep(0.2)
        at = times.index(max(result.frame.time_s for result in watcher.results))
        for wanted in times[at - 1 : at - 6 : -1]:
            pipeline.step(-1)
            watcher.wait(lambda: watcher.fresh()[-1].frame.time_s == wanted)  # noqa: B023


def test_a_step_holds_a_film_that_runs_and_the_last_one_is_its_end():
    with playing(of(Clip(length=8, rate=4))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.step(1)
        watcher.wait_for_state(Paused)
        for _ in range(10):
            pipeline.step(1)
            time.sleep(0.02)
        watcher.wait_for_state(Ended)
        assert shown(watcher) == 7


def test_a_step_before_the_first_frame_stays_there():
    with playing(of(Clip(length=30, rate=30))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.seek(0.0)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        count = len(watcher.fresh())
        pipeline.step(-1)
        watcher.wait(lambda: len(watcher.fresh()) > count)
        assert shown(watcher) <= 1


def test_a_camera_has_no_steps():
    with playing(of(Camera([0.01] * 500))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.step(1)
        pipeline.step(-1)
        count = len(watcher.fresh())
        watcher.wait(lambda: len(watcher.fresh()) > count + 3)


@pytest.mark.parametrize(("speed", "frames"), [(0.5, 20), (4.0, 160)])
def test_a_film_plays_slower_and_faster(speed, frames):
    settings = Settings().changed(source_speed=speed)
    with playing(of(Clip(length=frames, rate=40)), settings) as (_, watcher):
        watcher.wait(watcher.fresh)
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: shown(watcher) == frames - 1)
    first, last = watcher.results[0].frame, watcher.results[-1].frame
    assert last.captured_at - first.captured_at == pytest.approx(last.time_s / speed, rel=0.25)


def test_a_change_of_speed_does_not_jump():
    with playing(of(Clip(length=4000, rate=40))) as (pipeline, watcher):
        watcher.wait(lambda: watcher.fresh() and shown(watcher) > 20)
        pipeline.apply(Settings().changed(source_speed=4.0))
        time.sleep(0.5)
        pipeline.apply(Settings().changed(source_speed=0.5))
        time.sleep(0.5)
        times = [result.frame.time_s for result in watcher.fresh()]
    assert max(after - before for before, after in pairwise(times)) < 0.5
    assert times[-1] < 20 / 40 + 4 * 0.5 + 0.5 * 0.5 + 1.5
