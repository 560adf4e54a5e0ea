"""What is hidden can't be seen, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from rfapp.settings import HidingSettings
from rfapp.sinks.hiding import Hidden

BOX = (60.0, 40.0, 120.0, 110.0)
WAYS = ["blur", "pixelate", "fill"]


def noise(width: int = 200, height: int = 160, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def hidden(*boxes: tuple[float, ...], **settings: object) -> Hidden:
    return Hidden(np.array(boxes, np.float32).reshape(-1, 4), HidingSettings(**settings))


def detail(image: np.ndarray) -> float:
    """The difference of neighbouring pixels that is left."""
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("shape", ["box", "ellipse"])
def test_the_face_is_gone_and_the_rest_is_as_it_was(how, shape):
    image = noise()
    result = hidden(BOX, how=how, shape=shape).applied(image)
    assert detail(result[40:110, 60:120]) < 0.1 * detail(image[40:110, 60:120])
    outside = np.ones(image.shape[:2], bool)
    outside[40 - 18 : 110 + 19, 60 - 16 : 120 + 16] = False  # the margin of a quarter
    np.testing.assert_array_equal(result[outside], image[outside])
    assert (image == noise()).all()


def test_the_default_ellipse_covers_the_corners_of_the_box():
    image = noise()
    result = hidden(BOX, how="fill").applied(image)
    assert (result[40:110, 60:120] == result[75, 90]).all()
    assert (result[23, 46] == image[23, 46]).all()


def test_few_pale_blocks_of_a_face_are_left():
    image = noise(700, 700)
    image[100:350, 100:500] = 0
    image[350:600, 100:500] = 200
    result = hidden((100, 100, 500, 600), how="pixelate", shape="box", margin=0).applied(image)[100:600, 100:500]
    assert len(np.unique(result.reshape(-1, 3), axis=0)) <= 12
    assert int(result.max()) - int(result.min()) < 70


def test_the_margin_is_in_parts_of_the_face():
    result = hidden(BOX, how="fill", shape="box", margin=50).applied(noise())
    changed = np.argwhere((result == result[75, 90]).all(axis=2))
    assert changed.min(axis=0).tolist() == [5, 30]
    assert changed.max(axis=0).tolist() == [144, 149]


@pytest.mark.parametrize("how", WAYS)
def test_faces_at_the_edge_beyond_it_and_without_size(how):
    image = noise(40, 30)
    boxes = [(-20, -20, 8, 8), (35, 25, 90, 90), (200, 200, 300, 300), (10, 10, 11, 11), (np.nan, 0, 5, 5)]
    result = hidden(*boxes, how=how).applied(image)
    assert (result != image).any(axis=2)[:6, :6].all()


@pytest.mark.parametrize("how", WAYS)
def test_a_smaller_picture_with_four_channels_for_the_screen(how):
    image = noise(100, 80, 4)
    before = image.copy()
    hidden(BOX, how=how).over(image, 0.5)
    assert (image[20:55, 30:60] != before[20:55, 30:60]).any(axis=2).mean() > 0.95
    np.testing.assert_array_equal(image[:8], before[:8])


@pytest.mark.parametrize("how", WAYS)
def test_all_of_it_where_nobody_knows_where_faces_are(how):
    image = noise()
    result = Hidden(None, HidingSettings(how=how)).applied(image)
    assert detail(result) < 0.1 * detail(image)
