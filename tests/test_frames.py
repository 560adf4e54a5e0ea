"""Frames and detections: what they refuse, and what they turn into."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rfapp.frames import Detections, Frame


def make(count: int, *, landmarks: bool = True, tracks: bool = False) -> Detections:
    rows = np.arange(count, dtype=np.float32)
    boxes = np.stack([rows, rows + 1, rows + 10, rows + 20], axis=1).reshape(count, 4)
    points = np.tile(rows[:, None, None], (1, 5, 2)) if landmarks else None
    return Detections(boxes, 1 - rows / 100, points, np.arange(count) + 7 if tracks else None)


def test_frame_is_read_only_and_knows_its_size():
    frame = Frame(np.zeros((4, 6, 3), np.uint8), index=0, time_s=0.0, captured_at=0.0)
    assert (frame.width, frame.height) == (6, 4)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((4, 12, 3), np.uint8)[:, ::2],
    ],
    ids=["grey", "alpha", "float", "strided"],
)
def test_frame_refuses_what_the_pipeline_can_not_share(image):
    with pytest.raises(ValueError, match="frame"):
        Frame(image, index=0, time_s=0.0, captured_at=0.0)


@pytest.mark.parametrize(
    "parts",
    [
        (np.zeros((2, 4), np.float32), np.zeros(1, np.float32), None, None),
        (np.zeros((1, 5), np.float32), np.zeros(1, np.float32), None, None),
        (np.zeros((1, 4), np.float32), np.zeros((1, 1), np.float32), None, None),
        (np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.zeros((1, 10), np.float32), None),
        (np.zeros((1, 4), np.float32), np.zeros(1, np.float32), None, np.zeros(2, np.int64)),
    ],
    ids=["boxes", "box of five", "scores", "landmarks", "tracks"],
)
def test_detections_refuse_parts_that_do_not_belong_together(parts):
    with pytest.raises(ValueError, match=r"belong|must be"):
        Detections(*parts)


@pytest.mark.parametrize("rows", [slice(1, 3), [1, 2], np.array([False, True, True, False])])
def test_picking_rows_picks_them_everywhere(rows):
    part = make(4, tracks=True)[rows]
    assert len(part) == 2
    assert part.boxes[:, 0].tolist() == [1, 2]
    assert part.scores.tolist() == pytest.approx([0.99, 0.98])
    assert part.landmarks is not None
    assert part.landmarks[:, 4, 1].tolist() == [1, 2]
    assert part.tracks is not None
    assert part.tracks.tolist() == [8, 9]


def test_no_face_at_all():
    assert len(Detections.empty()) == 0
    assert Detections.empty().to_dict() == {"faces": []}
    assert Detections.empty(landmarks=False).landmarks is None


def test_clipping_cuts_boxes_and_leaves_landmarks():
    faces = Detections(
        np.array([[-5, -6, 50, 70]], np.float32), np.ones(1, np.float32), np.full((1, 5, 2), -3, np.float32)
    )
    cut = faces.clipped(40, 60)
    assert cut.boxes.tolist() == [[0, 0, 40, 60]]
    assert cut.boxes.dtype == np.float32
    assert cut.landmarks is faces.landmarks
    assert faces.boxes[0, 0] == -5


def test_to_dict_is_what_scripts_read():
    faces = Detections(
        np.array([[1.23456, 2, 3, 4]], np.float32),
        np.array([0.98766], np.float32),
        np.arange(10, dtype=np.float32).reshape(1, 5, 2) + np.float32(0.126),
        np.array([3]),
    )
    assert json.loads(json.dumps(faces.to_dict())) == {
        "faces": [
            {
                "box": [1.23, 2.0, 3.0, 4.0],
                "score": 0.9877,
                "landmarks": [[0.13, 1.13], [2.13, 3.13], [4.13, 5.13], [6.13, 7.13], [8.13, 9.13]],
                "track": 3,
            }
        ]
    }


def test_a_model_without_landmarks_and_no_tracking_say_null():
    (face,) = make(1, landmarks=False).to_dict()["faces"]
    assert face["landmarks"] is None
    assert face["track"] is None
