"""AInnoFace in every engine: saved, loaded, exported, it says what the network itself says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp import FaceDetector, weights  # noqa: E402
from rfapp.engines import create, exporting  # noqa: E402
from rfapp.engines.torch_engine import _top_rows  # noqa: E402
from rfapp.models.config import AINNOFACE_R18  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.training.trainer import prepared  # noqa: E402
from rfapp.weights import Model, checkpoints  # noqa: E402

VARIANTS = {
    "whole": AINNOFACE_R18,
    "without landmarks": replace(AINNOFACE_R18, landmarks=False, max_out=(1, 3)),
    "one step": replace(AINNOFACE_R18, stc_levels=0, str_levels=0),
}
SIZE = (96, 160)


@pytest.fixture(scope="module", params=VARIANTS)
def saved(request, tmp_path_factory):
    """A file with a network whose batch norm and heads do something, and the network."""
    torch.manual_seed(0)
    config = VARIANTS[request.param]
    network = make_network(config, "test").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    for parameter in network.head.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_normal_(parameter)
    with torch.no_grad():  # some faces, and some priors that the first step drops
        network.head.class_scores.bias[: config.anchors_per_cell * config.max_out[0]] = -3.5
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    checkpoints.save(Model(name="network", path=path, config=config), network.state_dict())
    return path, network


@pytest.fixture
def pictures():
    return [np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8) for seed in (0, 1)]


def expected(network, pictures):
    with torch.no_grad():
        told = network(prepared(torch.from_numpy(np.stack(pictures)), network.config))
    return [None if part is None else part.numpy() for part in told]


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_engines_say_what_the_network_says(saved, pictures, engine):
    path, network = saved
    boxes, classes, landmarks = expected(network, pictures)
    runner = create(weights.find(path), engine, "cpu", "float32", threads=1)
    for number, rows in enumerate(runner.candidates(pictures, 0.0)):
        order = np.argsort(rows.priors)
        scores = rows.scores[order]
        torn = (scores < 1e-30) != (classes[number, :, 1] < 1e-30)
        assert torn.mean() < 1e-3  # what stands on the filter's very threshold
        np.testing.assert_allclose(scores[~torn], classes[number, ~torn, 1], atol=1e-4)
        np.testing.assert_allclose(rows.boxes[order], boxes[number], atol=1e-3)
        if landmarks is None:
            assert rows.landmarks is None
        else:
            np.testing.assert_allclose(rows.landmarks[order], landmarks[number], atol=1e-3)
        gone = (scores < 1e-30).mean()
        assert 0 < gone < 1 if network.config.stc_levels else gone == 0
    runner.close()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_half_precision_is_near(saved, pictures, engine):
    path, network = saved
    _, classes, _ = expected(network, pictures[:1])
    runner = create(weights.find(path), engine, "cpu", "bfloat16", threads=1)
    (rows,) = runner.candidates(pictures[:1], 0.0)
    off = np.abs(rows.scores[np.argsort(rows.priors)] - classes[0, :, 1])
    assert np.median(off) < 0.01
    assert (off > 0.05).mean() < 0.05
    runner.close()


def test_the_table_of_a_graphics_card_has_the_same_rows(saved, pictures):
    path, network = saved
    boxes, classes, landmarks = expected(network, pictures)
    runner = create(weights.find(path), "torch", "cpu", "float32", threads=1)
    with torch.inference_mode():
        levels = runner._network(torch.from_numpy(np.stack(pictures)))
        table = _top_rows(levels, 2, 50).numpy()
    for number in (0, 1):
        priors = table[number, :, -1].astype(int)
        np.testing.assert_allclose(1 / (1 + np.exp(-table[number, :, 0])), classes[number, priors, 1], atol=1e-4)
        np.testing.assert_allclose(table[number, :, 1:5], boxes[number, priors], atol=1e-3)
        if landmarks is not None:
            np.testing.assert_allclose(table[number, :, 5:15], landmarks[number, priors], atol=1e-3)
    runner.close()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["onnx", "openvino", "torchscript"])
def test_exported_files_agree(saved, pictures, kind, tmp_path):
    path, network = saved
    file = tmp_path / {"onnx": "a.onnx", "openvino": "a.xml", "torchscript": "a.pt"}[kind]
    model = weights.find(path)
    assert exporting.export(model, kind, file, exporting.Form(size=SIZE, decode=True), pictures) < 1e-3
    if kind == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        assert len(session.get_outputs()) == (3 if network.config.landmarks else 2)
        planes = np.ascontiguousarray(pictures[0][..., ::-1].transpose(2, 0, 1)[None], np.float32)
        (scores,) = session.run(["scores"], {"pictures": planes})
        classes = expected(network, pictures[:1])[1]
        off = np.abs(scores[0] - classes[0, :, 1])
        assert (off > 1e-4).mean() < 1e-3


def test_the_detector_finds_with_it(saved, pictures):
    path, network = saved
    with FaceDetector(path, device="cpu", precision="float32", size="original", score=0.02, threads=1) as detector:
        faces = detector(pictures[0])
        assert len(faces) > 0
        assert (faces.landmarks is None) == (not network.config.landmarks)


def test_an_export_that_is_torn_in_many_places_is_refused():
    told, ours = np.full(1000, 0.3, np.float32), np.full(1000, 0.3, np.float32)
    ours[:5] = 0
    assert exporting._on_one_side(told, ours) is ours
    many = np.concatenate([told, np.full(60_000, 0.5, np.float32)])
    few = np.concatenate([ours, np.full(60_000, 0.5, np.float32)])
    assert np.array_equal(exporting._on_one_side(many, few), many)
    assert len(exporting._on_one_side(told[:0], ours[:0])) == 0
