"""A new scene is told from movement and from light."""

import numpy as np
import pytest

from rfapp.tracking.cuts import CutFinder


def scene(seed: int, shift: int = 0, light: int = 0) -> np.ndarray:
    """A picture of random coarse patches, moved by some pixels."""
    patches = np.random.default_rng(seed).integers(40, 200, (9, 16, 3), np.uint8)
    picture = np.kron(patches, np.ones((40, 40, 1), np.uint8))
    return np.ascontiguousarray(np.clip(np.roll(picture, shift, axis=1).astype(int) + light, 0, 255).astype(np.uint8))


def cuts(pictures) -> list[int]:
    finder = CutFinder()
    return [index for index, picture in enumerate(pictures) if finder.is_cut(picture, index / 25)]


def test_a_cut_is_found_where_it_is_and_only_once():
    assert cuts([scene(1)] * 5 + [scene(2)] * 5 + [scene(3)] * 2) == [5, 10]


def test_a_camera_that_swings_is_no_cut():
    assert cuts([scene(1, shift=12 * i) for i in range(12)]) == []


def test_the_cut_after_a_swing_is_found():
    assert cuts([scene(1, shift=2 * i) for i in range(12)] + [scene(2)] * 3) == [12]


def test_frames_that_were_dropped_are_no_cut():
    """At random a third of the frames of a picture that changes all the time."""
    random, finder, found = np.random.default_rng(3), CutFinder(), []
    picture = scene(1)
    for index in range(300):
        picture = picture.copy()
        for _ in range(4):  # something else moves into the picture, a tile at a time
            row, column = random.integers(0, 9), random.integers(0, 16)
            picture[row * 40 : row * 40 + 40, column * 40 : column * 40 + 40] = random.integers(40, 200, 3)
        if random.random() < 0.33 and finder.is_cut(picture, index / 25):
            found.append(index)
    assert found == []


def test_a_lamp_is_no_cut():
    assert cuts([scene(1)] * 4 + [scene(1, light=50)] * 4 + [scene(1)] * 4) == []


def test_pictures_of_another_size_are_another_scene():
    assert cuts([scene(1)] * 2 + [np.ascontiguousarray(scene(1)[:200]), scene(1)]) == [2, 3]


def test_after_a_reset_nothing_is_compared():
    finder = CutFinder()
    assert not finder.is_cut(scene(1), 0.0)
    finder.reset()
    assert not finder.is_cut(scene(2), 0.04)


@pytest.mark.parametrize(
    ("clip", "at"),
    [
        ("webcam_vfr.mkv", [75, 104, 135, 178, 204, 240]),
        ("stage_360p.mp4", [45, 107, 236]),
        ("street_walk_720p.mp4", []),
        ("indoor_mjpeg.avi", []),
    ],
)
def test_the_cuts_of_real_clips(test_data, clip, at):
    from rfapp.sources.video import Video

    with Video(test_data / "clips" / clip) as video:
        video.open()
        finder = CutFinder()
        assert [f.index for f in iter(video.read, None) if finder.is_cut(f.image, f.time_s)] == at
