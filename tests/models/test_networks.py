"""The networks against the published ones: names, shapes, numbers, and what they compute."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.models import (  # noqa: E402
    ARCHITECTURES,
    MOBILENET_025,
    RESNET50,
    SSH,
    MobileNetV1,
    ModelConfig,
    ResNet,
    RetinaFace,
    conv_bn,
    conv_bn1X1,
    conv_bn_no_relu,
    conv_dw,
    load_model,
    make_bbox_head,
    make_class_head,
    make_landmark_head,
)


def lines(path):
    return [line.strip() for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def published(test_data):
    return torch.load(test_data / "checkpoints/mobilenet0.25_Final.pth", map_location="cpu", weights_only=True)


def test_published_checkpoint_loads_strict_and_untouched(test_data, published):
    network = RetinaFace(MOBILENET_025, "test")
    network.load_state_dict(published, strict=True)
    told = [
        f"{name} {list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} "
        f"{hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()}"
        for name, tensor in network.state_dict().items()
    ]
    assert told == lines(test_data / "checkpoints/mobilenet0.25_Final.keys.txt")
    assert sum(parameter.numel() for parameter in network.parameters()) == 426_608


def test_resnet_has_the_published_names_and_shapes(test_data):
    with torch.device("meta"):
        network = RetinaFace(RESNET50, "test")
    told = [
        f"{name} {list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in network.state_dict().items()
    ]
    assert told == lines(test_data / "checkpoints/biubug6_Resnet50_Final.keys.EXPECTED.txt")
    assert sum(parameter.numel() for parameter in network.parameters()) == 27_293_600


def test_imagenet_weights_fit_the_classifier(test_data):
    path = test_data / "checkpoints/mobilenetV1X0.25_pretrain.tar"
    network = load_model(MobileNetV1(), torch.load(path, map_location="cpu", weights_only=True)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 96)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        # torchvision's own counts, and those of Howard et al. (4.2, 1.3 and 0.5 million).
        (lambda: ResNet(18), 11_689_512),
        (lambda: ResNet(50), 25_557_032),
        (lambda: ResNet(152), 60_192_808),
        (lambda: MobileNetV1(width=1.0), 4_231_976),
        (lambda: MobileNetV1(width=0.5), 1_331_592),
        (lambda: MobileNetV1(width=0.25), 470_072),
    ],
)
def test_classifiers_have_the_published_number_of_parameters(network, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in network().parameters()) == count


def test_resnet_is_a_classifier_too():
    with torch.inference_mode():
        assert ResNet(50, classes=7).eval()(torch.zeros(1, 3, 65, 33)).shape == (1, 7)


RETINAFACES = [config for config in ARCHITECTURES.values() if config.family == "RetinaFace"]


@pytest.mark.parametrize("config", RETINAFACES, ids=lambda config: config.architecture)
def test_output_shapes_for_sizes_that_are_no_multiples(config):
    network = RetinaFace(config, "test").eval()
    with torch.inference_mode():
        boxes, classes, landmarks = network(torch.randn(2, config.channels, 75, 101))
    cells = 10 * 13 + 5 * 7 + 3 * 4
    assert (boxes.shape, classes.shape, landmarks.shape) == ((2, 2 * cells, 4), (2, 2 * cells, 2), (2, 2 * cells, 10))
    torch.testing.assert_close(classes.sum(-1), torch.ones(2, 2 * cells))


def test_training_gives_raw_scores_and_inference_their_softmax():
    network = RetinaFace(MOBILENET_025, "train").eval()
    picture = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        raw = network(picture)[1]
        network.phase = "test"
        torch.testing.assert_close(network(picture)[1], raw.softmax(-1))
    assert (raw < 0).any()


def test_slope_reaches_every_activation():
    def slopes(network):
        return {m.negative_slope for m in network.modules() if isinstance(m, torch.nn.LeakyReLU)}

    assert slopes(RetinaFace(MOBILENET_025)) == {0.1}
    assert slopes(RetinaFace(replace(MOBILENET_025, slope=0.0))) == {0.0}
    assert slopes(SSH(256, 256, slope=0.1)) == {0.0}  # wide modules use plain ReLU


def test_blocks_take_the_published_arguments():
    assert [type(m).__name__ for m in conv_bn(inp=3, oup=8, stride=2, leaky=0.1)] == [
        "Conv2d",
        "BatchNorm2d",
        "LeakyReLU",
    ]
    assert len(conv_bn_no_relu(inp=3, oup=8, stride=1)) == 2
    assert conv_bn1X1(inp=3, oup=8, stride=1, leaky=0)[0].kernel_size == (1, 1)
    assert [type(m).__name__ for m in conv_dw(inp=8, oup=16, stride=2)].count("Conv2d") == 2
    for make, values in ((make_class_head, 2), (make_bbox_head, 4), (make_landmark_head, 10)):
        heads = make(fpn_num=3, inchannels=64, anchor_num=2)
        assert [head.conv1x1.out_channels for head in heads] == [2 * values] * 3
    with pytest.raises(ValueError, match="multiple of 4"):
        SSH(in_channel=64, out_channel=66)


def test_context_and_pyramid_against_the_formula(published):
    """One level worked out step by step with the published numbers, batch norm by its definition."""
    network = RetinaFace(MOBILENET_025, "test").eval()
    network.load_state_dict(published)
    x = torch.randn(1, 64, 9, 7)

    def step(x, name, activation):
        x = torch.nn.functional.conv2d(x, published[f"{name}.0.weight"], padding=1)
        mean, var, weight, bias = (
            published[f"{name}.1.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (var + 1e-5).sqrt() * weight + bias
        return torch.where(x < 0, x * 0.1, x) if activation else x

    shared = step(x, "ssh2.conv5X5_1", True)
    wide, five = step(x, "ssh2.conv3X3", False), step(shared, "ssh2.conv5X5_2", False)
    seven = step(step(shared, "ssh2.conv7X7_2", True), "ssh2.conv7x7_3", False)
    with torch.inference_mode():
        torch.testing.assert_close(network.ssh2(x), torch.cat([wide, five, seven], 1).clamp(min=0))


def test_load_model_unwraps_and_says_what_does_not_fit(published):
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in published.items()}, "epoch": 3}
    load_model(RetinaFace(MOBILENET_025), wrapped)
    old = {name: tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")}
    load_model(RetinaFace(MOBILENET_025), old)
    name = "ssh1.conv3X3.0.weight"
    with pytest.raises(ValueError, match=f"lacks {name}"):
        load_model(RetinaFace(MOBILENET_025), {key: value for key, value in published.items() if key != name})
    with pytest.raises(ValueError, match="unknown surplus"):
        load_model(RetinaFace(MOBILENET_025), {**published, "surplus": torch.zeros(1)})
    with pytest.raises(ValueError, match=f"another shape of {name}"):
        load_model(RetinaFace(MOBILENET_025), {**published, name: torch.zeros(1)})
    for nonsense in ({}, [1], {"a": 1}, {1: torch.zeros(1)}, None):
        with pytest.raises(ValueError, match="it holds"):
            load_model(RetinaFace(MOBILENET_025), nonsense)


def test_priors_belong_to_the_rows_of_the_network():
    from rfapp.models import PriorBox

    priors = PriorBox(MOBILENET_025, (75, 101)).forward()
    with torch.inference_mode():
        boxes = RetinaFace(MOBILENET_025).eval()(torch.zeros(1, 3, 75, 101))[0]
    assert priors.shape == boxes.shape[1:]
    np.testing.assert_array_equal(priors.numpy(), PriorBox(MOBILENET_025, (75, 101)).array())


def test_configuration_survives_a_manifest():
    changed = replace(MOBILENET_025, slope=0.0, means=(1.5, 2.0, 3.0), channel_order="RGB")
    assert ModelConfig.from_mapping(changed.to_mapping()) == changed


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"architecture": "yolo"},
        {"architecture": "resnet50", "colour": 1},
        {"architecture": "resnet50", "slope": "0"},
        {"architecture": "resnet50", "means": []},
        {"architecture": "resnet50", "clip": 1},
    ],
)
def test_configuration_refuses_what_it_does_not_know(values):
    with pytest.raises(ValueError, match=r"unknown|can't be"):
        ModelConfig.from_mapping(values)


def yakhyo_names(state):
    """A state dict in the names of yakhyo/retinaface-pytorch: pairs nested, heads in modules of their own."""
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            parts[0] = "fx"
            if parts[1].startswith("stage") and (parts[1], parts[2]) != ("stage1", "0"):
                half, part = divmod(int(parts[3]), 3)
                parts[3:4] = [str(half), str(part)]
        elif parts[0].endswith("Head"):
            kind = parts[0].removesuffix("Head").lower()
            parts = [f"{kind}_head", f"{kind}_head", parts[1], parts[3]]
        renamed[".".join(parts)] = value
    return renamed


@pytest.mark.parametrize("name", ["mobilenet0.25", "mobilenet0.5", "mobilenet1.0", "resnet18", "resnet50"])
def test_the_names_of_yakhyo_become_the_published_ones(name):
    network = RetinaFace(ARCHITECTURES[name], "test")
    theirs = yakhyo_names(network.state_dict())
    if name.startswith("mobilenet"):
        # As they stand in its published files.
        assert "fx.stage1.0.0.weight" in theirs
        assert "fx.stage1.1.0.0.weight" in theirs
        assert "fx.stage2.3.1.1.running_mean" in theirs
    assert "class_head.class_head.0.weight" in theirs
    other = load_model(
        RetinaFace(ARCHITECTURES[name], "test"), {f"module.{key}": value for key, value in theirs.items()}
    )
    for key, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
