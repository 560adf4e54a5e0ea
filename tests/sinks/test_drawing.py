from __future__ import annotations

import numpy as np
import pytest

from rfapp.frames import Detections
from rfapp.sinks import draw
from rfapp.sinks.drawing import BOX, LANDMARKS, line_width


def faces(*boxes: tuple[float, float, float, float], landmarks: bool = True) -> Detections:
    table = np.array(boxes, np.float32).reshape(-1, 4)
    points = None
    if landmarks:
        place = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)], np.float32)
        points = table[:, None, :2] + place * (table[:, None, 2:] - table[:, None, :2])
    return Detections(table, np.linspace(0.99, 0.7, len(table), dtype=np.float32), points)


def grey(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_given_picture_stays_as_it_is() -> None:
    image = grey(320, 240)
    image.flags.writeable = False
    result = draw(image, faces((50, 60, 150, 180)))
    assert result is not image
    assert result.flags.writeable
    assert (image == 128).all()
    assert (result != 128).any()


def test_no_face_no_paint() -> None:
    image = grey(320, 240)
    np.testing.assert_array_equal(draw(image, Detections.empty()), image)


def test_box_and_landmarks_are_where_they_belong() -> None:
    found = faces((100, 60, 220, 200))
    result = draw(grey(320, 240), found, scores=False)
    for x, y in ((100, 130), (220, 130), (160, 60), (160, 200)):
        assert np.abs(result[y, x].astype(int) - BOX).max() < 40
    assert found.landmarks is not None
    for (x, y), colour in zip(found.landmarks[0], LANDMARKS, strict=True):
        assert np.abs(result[round(float(y)), round(float(x))].astype(int) - colour).max() < 40
    assert len(set(LANDMARKS)) == 5
    assert (result[:50] == 128).all()
    assert (result[:, 240:] == 128).all()


def test_each_part_can_be_left_out() -> None:
    image, found = grey(320, 240), faces((100, 60, 220, 200))
    nothing = draw(image, found, boxes=False, landmarks=False, scores=False)
    np.testing.assert_array_equal(nothing, image)
    box = draw(image, found, landmarks=False, scores=False)
    assert (box[80:180, 110:210] == 128).all()
    score = draw(image, found, boxes=False, landmarks=False)
    assert (score[62:] == 128).all()
    assert (score[:60] != 128).any()


def test_lines_grow_with_the_picture() -> None:
    widths = [line_width(*size) for size in ((320, 240), (1280, 720), (1920, 1080), (6000, 4000))]
    assert widths == sorted(widths)
    assert widths[0] == 1
    assert widths[-1] >= 8


@pytest.mark.parametrize(
    "box", [(-50, -40, 60, 50), (280, 200, 900, 700), (-500, -500, 900, 900), (0, 0, 320, 240), (10, 10, 11, 11)]
)
def test_boxes_beyond_the_edge(box: tuple[float, float, float, float]) -> None:
    result = draw(grey(320, 240), faces(box))
    assert result.shape == (240, 320, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (32, 32), (33, 17)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    width, height = size
    assert draw(grey(width, height), faces((0, 0, width, height))).shape == (height, width, 3)


def test_numbers_that_are_none_are_left_out() -> None:
    found = faces((float("nan"), 0, 10, 10), (float("inf"), 0, 10, 10), landmarks=False)
    np.testing.assert_array_equal(draw(grey(64, 64), found), grey(64, 64))


def test_model_without_landmarks() -> None:
    assert (draw(grey(320, 240), faces((100, 60, 220, 200), landmarks=False)) != 128).any()
