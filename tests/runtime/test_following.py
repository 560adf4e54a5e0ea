"""Followed and hidden faces in the live pipeline, with scripted sources and detectors."""

from __future__ import annotations

import threading
import time

import numpy as np

from rfapp.frames import Detections, Frame
from rfapp.runtime import Ended, Paused
from rfapp.settings import Settings
from tests.runtime.fakes import HEIGHT, WIDTH, Clip, FakeDetector, index_of
from tests.runtime.test_pipeline import of, playing

FACES = np.array([[4, 10, 20, 26], [40, 12, 54, 28]], np.float32)
HIDDEN = Settings().changed(hiding_how="fill", hiding_margin=0, hiding_shape="box")


class TwoFaces(FakeDetector):
    """The same two faces in every frame, but in those of ``unfound`` only the second; tells with which score it was
    asked."""

    unfound: frozenset[int] = frozenset()

    def __call__(self, image: np.ndarray, **thresholds: object) -> Detections:
        super().__call__(image, **thresholds)
        rows = [1] if index_of(image) in self.unfound else [0, 1]
        points = np.repeat(FACES[:, None, :2] + 4, 5, axis=1)
        return Detections(FACES, np.array([0.9, 0.8], np.float32), points)[rows]


class Patterned(Clip):
    """Every pixel differs from its neighbours, and stays the same from frame to frame."""

    def read(self) -> Frame | None:
        frame = super().read()
        if frame is None:
            return None
        image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        image[0, 0] = frame.image[0, 0]
        return Frame(image, frame.index, frame.time_s, frame.captured_at)


def is_hidden(picture: np.ndarray, box: np.ndarray) -> bool:
    left, top, right, bottom = box.astype(int)
    return bool((np.ptp(picture[top:bottom, left:right, :3], axis=(0, 1)) == 0).all())


def test_faces_keep_their_numbers_and_people_are_counted():
    settings = Settings().changed(tracking_on=True)
    with playing(of(Clip(length=80)), settings, TwoFaces) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].frame.index == 79)
    assert {tuple(result.detections.tracks.tolist()) for result in watcher.fresh()} == {(1, 2)}
    assert watcher.fresh()[-1].people == 2
    assert all(result.hidden is None for result in watcher.results)


def test_followed_faces_may_be_fainter_and_others_not():
    detectors = []

    def make(settings):
        detectors.append(TwoFaces(settings))
        return detectors[-1]

    for settings, score in ((Settings(), 0.6), (Settings().changed(tracking_on=True), 0.3), (HIDDEN, 0.3)):
        with playing(of(Clip(length=3)), settings, make) as (_, watcher):
            watcher.wait(watcher.fresh)
        assert {call["score"] for call in detectors[-1].calls} == {score}


def test_no_picture_shows_a_face_and_a_face_that_is_missed_stays_hidden():
    class Missing(TwoFaces):
        unfound = frozenset({10, 11, 12, 13, 14})

    with playing(of(Patterned(length=30)), HIDDEN, Missing) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].frame.index == 29)
    assert any(len(result.detections) == 1 for result in watcher.fresh())
    for result in watcher.results:
        assert all(is_hidden(result.picture, box) for box in FACES), (result.frame.index, result.fresh)
    assert not is_hidden(watcher.fresh()[-1].picture, np.array([20, 30, 40, 48]))


def test_before_anything_is_known_nothing_can_be_seen():
    there = threading.Event()

    def late(settings):
        there.wait(10)
        return TwoFaces(settings)

    with playing(of(Patterned(length=200)), HIDDEN, late) as (_, watcher):
        watcher.wait(lambda: len(watcher.results) > 3)
        assert all(is_hidden(result.picture, np.array([0, 0, WIDTH, HEIGHT])) for result in watcher.results)
        there.set()
        watcher.wait(watcher.fresh)


def test_pictures_between_two_slow_detections_are_hidden_too():
    class Slow(TwoFaces):
        def __init__(self, settings=None):
            super().__init__(settings, seconds=0.3)

    with playing(of(Patterned(length=120)), HIDDEN, Slow) as (_, watcher):
        watcher.wait(lambda: len([result for result in watcher.results if not result.fresh]) > 30)
    for result in watcher.results:
        assert all(is_hidden(result.picture, box) for box in FACES), (result.frame.index, result.fresh)


def test_a_face_that_is_shown_is_shown_until_it_is_hidden_again_or_the_film_begins_anew():
    with playing(of(Patterned(length=400)), HIDDEN, TwoFaces) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)

        def after(act) -> np.ndarray:
            count = len(watcher.results)
            act()
            watcher.wait(lambda: any(result.repeated for result in watcher.results[count:]))
            return watcher.results[-1]

        shown = after(lambda: pipeline.show_face(1, True))
        assert not is_hidden(shown.picture, FACES[0])
        assert is_hidden(shown.picture, FACES[1])
        points = shown.hidden.veiled(shown.detections).landmarks
        assert np.isfinite(points[0]).all()
        assert np.isnan(points[1]).all()
        assert is_hidden(after(lambda: pipeline.show_face(1, False)).picture, FACES[0])
        after(lambda: pipeline.show_face(2, True))
        assert pipeline.shown_faces == {2}
        count = len(watcher.fresh())
        pipeline.seek(0.0)
        watcher.wait(lambda: len(watcher.fresh()) > count)
        assert pipeline.shown_faces == frozenset()
        assert is_hidden(watcher.fresh()[-1].picture, FACES[1])


def test_a_setting_that_changes_while_the_picture_stands_still_acts_on_it():
    with playing(of(Patterned(length=400)), Settings(), TwoFaces) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        time.sleep(0.05)
        count = len(watcher.results)
        pipeline.apply(HIDDEN)
        watcher.wait(lambda: len(watcher.results) > count)
        assert is_hidden(watcher.results[-1].picture, FACES[0])
        count = len(watcher.results)
        pipeline.apply(Settings())
        watcher.wait(lambda: len(watcher.results) > count)
        assert not is_hidden(watcher.results[-1].picture, FACES[0])


def test_pictures_that_stand_for_themselves_are_not_followed():
    class First(TwoFaces):
        unfound = frozenset({1, 2, 3})

    with playing(of(Patterned(length=4, rate=20, stills=True)), HIDDEN, First) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].frame.index == 3)
    last = watcher.fresh()[-1]
    assert last.detections.tracks is None
    assert is_hidden(last.picture, FACES[1])
    assert not is_hidden(last.picture, FACES[0])
