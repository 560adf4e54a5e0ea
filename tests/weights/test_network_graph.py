"""The ONNX file says what the torch network says, at every size, and is a sound ONNX file."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfapp import weights
from rfapp.errors import WeightsAltered, WeightsError, WeightsMissing
from rfapp.models.config import ARCHITECTURES
from rfapp.weights.manifest import Model
from rfapp.weights.network_graph import onnx_bytes
from rfapp.weights.onnx_file import read_state


def run(content: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["head8", "head16", "head32"], {"pictures": pictures})


def with_random_norms(network):
    """Batch norm that does something, without numbers that grow from layer to layer."""
    torch = pytest.importorskip("torch")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1)
            module.bias.data.normal_(std=0.1)
    return network.eval()


@pytest.mark.parametrize(
    "config",
    [c for c in ARCHITECTURES.values() if c.channels == 3 and c.family == "RetinaFace"],
    ids=lambda config: config.architecture,
)
@pytest.mark.parametrize("size", [(64, 96), (75, 50)], ids=str)
def test_says_what_the_torch_network_says(config, size, tmp_path):
    """Odd sizes, too: the coarser level is raised to the finer one's very size. And batches."""
    torch = pytest.importorskip("torch")
    from rfapp.models import RetinaFace

    torch.manual_seed(0)
    network = with_random_norms(RetinaFace(config, "test"))
    pictures = torch.randn(2, 3, *size)
    with torch.no_grad():
        boxes, classes, landmarks = (part.numpy() for part in network(pictures))
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    model = Model(name="x", path=tmp_path / "x.safetensors", config=config)
    anchors = config.anchors_per_cell
    levels = [
        head.transpose(0, 2, 3, 1).reshape(2, -1, 15 * anchors)
        for head in run(onnx_bytes(model, state), pictures.numpy())
    ]
    cells = np.concatenate(levels, axis=1)
    scores = 1 / (1 + np.exp(-cells[..., :anchors].reshape(2, -1)))
    np.testing.assert_allclose(scores, classes[..., 1], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(cells[..., anchors : anchors * 5].reshape(2, -1, 4), boxes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(cells[..., anchors * 5 :].reshape(2, -1, 10), landmarks, rtol=1e-3, atol=1e-3)


def test_is_a_sound_file():
    onnx = pytest.importorskip("onnx")
    model = weights.find("mobilenet0.25")
    content = weights.read_onnx(model)
    loaded = onnx.load_from_string(content)
    onnx.checker.check_model(loaded, full_check=True)
    assert [item.name for item in loaded.graph.output] == ["head8", "head16", "head32"]
    assert {item.key for item in loaded.metadata_props} == {"rfapp"}
    # Nothing is lost on the way through the library's own writer.
    assert onnx.load_from_string(loaded.SerializeToString()) == loaded
    assert len(content) < 1_800_000


def test_shipped_file_is_made_of_the_shipped_numbers():
    for model in weights.known().values():
        if model.shipped and not model.int8_of:
            assert onnx_bytes(model, read_state(model)) == model.onnx_path.read_bytes()


def test_needs_neither_torch_nor_onnx(without):
    without("torch", "onnx")
    model = replace(weights.find("mobilenet0.25"), onnx_sha256="")
    assert len(weights.read_onnx(model)) > 1_000_000
    assert "torch" not in sys.modules


def test_tensor_that_is_missing_is_named():
    model = weights.find("mobilenet0.25")
    state = dict(read_state(model))
    del state["fpn.merge1.0.weight"]
    with pytest.raises(
        WeightsAltered, match=r"does not fit the network mobilenet0\.25: it lacks fpn\.merge1\.0\.weight"
    ):
        onnx_bytes(model, state)
    state = {**read_state(model), "ssh1.conv3X3.1.weight": np.ones(3, np.float32)}
    with pytest.raises(WeightsAltered, match="does not fit"):
        onnx_bytes(model, state)


def test_damaged_files_are_told(shipped: Path):
    model = weights.find("mobilenet0.25")
    model.onnx_path.unlink()
    with pytest.raises(WeightsMissing, match=r"mobilenet0\.25\.onnx is missing"):
        weights.read_onnx(model)
    with pytest.raises(WeightsMissing):
        weights.find("mobilenet0.25")
    model.path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="damaged"):
        weights.read_onnx(replace(model, onnx_sha256=""))


def test_checkpoint_of_torch_is_read_with_torch(test_data):
    pytest.importorskip("torch")
    model = weights.find(test_data / "checkpoints/mobilenet0.25_Final.pth")
    assert not model.onnx_sha256
    heads = run(weights.read_onnx(model), np.zeros((1, 3, 64, 64), np.float32))
    assert [head.shape for head in heads] == [(1, 30, 8, 8), (1, 30, 4, 4), (1, 30, 2, 2)]
