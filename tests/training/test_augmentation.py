"""Whatever is done to a picture: boxes stay inside, landmarks stay on their face, and nothing handed in changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfapp.training.augmentation import (
    ANCHORS,
    MEAN,
    MIRRORED,
    SCALES,
    WIDE_SCALES,
    Augmentation,
    Example,
    Window,
    cut_out,
    data_anchor_sampling,
    distort_colours,
    ignore_small,
    load,
    mirror,
    mosaic,
    random_square_crop,
)

SIZE = 96
PIPELINES = {
    "seed": Augmentation(SIZE),
    "wide": Augmentation(SIZE, scales=WIDE_SCALES),
    "range": Augmentation(SIZE, scale_range=(0.3, 2.0), least=4),
    "anchors": Augmentation(SIZE, anchor_sampling=1.0),
    "mosaic": Augmentation(SIZE, mosaic=1.0),
    "plain": Augmentation(SIZE, mirror=0.0, colours=False),
}


@st.composite
def examples(draw, least=0):
    """A picture of noise with up to six faces, some without landmarks, some ignored."""
    width, height = draw(st.integers(20, 150)), draw(st.integers(20, 150))
    count = draw(st.integers(least, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    sides = rng.uniform(2, [width, height], (count, 2))
    corners = rng.uniform(0, np.array([width, height]) - sides)
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    boxes = np.minimum(boxes, np.array([width, height] * 2, np.float32))
    known = rng.random(count) < 0.6
    landmarks = (corners[:, None] + rng.random((count, 5, 2)) * sides[:, None]).astype(np.float32)
    landmarks[~known] = 0
    return Example(image, boxes, landmarks, known, rng.random(count) < 0.2)


def frozen(example):
    """The same, with arrays that raise when they are written to."""
    for name in ("image", "boxes", "landmarks", "known", "ignore"):
        getattr(example, name).flags.writeable = False
    return example


def check(example, size=None):
    count = len(example.boxes)
    assert example.image.dtype == np.uint8
    assert example.image.ndim == 3
    assert example.boxes.shape == (count, 4)
    assert example.boxes.dtype == example.landmarks.dtype == np.float32
    assert example.landmarks.shape == (count, 5, 2)
    assert example.known.shape == example.ignore.shape == (count,)
    assert example.known.dtype == example.ignore.dtype == np.bool_
    if size is not None:
        assert example.image.shape == (size, size, 3)
    assert (example.boxes[:, :2] >= 0).all()
    assert (example.boxes[:, 2:] <= (example.width, example.height)).all()
    assert (example.boxes[:, 2:] > example.boxes[:, :2]).all()
    assert not example.landmarks[~example.known].any()


def run(pipeline, several, seed):
    rng = np.random.default_rng(seed)
    more = several[1:] if pipeline.wants_more(rng) else ()
    return pipeline(several[0], rng, more)


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=60)
@given(st.lists(examples(), min_size=4, max_size=4), st.integers(0, 2**32))
def test_every_pipeline_keeps_boxes_inside_and_the_size_exact(name, several, seed):
    result = run(PIPELINES[name], [frozen(example) for example in several], seed)
    check(result, SIZE)
    again = run(PIPELINES[name], several, seed)
    for field in ("image", "boxes", "landmarks", "known", "ignore"):
        assert (getattr(result, field) == getattr(again, field)).all()


def test_another_seed_gives_another_picture():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    box = np.array([[30, 30, 60, 70]], np.float32)
    example = Example(image, box, np.zeros((1, 5, 2), np.float32), np.array([False]), np.array([False]))
    for pipeline in PIPELINES.values():
        results = {run(pipeline, [example] * 4, seed).image.tobytes() for seed in range(12)}
        assert len(results) >= 8


def dotted(rng, width=200, height=160, faces=3):
    """Black faces on grey, each with five dots of its own colour where its landmarks are."""
    image = np.full((height, width, 3), 60, np.uint8)
    boxes, landmarks = [], []
    for face in range(faces):
        x, y = 8 + face * 64 + rng.integers(0, 8), rng.integers(4, height - 66)
        points = np.array([[16, 18], [38, 18], [27, 32], [18, 46], [36, 46]]) + np.array([x, y])
        image[y : y + 62, x : x + 54] = 0
        for number, (px, py) in enumerate(points):
            image[py - 4 : py + 5, px - 4 : px + 5] = (50 * face + 100, 40 * number + 60, 255)
        boxes.append([x, y, x + 54, y + 62])
        landmarks.append(points + 0.5)  # the middle of the dot's middle pixel
    known = np.ones(faces, np.bool_)
    return Example(
        image, np.array(boxes, np.float32), np.array(landmarks, np.float32), known, np.zeros(faces, np.bool_)
    )


def dots_found(example, tolerance=2.0):
    """How many landmarks of the example were looked for and found where they should be; the dot of point k has 40 k
    more green than that of point 0, however often the face was mirrored."""
    looked = 0
    for points in example.landmarks[example.known]:
        for x, y in points:
            column, row = int(np.floor(x)), int(np.floor(y))
            if not (3 <= column < example.width - 3 and 3 <= row < example.height - 3):
                continue
            dot = example.image[row, column].astype(int)
            assert dot[2] > 200, f"no dot at {x:.1f}, {y:.1f}"
            red = example.image[..., 2] > 128
            near = [(r, c) for r in range(row - 3, row + 4) for c in range(column - 3, column + 4) if red[r, c]]
            middle = np.mean(near, axis=0) + 0.5
            assert np.abs(middle - (y, x)).max() < tolerance
            looked += 1
    return looked


@pytest.mark.parametrize(
    "pipeline",
    [
        Augmentation(256, colours=False),
        Augmentation(256, colours=False, scales=WIDE_SCALES[:7]),
        Augmentation(256, colours=False, mirror=1.0, scales=(1.0,)),
        Augmentation(400, colours=False, mosaic=1.0),
    ],
    ids=["seed", "wide", "mirror", "mosaic"],
)
def test_landmarks_follow_their_face(pipeline):
    looked = 0
    for seed in range(40):
        several = [dotted(np.random.default_rng(seed * 4 + i)) for i in range(4)]
        looked += dots_found(run(pipeline, several, seed))
    assert looked > 150


def test_landmarks_follow_their_face_through_data_anchor_sampling():
    looked = 0
    for seed in range(120):
        result = data_anchor_sampling(dotted(np.random.default_rng(seed)), np.random.default_rng(seed), 256)
        check(result, 256)
        large = (result.boxes[:, 2] - result.boxes[:, 0]) > 30  # smaller dots are blurred away
        looked += dots_found(replace(result, known=result.known & large))
    assert looked > 150


@pytest.mark.parametrize("flip", [False, True])
def test_the_dot_of_each_landmark_is_the_right_one(flip):
    example = dotted(np.random.default_rng(0))
    result = mirror(example) if flip else example
    for points in result.landmarks:
        greens = [int(result.image[int(y), int(x), 1]) for x, y in points]
        assert greens == [60 + 40 * (MIRRORED[k] if flip else k) for k in range(5)]
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]


@given(examples())
def test_mirror_twice_is_the_identity(example):
    once = mirror(frozen(example))
    twice = mirror(frozen(once))
    check(once)
    assert (twice.image == example.image).all()
    assert twice.boxes == pytest.approx(example.boxes, abs=1e-4)
    assert twice.landmarks == pytest.approx(example.landmarks, abs=1e-4)
    assert (twice.known == example.known).all()


@settings(max_examples=60)
@given(examples(), st.integers(0, 2**32), st.sampled_from([SCALES, WIDE_SCALES, (0.01,)]), st.integers(1, 200))
def test_square_crops(example, seed, scales, size):
    result = random_square_crop(frozen(example), np.random.default_rng(seed), size, scales=scales)
    check(result, size)
    wanted = ~example.ignore
    if wanted.any():  # one face at least is whole: in a crop of one of the scales, or in the whole picture
        short, long = sorted((example.width, example.height))
        sides = {max(1, round(short * scale)) for scale in scales} | {long}
        sizes = example.boxes[wanted, 2:] - example.boxes[wanted, :2]
        left = result.boxes[~result.ignore, 2:] - result.boxes[~result.ignore, :2]
        apart = [np.abs(sizes[:, None] * (size / side) - left[None]).max(axis=2, initial=0) for side in sides]
        # What is seen of the picture ends at whole pixels, and so is a pixel longer or shorter at most.
        assert min(each.min(initial=np.inf) for each in apart) <= 1.001


def test_the_centre_rule():
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[30, 30, 40, 40], [15, 30, 30, 40], [5, 30, 30, 40], [0, 0, 10, 10]], np.float32)
    landmarks = np.tile(np.array([20, 35], np.float32), (4, 5, 1))
    example = Example(image, boxes, landmarks, np.ones(4, np.bool_), np.zeros(4, np.bool_))
    result = cut_out(example, Window(20, 20, 60, 60))
    # Whole; cut, with its centre inside; cut, with its centre outside: ignored; not seen at all.
    assert result.boxes.tolist() == [[10, 10, 20, 20], [0, 10, 10, 20], [0, 10, 10, 20]]
    assert result.ignore.tolist() == [False, False, True]
    assert result.known.tolist() == [True, True, False]
    assert result.landmarks[0].tolist() == [[0, 15]] * 5


def test_a_crop_beyond_the_edge_is_filled_with_the_mean_colour():
    image = np.full((10, 10, 3), 200, np.uint8)
    none = np.zeros((0, 4), np.float32)
    flags = np.zeros(0, np.bool_)
    result = cut_out(Example(image, none, np.zeros((0, 5, 2), np.float32), flags, flags), Window(-5, -5, 20, 20))
    assert (result.image[5:15, 5:15] == 200).all()
    assert (result.image[:5] == MEAN).all()
    assert (result.image[15:] == MEAN).all()
    assert (result.image[:, :5] == MEAN).all()


def test_what_is_seen_and_its_labels_are_scaled_alike():
    """A picture smaller than its window becomes 33.33 px wide, and so 33: a box around all of it is 33 px wide."""
    image = np.full((10, 10, 3), 200, np.uint8)
    points = np.array([[[0, 0], [10, 0], [5, 5], [0, 10], [10, 10]]], np.float32)
    example = Example(image, np.array([[0, 0, 10, 10]], np.float32), points, np.ones(1, bool), np.zeros(1, bool))
    result = cut_out(example, Window(-10, -20, 30, 30), size=(100, 100))
    assert result.boxes.tolist() == [[33, 67, 67, 100]]
    assert result.landmarks[0].round(3).tolist() == [[33, 67], [67, 67], [50, 83.5], [33, 100], [67, 100]]
    assert (result.image[67:100, 33:67] == 200).all()
    assert (result.image[:67] == MEAN).all()
    assert (result.image[:, :33] == MEAN).all()
    assert (result.image[:, 67:] == MEAN).all()


def test_faces_that_no_crop_can_hold_are_shown_with_the_whole_picture():
    image = np.full((50, 80, 3), 200, np.uint8)
    example = Example(
        image, np.array([[0, 0, 80, 50]], np.float32), np.zeros((1, 5, 2), np.float32), np.zeros(1, bool),
        np.zeros(1, bool),
    )  # fmt: skip
    result = random_square_crop(example, np.random.default_rng(0), 160)
    assert result.boxes.tolist() == [[0, 0, 160, 100]]
    assert (result.image[:100] == 200).all()
    assert (result.image[100:] == MEAN).all()


def test_crops_use_every_interpolation():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    none = np.zeros(0, np.bool_)
    example = Example(image, np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), none, none)
    crops = [random_square_crop(example, np.random.default_rng(seed), 25, scales=(1.0,)) for seed in range(60)]
    assert len({crop.image.tobytes() for crop in crops}) == 5


@given(examples(), st.integers(0, 2**32))
def test_colours_change_no_label(example, seed):
    result = distort_colours(frozen(example), np.random.default_rng(seed))
    assert result.image.shape == example.image.shape
    assert result.image.dtype == np.uint8
    assert result.boxes is example.boxes


def test_colours_reach_their_limits_and_not_further():
    grey = np.full((1, 1, 3), 100, np.uint8)
    none = np.zeros(0, np.bool_)
    example = Example(grey, np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), none, none)
    values = [int(distort_colours(example, np.random.default_rng(seed)).image.max()) for seed in range(600)]
    assert 34 <= min(values) < 45  # (100 − 32) · 0.5
    assert 185 < max(values) <= 198  # (100 + 32) · 1.5
    assert 0.2 < values.count(100) / 600 < 0.3  # neither brightness nor contrast, in either order: a quarter


def test_hue_goes_round():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 200
    none = np.zeros(0, np.bool_)
    example = Example(red, np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), none, none)
    results = [distort_colours(example, np.random.default_rng(seed)).image[0, 0].tolist() for seed in range(200)]
    assert any(blue > green + 20 for blue, green, _ in results)  # below zero: towards violet
    assert any(green > blue + 20 for blue, green, _ in results)  # above: towards orange
    assert all(pixel[2] >= max(pixel[:2]) for pixel in results)


@settings(max_examples=60)
@given(examples(), st.integers(0, 2**32))
def test_data_anchor_sampling_stays_inside(example, seed):
    check(data_anchor_sampling(frozen(example), np.random.default_rng(seed), SIZE), SIZE)


@pytest.mark.parametrize("side", [12, 40, 150, 500])
def test_data_anchor_sampling_gives_the_sizes_it_should(side):
    """One face: its size afterwards lies in the range of an anchor up to the one above its own, and the face is whole
    wherever it fits; its box is where it is seen."""
    image = np.zeros((600, 800, 3), np.uint8)
    image[50 : 50 + side, 100 : 100 + side] = 255
    example = Example(
        image,
        np.array([[100, 50, 100 + side, 50 + side]], np.float32),
        np.zeros((1, 5, 2), np.float32), np.zeros(1, bool), np.zeros(1, bool),
    )  # fmt: skip
    nearest = int(np.argmin(np.abs(np.array(ANCHORS) - side)))
    top = min(nearest + 1, len(ANCHORS) - 1)
    sizes = []
    for seed in range(300):
        result = data_anchor_sampling(example, np.random.default_rng(seed), 640)
        assert len(result) == 1
        assert not result.ignore.any() or side > 320
        width, height = result.boxes[0, 2:] - result.boxes[0, :2]
        sizes.append(max(width, height))
        if max(width, height) < 630:
            # What is seen of the picture ends at whole pixels, up to half a pixel off at both ends of both sides.
            assert width == pytest.approx(height, abs=2 + 1e-3)
        if not result.ignore.any():
            bright = np.argwhere((result.image > 150).all(axis=2))[:, ::-1]  # the fill is darker
            assert bright.min(axis=0) == pytest.approx(result.boxes[0, :2], abs=1.5)
            assert bright.max(axis=0) + 1 == pytest.approx(result.boxes[0, 2:], abs=1.5)
    assert min(sizes) >= ANCHORS[0] / 2 * 0.97
    assert max(sizes) <= min(2 * ANCHORS[top], 640) * 1.03
    assert min(sizes) < ANCHORS[0]
    assert max(sizes) > min(ANCHORS[top], 500)


@settings(max_examples=60)
@given(st.lists(examples(), min_size=4, max_size=4), st.integers(0, 2**32))
def test_a_mosaic_has_all_four_pictures_and_nothing_else(several, seed):
    colours = [(10, 0, 0), (0, 20, 0), (0, 0, 30), (40, 40, 40)]
    several = [
        replace(example, image=np.full(example.image.shape, colour, np.uint8))
        for example, colour in zip(several, colours, strict=True)
    ]
    result = mosaic([frozen(example) for example in several], np.random.default_rng(seed), SIZE)
    check(result, SIZE)
    found = {tuple(int(v) for v in colour) for colour in np.unique(result.image.reshape(-1, 3), axis=0)}
    assert found == set(colours)
    for corner, colour in zip(((0, 0), (0, -1), (-1, 0), (-1, -1)), colours, strict=True):
        assert tuple(result.image[corner]) == colour


def test_a_mosaic_needs_four():
    with pytest.raises(ValueError, match="four"):
        mosaic([], np.random.default_rng(0), 64)


def test_small_faces_are_ignored():
    boxes = np.array([[0, 0, 5, 3], [0, 0, 3, 6], [0, 0, 9, 9]], np.float32)
    example = Example(
        np.zeros((9, 9, 3), np.uint8), boxes, np.zeros((3, 5, 2), np.float32), np.zeros(3, bool), np.zeros(3, bool)
    )
    assert ignore_small(example, 6).ignore.tolist() == [True, False, False]
    assert not example.ignore.any()


def test_samples_are_loaded_with_their_picture(test_data):
    from rfapp.datasets import clean, open_dataset

    for folder in ("landmarks5", "negatives_train"):
        samples = clean(open_dataset(test_data / folder)).samples[:20]
        for seed, sample in enumerate(samples):
            example = load(sample)
            assert (example.width, example.height) == sample.size
            for pipeline in PIPELINES.values():
                check(run(pipeline, [example] * 4, seed), SIZE)
