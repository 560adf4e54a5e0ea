"""A face is covered in the frames around those in which it was found."""

from __future__ import annotations

import numpy as np

from rfapp.frames import Detections
from rfapp.tracking import Cover, Tracker
from rfapp.tracking.cover import AHEAD_BYTES, AHEAD_S

RATE = 25.0
AHEAD = round(AHEAD_S * RATE)
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None, np.zeros(0, np.int64))


def box(x: float) -> np.ndarray:
    return np.array([x - 20, 80, x + 20, 120], np.float32)


def faces(places: dict[int, float]) -> Detections:
    boxes = np.array([box(x) for x in places.values()], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(places), 0.9, np.float32), None, np.array(list(places), np.int64))


def covered(film: list[dict[int, float]], cuts: tuple[int, ...] = (), size: int = 1) -> list[np.ndarray]:
    cover: Cover[int] = Cover()
    given = []
    for index, places in enumerate(film):
        given += cover.put(index, index / RATE, faces(places), NOTHING, cut=index in cuts, size=size)
    given += cover.finish()
    assert [index for index, _ in given] == list(range(len(film)))
    return [boxes for _, boxes in given]


def holds(boxes: np.ndarray, inner: np.ndarray) -> bool:
    return any((b[:2] <= inner[:2] + 1e-3).all() and (b[2:] >= inner[2:] - 1e-3).all() for b in boxes)


def test_what_was_found_is_covered_where_it_was_found():
    for boxes in covered([{1: 100, 2: 300}] * 5):
        np.testing.assert_allclose(boxes, [box(100), box(300)])


def test_a_face_is_covered_before_it_was_found_for_the_first_time():
    boxes = covered([{}] * 30 + [{1: 100 + 3 * i} for i in range(20)])
    assert [len(b) for b in boxes[: 30 - AHEAD - 1]] == [0] * (30 - AHEAD - 1)
    for back in range(1, AHEAD):
        assert holds(boxes[30 - back], box(100 - 3 * back)), back  # it came at the speed with which it went on


def test_nothing_goes_across_a_cut():
    boxes = covered([{1: 100}] * 10 + [{}] * 3 + [{2: 300}] * 10, cuts=(13,))
    assert [len(b) for b in boxes] == [1] * 10 + [0] * 3 + [1] * 10
    for number in (1, 2):  # the very same number would be a mistake of the tracker's, but not one of the cover's
        assert [len(b) for b in covered([{1: 100}] * 3 + [{}] + [{number: 300}] * 3, cuts=(4,))] == [1] * 3 + [0] + [
            1
        ] * 3


def test_between_two_frames_in_which_it_was_found_it_is_in_between():
    boxes = covered([{1: 100}] + [{}] * 4 + [{1: 150}])
    for index in range(1, 5):
        np.testing.assert_allclose(boxes[index], [box(100 + 10 * index)], atol=1e-3)


def test_the_tracker_says_where_it_is_after_it_was_lost():
    tracker, cover = Tracker(0.6, smooth=False), Cover()
    given = []
    for index in range(20):
        found = faces({0: 100 + 2 * index}) if index < 10 else NOTHING
        followed = tracker.update(found, index / RATE)
        given += cover.put(index, index / RATE, followed, tracker.missing(), cut=False, size=1)
    given += cover.finish()
    for index, boxes in given:
        assert len(boxes) == 1
        assert holds(boxes + np.array([-6, 0, 6, 0]), box(100 + 2 * index))
        assert boxes[0, 2] - boxes[0, 0] < 40 + 2 * max(0, index - 9) + 6


def test_large_frames_are_not_held_back_for_long():
    cover: Cover[int] = Cover()
    waiting = 0
    for index in range(50):
        waiting += 1 - len(list(cover.put(index, index / RATE, NOTHING, NOTHING, cut=False, size=AHEAD_BYTES // 4)))
        assert waiting <= 4
