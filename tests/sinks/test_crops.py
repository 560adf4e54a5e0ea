"""Faces cut out upright: the eyes and the mouth are where ArcFace has them."""

from __future__ import annotations

import numpy as np
import pytest

from rfapp.errors import UsageError
from rfapp.frames import Detections, Frame
from rfapp.sinks.crops import REFERENCE, CropSink, aligned_crops, similarity
from rfapp.sources import read_picture

#: Colours for the five landmarks (BGR).
COLOURS = [(255, 40, 40), (40, 255, 40), (40, 40, 255), (255, 255, 40), (40, 255, 255)]


def spotted(points: np.ndarray, side: int, radius: float) -> np.ndarray:
    """A grey picture with a coloured disc at each point."""
    image = np.full((side, side, 3), 90, np.uint8)
    y, x = np.mgrid[:side, :side]
    for (px, py), colour in zip(points, COLOURS, strict=True):
        image[(x - px) ** 2 + (y - py) ** 2 <= radius**2] = colour
    return image


def faces_at(*points: np.ndarray) -> Detections:
    count = len(points)
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (count, 1))
    return Detections(boxes, np.linspace(0.9, 0.8, count, dtype=np.float32), np.array(points, np.float32))


def centre_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    near = np.abs(image.astype(int) - colour).sum(axis=2) < 120
    y, x = np.nonzero(near)
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize(("angle", "scale"), [(0, 1.0), (40, 0.6), (-120, 2.5), (180, 7.0)])
@pytest.mark.parametrize("size", [112, 224])
def test_the_landmarks_lie_where_they_should_whatever_the_turn_and_the_size(angle, scale, size):
    turn = np.deg2rad(angle)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    side = int(260 * scale)
    points = (REFERENCE - 56) @ matrix.T + side / 2
    (crop,) = aligned_crops(spotted(points, side, 6 * scale), faces_at(points), size)
    assert crop.shape == (size, size, 3)
    for colour, wanted in zip(COLOURS, REFERENCE * size / 112, strict=True):
        assert centre_of(crop, colour) == pytest.approx(wanted, abs=0.8 * size / 112)


def test_the_fit_is_the_best_of_all_small_changes():
    random = np.random.default_rng(1)
    points = REFERENCE * 1.7 + random.normal(0, 6, (5, 2)) + 40
    matrix = similarity(points, REFERENCE)

    def off(m: np.ndarray) -> float:
        return float((((points @ m[:, :2].T + m[:, 2]) - REFERENCE) ** 2).sum())

    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    assert matrix[0, 1] == pytest.approx(-matrix[1, 0])
    best = off(matrix)
    for _ in range(200):
        a, b, x, y = random.normal(0, 1e-3, 4)
        assert off(matrix + np.array([[a, -b, 100 * x], [b, a, 100 * y]])) >= best


def test_beyond_the_edge_it_is_black_and_points_on_one_spot_do_no_harm():
    points = REFERENCE - 60
    (crop,) = aligned_crops(np.full((80, 80, 3), 200, np.uint8), faces_at(points))
    assert (crop[:40, :40] == 0).all()
    assert (crop[80:, 80:] == 200).all()
    (crop,) = aligned_crops(np.full((80, 80, 3), 200, np.uint8), faces_at(np.full((5, 2), 30.0)))
    assert crop.shape == (112, 112, 3)


def test_without_landmarks_it_is_said():
    plain = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    with pytest.raises(UsageError, match="no landmarks"):
        aligned_crops(np.zeros((9, 9, 3), np.uint8), plain)


def test_names(tmp_path):
    frame = Frame(np.zeros((200, 200, 3), np.uint8), 123, 0.0, 0.0)
    found = faces_at(REFERENCE, REFERENCE + 20)
    CropSink(tmp_path, "a.jpg", film=False).append(frame, found)
    CropSink(tmp_path, "b.mp4").append(frame, found)
    tracks = np.array([7, 12], np.int64)
    told = []
    CropSink(tmp_path, "sub/c.mp4", told=told.append).append(
        frame, Detections(found.boxes, found.scores, found.landmarks, tracks)
    )
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert names == [
        "a.jpg-face0.png",
        "a.jpg-face1.png",
        "b.mp4-000123-face0.png",
        "b.mp4-000123-face1.png",
        "sub/c.mp4/track-0007/000123.png",
        "sub/c.mp4/track-0012/000123.png",
    ]
    assert [path.name for path in told] == ["000123.png"] * 2
    assert read_picture(told[0]).shape == (112, 112, 3)
