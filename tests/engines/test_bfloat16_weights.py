"""Weights rounded to bfloat16 with an eye to what they do together."""

from __future__ import annotations

import numpy as np
import pytest

from rfapp import weights
from rfapp.engines import bfloat16_weights
from rfapp.engines.bfloat16_weights import shape_weights
from rfapp.weights.network_graph import Builder
from rfapp.weights.onnx_file import read_state


@pytest.fixture(scope="module")
def numbers():
    """The constants of the network's ONNX file by name."""
    model, found = weights.find("mobilenet0.25-imported"), {}

    class Noting(Builder):
        def _convolution(self, name, x, weight, bias, *stride, **more):
            found[f"{name}.weight"], found[f"{name}.bias"] = weight.astype(np.float32), bias.astype(np.float32)
            return super()._convolution(name, x, weight, bias, *stride, **more)

    Noting(model.config, read_state(model)).build()
    return model.config, found


@pytest.fixture(scope="module")
def shaped(numbers):
    config, found = numbers
    return {**found, **shape_weights(found, config, lambda name: False)}


def in_bfloat16(values):
    return not (np.ascontiguousarray(values, np.float32).view(np.int32) & 0xFFFF).any()


def rounded(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def answers(numbers, config, colours):
    """What areas of one colour become at the end of the trunk, and after the pyramid's first convolutions."""
    values, results = colours - np.array(config.means), []
    layers = sorted(name[:-7] for name in numbers if name.startswith("body") and name.endswith(".weight"))
    for index, name in enumerate(layers):
        weight, bias = numbers[f"{name}.weight"].astype(np.float64), numbers[f"{name}.bias"].astype(np.float64)
        sums = weight.sum((2, 3))
        values = (values * sums[:, 0] if weight.shape[1] == 1 else values @ sums.T) + bias
        values = np.where(values > 0, values, config.slope * values)
        if index + 1 == len(layers) or layers[index + 1][:11] != name[:11]:
            output = f"fpn.output{name[10]}.0"
            results.append(values @ numbers[f"{output}.weight"][:, :, 0, 0].T + numbers[f"{output}.bias"])
    return results


def test_the_trunk_is_in_bfloat16_and_nothing_else_is_touched(numbers, shaped):
    config, found = numbers
    changed = shape_weights(found, config, lambda name: False)
    assert set(changed) <= {name for name in found if name.startswith(("body.", "fpn.output"))}
    for name in changed:
        if name.startswith("body."):
            assert in_bfloat16(shaped[name]), name
    assert not in_bfloat16(found["body.stage1.1.0.weight"])


def test_exact_layers_keep_their_numbers(numbers):
    config, found = numbers
    changed = shape_weights(found, config, lambda name: name.startswith("body.stage1."))
    assert not any(name.startswith("body.stage1.") for name in changed)
    assert "body.stage2.1.0.weight" in changed


def test_depthwise_filters_keep_their_sums(numbers, shaped):
    """As far as bfloat16 allows: rounding one by one is off by more than five times as much."""
    _, found = numbers
    scale = shaped["body.stage1.1.0.bias"] / found["body.stage1.1.0.bias"]
    before = shaped["body.stage1.0.0.bias"] / found["body.stage1.0.0.bias"]  # which the layer before was scaled by
    wanted = found["body.stage1.1.0.weight"].astype(np.float64) * (scale / before)[:, None, None, None]
    off = np.abs((shaped["body.stage1.1.0.weight"] - wanted).sum((1, 2, 3)))
    one_by_one = np.abs((rounded(wanted) - wanted).sum((1, 2, 3)))
    assert off.mean() < 0.2 * one_by_one.mean()


def test_plain_colours_come_out_nearer_than_with_weights_rounded_one_by_one(numbers, shaped):
    config, found = numbers
    colours = np.random.default_rng(5).uniform(0, 255, (200, 3))
    simple = {name: rounded(value) if name.startswith("body.") else value for name, value in found.items()}
    right = answers(found, config, colours)
    for ours, theirs, exact in zip(
        answers(shaped, config, colours), answers(simple, config, colours), right, strict=True
    ):
        assert np.abs(ours - exact).mean() < 0.5 * np.abs(theirs - exact).mean()


def test_scaling_alone_changes_nothing(numbers, monkeypatch):
    """Channels are scaled and scaled back: without rounding the network is the same function."""
    config, found = numbers
    monkeypatch.setattr(bfloat16_weights, "_rounded", lambda weight, colours, simply: weight)
    scaled = {**found, **shape_weights(found, config, lambda name: False)}
    assert not np.array_equal(scaled["body.stage2.1.3.weight"], found["body.stage2.1.3.weight"])
    colours = np.random.default_rng(5).uniform(0, 255, (50, 3))
    for ours, exact in zip(answers(scaled, config, colours), answers(found, config, colours), strict=True):
        np.testing.assert_allclose(ours, exact, atol=2e-4 * np.abs(exact).max())
