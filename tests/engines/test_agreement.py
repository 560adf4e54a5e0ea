"""Every engine and precision against an independent run of the same weights, on real pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rfapp import weights
from rfapp.engines import available, create
from rfapp.looking import Prepared, decode, prepare
from rfapp.postprocess import decode_boxes, decode_landmarks, priors_for
from rfapp.settings import DetectorSettings
from rfapp.sources import read_picture

AT_ORIGINAL_SIZE = ("crowd_selfie.jpg", "solvay_1927.jpg")


@pytest.fixture(scope="module")
def tensors(test_data):
    """Every picture as the network is given it; what comes out is told in pixels of this."""
    config = weights.find("mobilenet0.25-imported").config
    pictures = {}
    for path in sorted((test_data / "photos").iterdir()):
        if path.suffix != ".json":
            image = read_picture(path)
            pictures[path.name] = prepare(image, 640, config).image
            if path.name in AT_ORIGINAL_SIZE:
                pictures[f"{path.name} at original size"] = prepare(image, "original", config).image
    assert len(pictures) == 22
    return pictures


@pytest.fixture(params=["openvino", "torch"])
def name_of_engine(request):
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed")
    return request.param


def in_pixels(rows, image, config):
    priors = priors_for(*image.shape[:2], config)[rows.priors]
    scale = np.array([image.shape[1], image.shape[0]], np.float32)
    boxes = decode_boxes(rows.boxes, priors, config.variance) * np.tile(scale, 2)
    return boxes, decode_landmarks(rows.landmarks, priors, config.variance) * scale


@pytest.mark.parametrize(("precision", "pixels", "score"), [("float32", 0.1, 1e-3), ("bfloat16", 1.0, 0.02)])
def test_every_row_agrees(tensors, reference, name_of_engine, precision, pixels, score):
    """Each prior that the reference calls a face (≥ 0.5) has the same box, landmarks and score here."""
    model = weights.find("mobilenet0.25-imported")
    engine = create(model, name_of_engine, "cpu", precision)
    assert engine.precision == precision
    compared = 0
    for name, image in tensors.items():
        theirs, ours = reference(image, 0.5), engine.candidates([image], 0.5 - score)[0]
        place = {prior: row for row, prior in enumerate(ours.priors.tolist())}
        # No row is missing: its score would be off by more than the tolerance.
        rows = [place[prior] for prior in theirs.priors.tolist()]
        boxes, points = in_pixels(ours, image, model.config)
        expected_boxes, expected_points = in_pixels(theirs, image, model.config)
        np.testing.assert_allclose(ours.scores[rows], theirs.scores, rtol=0, atol=score, err_msg=name)
        np.testing.assert_allclose(boxes[rows], expected_boxes, rtol=0, atol=pixels, err_msg=name)
        np.testing.assert_allclose(points[rows], expected_points, rtol=0, atol=pixels, err_msg=name)
        compared += len(rows)
    assert compared > 3000
    engine.close()


def test_faces_agree_in_float32(tensors, reference, name_of_engine):
    """After NMS, too: the same faces in the same order."""
    model = weights.find("mobilenet0.25-imported")
    engine = create(model, name_of_engine, "cpu", "float32")
    settings = DetectorSettings(score=0.6)
    total = 0
    for name, image in tensors.items():
        whole = Prepared(image, 1.0, 1.0)
        ours = decode(engine.candidates([image], 0.6)[0], whole, model.config, settings)
        theirs = decode(reference(image, 0.6), whole, model.config, settings)
        assert len(ours) == len(theirs), name
        # Equal scores may change places: rows are compared from left to right.
        mine, other = np.lexsort(ours.boxes.T), np.lexsort(theirs.boxes.T)
        np.testing.assert_allclose(ours.boxes[mine], theirs.boxes[other], rtol=0, atol=0.1, err_msg=name)
        np.testing.assert_allclose(ours.scores[mine], theirs.scores[other], rtol=0, atol=1e-3, err_msg=name)
        total += len(ours)
    assert total > 600


def test_faces_agree_in_bfloat16(tensors, reference, name_of_engine):
    """After NMS the winner may be a neighbour whose score is equal but for rounding; its own row still agrees."""
    model = weights.find("mobilenet0.25-imported")
    engine = create(model, name_of_engine, "cpu", "bfloat16")
    settings = DetectorSettings(score=0.5)
    for name, image in tensors.items():
        whole = Prepared(image, 1.0, 1.0)
        theirs = decode(reference(image, 0.5), whole, model.config, settings)
        ours = decode(engine.candidates([image], 0.48)[0], whole, model.config, replace(settings, score=0.48))
        for box, score in zip(theirs.boxes, theirs.scores, strict=True):
            nearest = np.abs(ours.boxes - box).max(axis=1).argmin()
            assert abs(ours.scores[nearest] - score) <= 0.02, name
            # A tenth of the face for a neighbour; a pixel holds for the others, as the test of rows shows.
            assert np.abs(ours.boxes[nearest] - box).max() <= max(1.0, 0.1 * (box[2] - box[0])), name


def test_half_precision_is_worth_having_only_if_it_is_close(tensors):
    """bfloat16 all through would be off by more than a pixel on these pictures: the mixture is not for show."""
    torch = pytest.importorskip("torch")

    from rfapp.engines.torch_network import InferenceNetwork
    from rfapp.weights import checkpoints

    model = weights.find("mobilenet0.25-imported")
    image = tensors["tiny32.png"]
    exact = create(model, "torch", "cpu", "float32").candidates([image], 0.5)[0]
    network = InferenceNetwork(checkpoints.build(model), torch.bfloat16).eval()
    network.trunk_dtype = torch.bfloat16
    network.body.to(torch.bfloat16)
    engine = create(model, "torch", "cpu", "bfloat16")
    engine._network = network
    rough = engine.candidates([image], 0.02)[0]
    place = {prior: row for row, prior in enumerate(rough.priors.tolist())}
    rows = [place[prior] for prior in exact.priors.tolist()]
    off = np.abs(in_pixels(rough, image, model.config)[0][rows] - in_pixels(exact, image, model.config)[0])
    assert off.max() > 2
