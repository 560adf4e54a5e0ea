"""The live pipeline against a scripted source and a detector without a network."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from rfapp.errors import CameraLost, PictureUnreadable, SourceDamaged, SourceUnreadable, UnknownModel
from rfapp.runtime import Ended, Failed, Idle, LivePipeline, Opening, Paused, Running, watchdog
from rfapp.runtime import pipeline as pipeline_module
from rfapp.runtime.screen import screen_picture
from rfapp.settings import Settings, all_settings
from tests.runtime.fakes import Camera, Clip, FakeDetector, Watcher, index_of


@contextmanager
def playing(source, settings=None, make_detector=FakeDetector) -> Iterator[tuple[LivePipeline, Watcher]]:
    pipeline = LivePipeline(source, settings or Settings(), make_detector=make_detector)
    watcher = Watcher(pipeline)
    pipeline.start()
    try:
        yield pipeline, watcher
    finally:
        assert pipeline.close(timeout=5), "a thread was left behind"


def of(source):
    return lambda: source


def test_every_result_belongs_to_the_frame_that_it_is_painted_on():
    with playing(of(Clip(length=60))) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(watcher.fresh)
    for result in watcher.fresh():
        assert index_of(result.frame.image) == result.detections.boxes[0, 0] == result.frame.index
        assert index_of(result.picture) == result.frame.index
        assert result.age_s == 0


def test_a_file_is_played_at_its_own_speed():
    with playing(of(Clip(length=20, rate=40))) as (_, watcher):
        watcher.wait(lambda: len(watcher.results) > 1)
        started = time.perf_counter()
        watcher.wait_for_state(Ended)
        assert 0.35 < time.perf_counter() - started < 1.5


def test_states_tell_opening_running_and_the_end():
    with playing(of(Clip(length=3))) as (pipeline, watcher):
        watcher.wait_for_state(Ended)
        assert [type(state) for state in watcher.states] == [Opening, Running, Ended]
        assert pipeline.state is watcher.states[-1]
        pipeline.stop()
        watcher.wait_for_state(Idle)


def test_pausing_holds_the_picture_and_resuming_goes_on_behind_it():
    clip = Clip(length=1000)
    with playing(of(clip)) as (pipeline, watcher):
        watcher.wait(lambda: len(watcher.fresh()) > 3)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        time.sleep(0.1)
        held = watcher.results[-1].frame.index
        reads = clip.reads
        time.sleep(0.15)
        assert clip.reads == reads
        assert watcher.results[-1].frame.index == held
        pipeline.resume()
        watcher.wait(lambda: watcher.results[-1].frame.index > held)
        after = next(r.frame.index for r in watcher.results if r.frame.index > held)
        assert after <= held + 3, "frames were lost while it was paused"


def test_a_changed_threshold_acts_on_the_picture_that_stands_still():
    detectors = []

    def make(settings):
        detectors.append(FakeDetector(settings))
        return detectors[-1]

    with playing(of(Clip(length=1)), make_detector=make) as (pipeline, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(watcher.fresh)
        count = len(watcher.fresh())
        pipeline.apply(Settings().changed(detector_score=0.25, detector_size=320))
        watcher.wait(lambda: len(watcher.fresh()) > count)
        assert watcher.fresh()[-1].repeated
        assert detectors[0].calls[-1]["score"] == 0.25
        assert detectors[0].calls[-1]["size"] == 320
        assert len(detectors) == 1, "a threshold is no reason for a new network"
        assert pipeline.statistics.captured <= 1


@pytest.mark.parametrize("setting", list(all_settings(["detector"])), ids=lambda setting: setting.key)
def test_every_setting_of_the_detector_acts_while_it_runs(setting):
    """With each call, or by another detector."""
    other = {"model": "resnet50", "engine": "torch", "device": "cpu", "precision": "float32", "second_pass": "half"}
    value = other.get(setting.key, setting.about.maximum)
    made = []

    def make(settings):
        made.append((settings, FakeDetector(settings)))
        return made[-1][1]

    with playing(of(Clip(length=1)), make_detector=make) as (pipeline, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(watcher.fresh)
        pipeline.apply(Settings().changed(**{setting.name: value}))

        def acts():
            settings, detector = made[-1]
            return bool(detector.calls) and {**dataclasses.asdict(settings), **detector.calls[-1]}[setting.key] == value

        watcher.wait(acts)


def test_seeking_shows_the_place_even_while_paused_and_older_results_are_thrown_away():
    with playing(of(Clip(length=1000))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        pipeline.seek(5.0)
        generation = pipeline.generation
        watcher.wait(lambda: watcher.results[-1].frame.index == 500)
        time.sleep(0.1)
        assert watcher.results[-1].frame.index == 500, "a seek shows one picture and stays paused"
        assert watcher.results[-1].frame.generation == generation
        assert isinstance(pipeline.state, Paused)


def test_playing_again_after_the_end_starts_from_the_beginning():
    with playing(of(Clip(length=5))) as (pipeline, watcher):
        watcher.wait_for_state(Ended)
        before = pipeline.generation
        pipeline.resume()
        watcher.wait(lambda: any(r.frame.index == 0 and r.frame.generation > before for r in watcher.results))


def test_a_loop_goes_on_after_the_end():
    with playing(of(Clip(length=5)), Settings().changed(source_loop=True)) as (_, watcher):
        watcher.wait(lambda: sum(result.frame.index == 0 for result in watcher.results) >= 3)
        assert not any(isinstance(state, Ended) for state in watcher.states)


def test_the_delay_does_not_grow_when_detection_is_slower_than_the_source():
    detector, delays = FakeDetector(seconds=0.04), []
    with playing(of(Clip(length=150, rate=100)), make_detector=lambda settings: detector) as (pipeline, watcher):
        pipeline.subscribe(lambda r: delays.append(time.perf_counter() - r.frame.captured_at) if r.fresh else None)
        watcher.wait_for_state(Ended)
        statistics = pipeline.statistics
        assert statistics.dropped > 30
        # One may still be waiting and one be under way.
        assert 0 <= statistics.captured - statistics.detected - statistics.dropped <= 2, "a frame is not accounted for"
        # At most one detection that was under way when the frame came, and its own.
        assert max(delays) < 0.25


def test_the_picture_runs_before_the_detector_is_ready():
    go = threading.Event()

    def make(settings):
        go.wait(5)
        return FakeDetector(settings)

    with playing(of(Clip(length=1000)), make_detector=make) as (pipeline, watcher):
        watcher.wait(lambda: len(watcher.results) > 5)
        assert pipeline.loading == "mobilenet0.25"
        assert all(result.detections is None and not result.fresh for result in watcher.results)
        go.set()
        watcher.wait(watcher.fresh)
        assert pipeline.loading is None


def test_while_detection_is_slow_every_frame_is_shown_with_older_boxes():
    detector = FakeDetector(seconds=0.3)
    with playing(of(Clip(length=200, rate=50)), make_detector=lambda settings: detector) as (_, watcher):
        watcher.wait(lambda: sum(r.detections is not None and not r.fresh for r in watcher.results) > 10)
    indices = [result.frame.index for result in watcher.results]
    assert indices == sorted(indices), "the picture jumped back"
    old = [r for r in watcher.results if r.detections is not None and not r.fresh]
    assert old[-1].age_s > 0.1


def test_another_model_is_built_beside_the_running_one():
    go, made = threading.Event(), []

    def make(settings):
        if settings.model == "other":
            go.wait(5)
        made.append(FakeDetector(settings))
        return made[-1]

    with playing(of(Clip(length=1000)), make_detector=make) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.apply(Settings().changed(detector_model="other"))
        count = len(watcher.fresh())
        watcher.wait(lambda: len(watcher.fresh()) > count + 10)
        assert watcher.fresh()[-1].detector.model == "mobilenet0.25"
        go.set()
        watcher.wait(lambda: watcher.fresh()[-1].detector.model == "other")
        watcher.wait(lambda: made[0].closed)


def test_a_model_that_can_not_be_built_leaves_the_old_one_running_and_is_told():
    def make(settings):
        if settings.model == "no such":
            raise UnknownModel("There is no model “no such”.")
        return FakeDetector(settings)

    with playing(of(Clip(length=1000)), make_detector=make) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.apply(Settings().changed(detector_model="no such"))
        watcher.wait(lambda: watcher.errors)
        assert "no such" in str(watcher.errors[0])
        count = len(watcher.fresh())
        watcher.wait(lambda: len(watcher.fresh()) > count + 5)
        assert isinstance(pipeline.state, Running)


def test_a_source_that_can_not_be_opened_fails_with_its_sentence():
    def make_source():
        raise SourceUnreadable("“x.mp4” is no video.")

    with playing(make_source) as (_, watcher):
        assert "no video" in str(watcher.wait_for_state(Failed).error)


def test_one_bad_picture_is_told_and_the_next_ones_follow():
    clip = Clip(length=4, rate=10, stills=True, problem={1: PictureUnreadable("“b.jpg” is no picture.")})
    with playing(of(clip)) as (_, watcher):
        watcher.wait_for_state(Ended)
        assert [str(error) for error in watcher.errors] == ["“b.jpg” is no picture."]
        watcher.wait(lambda: {r.frame.index for r in watcher.results} == {0, 2, 3})


def test_a_damaged_file_ends_with_what_could_be_had():
    clip = Clip(length=9, problem={3: SourceDamaged("“c.mp4” is damaged.")})
    with playing(of(clip)) as (_, watcher):
        ended = watcher.wait_for_state(Ended)
        assert "damaged" in str(ended.problem)
        watcher.wait(lambda: max(r.frame.index for r in watcher.results) == 2)


def test_a_camera_that_goes_away_is_told_and_comes_back_by_itself():
    cameras = [Camera([0.01] * 10 + [CameraLost("“Fake Cam” was unplugged.")]), Camera([0.01] * 500)]
    with playing(lambda: cameras.pop(0)) as (pipeline, watcher):
        watcher.wait(lambda: any(isinstance(s, Opening) and s.problem is not None for s in watcher.states))
        lost = next(s for s in watcher.states if isinstance(s, Opening) and s.problem is not None)
        assert "unplugged" in str(lost.problem)
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count + 5)
        assert isinstance(pipeline.state, Running)


def test_a_camera_that_was_never_there_fails_at_once():
    with playing(of(Camera([CameraLost("gone")]))) as (_, watcher):
        watcher.wait_for_state(Failed)


def test_a_driver_that_hangs_is_told_given_up_and_opened_again(monkeypatch):
    monkeypatch.setattr(watchdog, "STALLED_S", 0.2)
    monkeypatch.setattr(watchdog, "ABANDONED_S", 0.6)
    release = threading.Event()
    cameras = [Camera([0.01] * 5 + [lambda: release.wait(20)]), Camera([0.01] * 500)]
    with playing(lambda: cameras.pop(0)) as (pipeline, watcher):
        watcher.wait(lambda: len(watcher.results) >= 5)
        watcher.wait(lambda: any(isinstance(s, Opening) and s.problem is not None for s in watcher.states))
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count + 5)
        assert isinstance(pipeline.state, Running)
        release.set()


def test_a_camera_that_only_stalls_goes_on(monkeypatch):
    monkeypatch.setattr(watchdog, "STALLED_S", 0.2)
    camera = Camera([*[0.01] * 5, 1.0, *[0.01] * 500])
    with playing(of(camera)) as (pipeline, watcher):
        watcher.wait(lambda: any(isinstance(s, Opening) and s.problem is not None for s in watcher.states))
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count + 5)
        assert isinstance(pipeline.state, Running)
        assert not camera.closed.is_set()


def test_closing_does_not_wait_for_a_driver_that_hangs():
    release = threading.Event()
    pipeline = LivePipeline(of(Camera([0.01, lambda: release.wait(20)])), Settings(), make_detector=FakeDetector)
    watcher = Watcher(pipeline)
    pipeline.start()
    watcher.wait(lambda: watcher.results)
    time.sleep(0.1)
    started = time.monotonic()
    assert not pipeline.close(timeout=0.5)
    assert time.monotonic() - started < 2
    release.set()


def test_an_engine_that_breaks_ends_as_failed_and_trying_again_builds_it_anew(monkeypatch):
    monkeypatch.setattr("rfapp.engines.available", lambda: ())  # nothing that could stand in for it
    made = []

    def make(settings):
        made.append(FakeDetector(settings))
        return made[-1]

    with playing(lambda: Clip(length=1000), make_detector=make) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        made[0].broken = RuntimeError("device lost")
        assert "device lost" in str(watcher.wait_for_state(Failed).error)
        count = len(watcher.fresh())
        pipeline.resume()
        watcher.wait(lambda: len(watcher.fresh()) > count)
        assert len(made) == 2


def test_a_subscriber_that_raises_ends_as_failed():
    def broken(result):
        raise ZeroDivisionError("in a callback")

    with playing(of(Clip(length=1000))) as (pipeline, watcher):
        pipeline.subscribe(on_result=broken)
        assert "in a callback" in str(watcher.wait_for_state(Failed).error)


def test_opening_another_source_leaves_the_first_one():
    first, second = Clip(length=1000), Clip(length=1000, title="second")
    with playing(of(first)) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.open(of(second))
        watcher.wait(lambda: any(isinstance(s, Running) and s.info.title == "second" for s in watcher.states))
        watcher.wait(lambda: first.closed)
        generation = pipeline.generation
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count + 3)
        assert all(r.frame.generation == generation for r in watcher.results[count + 2 :])


def test_no_thread_is_left_after_many_changes_of_source():
    before = threading.active_count()
    with playing(lambda: Clip(length=1000)) as (pipeline, watcher):
        for _ in range(15):
            pipeline.open(lambda: Clip(length=1000))
            count = len(watcher.results)
            watcher.wait(lambda count=count: len(watcher.results) > count)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == before


@pytest.mark.parametrize("shape", [(40, 60), (3000, 4000), (1, 5000)])
def test_the_picture_for_the_screen_is_never_longer_than_a_screen_needs(shape):
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 2] = 200
    picture = screen_picture(image)
    assert max(picture.shape[:2]) <= max(2560, 0) or max(shape) <= 2560
    assert picture.shape[2] == 4
    assert (picture[0, 0] == (0, 0, 200, 255)).all()


def test_frames_are_read_only():
    with playing(of(Clip(length=3))) as (_, watcher):
        watcher.wait(lambda: watcher.results)
        with pytest.raises(ValueError, match="read-only"):
            watcher.results[0].frame.image[0, 0] = 1


def test_a_camera_is_looked_for_by_name_once_it_is_known(monkeypatch):
    asked = []

    def open_source(address, settings):
        asked.append(address)
        return Camera([0.01] * 5 + [CameraLost("gone")] if len(asked) == 1 else [0.01] * 500, title="Front")

    monkeypatch.setattr(pipeline_module, "open_source", open_source)
    with playing("camera") as (_, watcher):
        watcher.wait(lambda: len(asked) == 2)
    assert asked == ["camera", "camera:Front"]


def test_while_nobody_looks_nothing_is_detected_and_a_file_plays_on():
    detector = FakeDetector()
    with playing(of(Clip(length=10_000)), make_detector=lambda settings: detector) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.sleep(True)
        time.sleep(0.1)
        calls, index = len(detector.calls), watcher.results[-1].frame.index
        time.sleep(0.3)
        assert len(detector.calls) == calls
        pipeline.sleep(False)
        watcher.wait(lambda: watcher.fresh()[-1].frame.index > index + 20)
