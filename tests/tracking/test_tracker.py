"""Numbers that stay, on faces whose way is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest

from rfapp.frames import Detections
from rfapp.tracking import Seen, Tracker, faint

RATE = 30.0
ROOM, STREET = (np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8) for seed in (1, 2))


def face(x: float, y: float = 100.0, size: float = 60.0) -> list[float]:
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def found(boxes: Sequence[Sequence[float]], scores: Sequence[float] | None = None) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    points = np.repeat(((array[:, :2] + array[:, 2:]) / 2)[:, None], 5, axis=1)
    values = np.full(len(array), 0.9, np.float32) if scores is None else np.array(scores, np.float32)
    order = np.argsort(-values, kind="stable")
    return Detections(array, values, points)[order]


def numbers(tracker: Tracker, film: Sequence[Detections]) -> list[list[int]]:
    return [tracker.update(faces, index / RATE).tracks.tolist() for index, faces in enumerate(film)]


def test_two_faces_keep_their_numbers_while_they_pass_each_other():
    tracker = Tracker(0.6, smooth=False)
    for index in range(60):
        left, right = face(100 + 5 * index, 100), face(400 - 5 * index, 140)
        order = [left, right] if index % 2 else [right, left]
        faces = tracker.update(found(order), index / RATE)
        by_number = dict(zip(faces.tracks.tolist(), faces.boxes[:, 0].tolist(), strict=True))
        if index == 0:
            number_left = next(number for number, x in by_number.items() if x == left[0])
        assert set(by_number) == {1, 2}
        assert by_number[number_left] == left[0]


def test_a_face_that_is_not_found_for_a_while_gets_its_number_back():
    tracker = Tracker(0.6)
    film = [found([face(100 + 4 * i)] if not 10 <= i < 25 else []) for i in range(40)]
    assert set(chain.from_iterable(numbers(tracker, film))) == {1}


def test_after_the_gap_it_is_another_one():
    tracker = Tracker(0.6, gap_s=0.3)
    film = [found([face(100)] if not 10 <= i < 25 else []) for i in range(40)]
    assert set(chain.from_iterable(numbers(tracker, film))) == {1, 2}


def test_while_it_is_not_found_it_is_missing_where_it_should_be():
    tracker = Tracker(0.6)
    numbers(tracker, [found([face(100 + 6 * i)]) for i in range(10)])
    for index in range(10, 15):
        assert not len(tracker.update(found([]), index / RATE))
        missing = tracker.missing()
        assert missing.tracks.tolist() == [1]
        left, _, right, _ = missing.boxes[0].tolist()
        assert left == pytest.approx(face(154)[0])  # from where it was found
        assert right == pytest.approx(face(100 + 6 * index)[2], abs=12)  # to where it should be
    tracker.update(found([face(190)]), 15 / RATE)
    assert not len(tracker.missing())


def test_a_faint_face_is_followed_but_does_not_begin():
    tracker = Tracker(0.6)
    assert faint(0.6) == pytest.approx(0.3)
    assert numbers(tracker, [found([face(100)], [0.4])] * 3) == [[], [], []]
    scores = [0.9, 0.4, 0.35, 0.8, 0.31]
    film = [found([face(100), face(400)], [score, 0.5]) for score in scores]
    assert [tracker.update(faces, (10 + i) / RATE).tracks.tolist() for i, faces in enumerate(film)] == [[1]] * 5


def test_the_better_face_of_two_on_one_place_keeps_the_number():
    tracker = Tracker(0.6)
    numbers(tracker, [found([face(100)])] * 5)
    faces = tracker.update(found([face(130), face(101)], [0.95, 0.7]), 5 / RATE)
    assert faces.tracks.tolist() == [2, 1]
    assert faces.scores.tolist() == pytest.approx([0.95, 0.7])


def test_a_quick_face_in_a_slow_film_keeps_its_number():
    tracker = Tracker(0.6)
    for index in range(12):  # at ten frames a second it leaves its own box with every frame
        assert tracker.update(found([face(100 + 70 * index)]), index / 10).tracks.tolist() == [1]


def test_a_new_scene_has_new_numbers_and_a_repeated_frame_has_the_old_ones():
    tracker = Tracker(0.6)
    assert tracker.update(found([face(50)]), 0.0, ROOM).tracks.tolist() == [1]
    assert tracker.update(found([face(50)]), 0.1, ROOM).tracks.tolist() == [1]
    assert tracker.update(found([face(50)]), 0.2, STREET).tracks.tolist() == [2]
    assert tracker.cut
    assert tracker.update(found([face(50)]), 0.2, STREET).tracks.tolist() == [2]
    assert not tracker.cut


def test_time_that_goes_backwards_ends_all_faces():
    tracker = Tracker(0.6)
    tracker.update(found([face(50)]), 5.0)
    assert tracker.update(found([face(50)]), 1.0).tracks.tolist() == [2]


def test_a_repeated_frame_shows_what_is_found_now():
    tracker = Tracker(0.6)
    numbers(tracker, [found([face(100)])] * 5)
    faces = tracker.update(found([face(106)]), 4 / RATE)
    assert faces.tracks.tolist() == [1]
    assert faces.boxes[0].tolist() == pytest.approx(face(106), abs=1e-3)


def test_people_are_counted_once_they_were_there_for_half_a_second():
    ended: list[Seen] = []
    tracker = Tracker(0.6, on_end=ended.append)
    film = [found([face(100)] + ([face(400)] if i in (8, 9) else [])) for i in range(31)]
    numbers(tracker, film[:15])
    assert tracker.people == 0
    for index in range(15, 31):
        tracker.update(film[index], index / RATE)
    assert tracker.people == 1
    tracker.finish()
    assert {seen.track: (seen.frames, round(seen.seen_s, 3)) for seen in ended} == {1: (31, 1.0), 2: (2, 0.033)}


def test_the_time_seen_leaves_out_the_gaps():
    ended: list[Seen] = []
    tracker = Tracker(0.6, on_end=ended.append)
    numbers(tracker, [found([face(100)] if i <= 10 or i >= 20 else []) for i in range(31)])
    tracker.finish()
    assert ended[0].seen_s == pytest.approx(20 / RATE)
    assert (ended[0].first_s, ended[0].last_s) == (0.0, 1.0)


def test_models_without_landmarks_and_changes_between_them():
    tracker = Tracker(0.6)
    plain = Detections(np.array([face(50)], np.float32), np.array([0.9], np.float32))
    assert tracker.update(plain, 0.0).landmarks is None
    assert tracker.update(found([face(50)]), 0.1).landmarks.shape == (1, 5, 2)
    assert tracker.update(plain, 0.2).tracks.tolist() == [1]


def jitter(points: np.ndarray) -> float:
    return float(np.abs(np.diff(points, axis=0)).mean())


@pytest.mark.parametrize("size", [24.0, 300.0])
def test_a_still_face_trembles_less_than_half(size):
    random = np.random.default_rng(3)
    tracker = Tracker(0.6)
    raw, smooth = [], []
    for index in range(150):
        faces = found([np.array(face(300, 300, size)) + random.normal(0, 0.012 * size, 4)])
        raw.append(faces.boxes[0])
        smooth.append(tracker.update(faces, index / RATE).boxes[0])
    assert jitter(np.array(smooth[30:])) < 0.4 * jitter(np.array(raw[30:]))
    assert np.array(smooth[30:]).mean(axis=0) == pytest.approx(np.array(face(300, 300, size)), abs=0.01 * size)


@pytest.mark.parametrize("speed", [0.6, 1.5, 4.0])  # sizes of the face a second
def test_a_moving_face_is_followed_within_a_frame(speed):
    random = np.random.default_rng(4)
    tracker = Tracker(0.6)
    late = []
    for index in range(60):
        x = 200 + 60 * speed * index / RATE
        faces = tracker.update(found([np.array(face(x)) + random.normal(0, 0.6, 4)]), index / RATE)
        late.append((x - faces.landmarks[0, 2, 0]) / (60 * speed / RATE))
    assert np.mean(late[15:]) < 1.0
