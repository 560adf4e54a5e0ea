"""Weights that lose little when they are rounded to bfloat16.

OpenVINO rounds a network's weights and biases each by itself, to eight binary digits. On a smooth picture all pixels
then err the same way, and a face can move by several pixels. Rounding them here, with an eye to what they do together,
costs nothing later: what stands in bfloat16 already is taken as it is. Measured on faces scaled up from 32 pixels, it
leaves a third of the error. numpy only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rfapp.models.config import ModelConfig

Array = npt.NDArray[np.float64]

#: What of a MobileNet trunk bfloat16 is not for, by the beginning of the layers' names: the first stage and the first
#: step of the second, whose thin layers lose up to 14 px on a blurred face. Where a picture is smooth, all roundings of
#: a channel go the same way and add up. (How this was chosen: :mod:`rfapp.engines.openvino_graph`.)
EXACT_IN_TRUNK = ("body.stage1.", "body.stage2.0.")

_LAYER = re.compile(r"body[.]stage(\d)[.](\d)[.](\d)[.]weight")
#: Depthwise filters have nine taps: every choice of those to be rounded the other way.
_CHOICES: Array = ((np.arange(512)[:, None] >> np.arange(9)) & 1).astype(np.float64)
#: What the errors of single taps count beside that of their sum.
_TAP = 1e-3
#: What all directions count in 1×1 convolutions beside those that smooth pictures take.
_ANY = 0.03
#: 1×1 convolutions from the third stage on are rounded simply: their errors are small, and many their weights.
_STAGES = 2
_PASSES = 3


def shape_weights(
    numbers: Mapping[str, npt.NDArray[Any]], config: ModelConfig, exact: Callable[[str], bool]
) -> dict[str, npt.NDArray[np.float32]]:
    """Those of a MobileNet network's *numbers* (by the names of its ONNX file) that have to be changed.

    *exact* tells by its name whether a layer runs in float32 in any case. Three things are done to the trunk:

    - An output channel is scaled by up to 0.4 % so that its bias is a bfloat16 number, and the layers behind it by the
      inverse. Leaky ReLU between them passes a positive scale on, so the network stays the same function.
    - Of a depthwise filter the taps are rounded up or down so that their sum stays: on smooth pictures it acts alone.
    - Of a 1×1 convolution the weights are rounded so that the answer to plain colours stays: one after the other is
      rounded the other way, as long as that gets better.
    """
    layers = sorted(found.groups() for name in numbers if (found := _LAYER.fullmatch(name)))
    names = ["body.stage{}.{}.{}".format(*layer) for layer in layers]
    known: dict[str, Array] = {
        name: np.asarray(value, np.float64)
        for name, value in numbers.items()
        if name.startswith(("body.", "fpn.output"))
    }
    colours = _plain_colours(config)
    for number, name in enumerate(names):
        behind = names[number + 1 : number + 2]
        stage = layers[number][0]
        if not behind or layers[number + 1][0] != stage:
            behind.append(f"fpn.output{stage}.0")
        if not exact(name):
            _scale(known, name, behind)
            known[f"{name}.weight"] = _rounded(known[f"{name}.weight"], colours, simply=int(stage) > _STAGES)
        colours = _answer(known[f"{name}.weight"], known[f"{name}.bias"], colours, config.slope)
    return {
        name: value.astype(np.float32)
        for name, value in known.items()
        if not np.array_equal(value.astype(np.float32), numbers[name])
    }


def _plain_colours(config: ModelConfig) -> Array:
    """float64 K×3: colours of all kinds and shades of grey, as the network is given them."""
    random = np.random.default_rng(0)
    grey = random.uniform(0, 255, (128, 1)) + random.normal(0, 12, (128, 3))
    colours: Array = np.concatenate([random.uniform(0, 255, (256, 3)), grey.clip(0, 255)]) - np.array(config.means)
    return colours


def _answer(weight: Array, bias: Array, colours: Array, slope: float) -> Array:
    """What a layer makes of areas of one colour: only the sums of its taps act."""
    sums = weight.sum(axis=(2, 3))
    values: Array = colours * sums[:, 0] + bias if _depthwise(weight) else colours @ sums.T + bias
    return np.where(values > 0, values, values * slope)


def _depthwise(weight: Array) -> bool:
    return weight.shape[1:] == (1, 3, 3)


def _scale(known: dict[str, Array], name: str, behind: list[str]) -> None:
    """Scale the channels of *name* so that the biases are bfloat16 numbers, and undo it in the layers *behind*."""
    bias = known[f"{name}.bias"]
    nearest = _nearest(bias)
    factors = np.divide(nearest, bias, out=np.ones_like(bias), where=np.abs(bias) > 1e-20)
    known[f"{name}.bias"] = bias * factors
    known[f"{name}.weight"] = known[f"{name}.weight"] * factors[:, None, None, None]
    for other in behind:
        weight = known[f"{other}.weight"]
        axis = (slice(None), None) if _depthwise(weight) else (None, slice(None))
        known[f"{other}.weight"] = weight / factors[(*axis, None, None)]


def _rounded(weight: Array, colours: Array, *, simply: bool) -> Array:
    if _depthwise(weight):
        return _same_sums(weight.reshape(len(weight), 9)).reshape(weight.shape)
    if weight.shape[2] != 1 or simply:
        return _nearest(weight)
    moments = colours.T @ colours / len(colours)
    moments += np.eye(len(moments)) * moments.diagonal().mean() * _ANY
    return _same_answers(weight[:, :, 0, 0], moments)[:, :, None, None]


def _same_sums(taps: Array) -> Array:
    """K×9 *taps* in bfloat16, each row with the sum that it had, as near as can be."""
    nearest, other = _nearest(taps), _second(taps)
    error = (nearest - taps).sum(axis=1)[:, None] + (other - nearest) @ _CHOICES.T
    cost = np.abs(error) + _TAP * np.abs(other - taps) @ _CHOICES.T
    return np.where(_CHOICES[cost.argmin(axis=1)] > 0, other, nearest)


def _same_answers(weight: Array, moments: Array) -> Array:
    """Outputs×inputs *weight* in bfloat16: of the errors e of an output's row, e·*moments*·e gets small."""
    result, other = _nearest(weight), _second(weight)
    pull = (result - weight) @ moments
    for _ in range(_PASSES):
        changed = False
        for column in range(weight.shape[1]):
            step = other[:, column] - result[:, column]
            better = step * (2 * pull[:, column] + step * moments[column, column]) < -1e-15
            if better.any():
                pull[better] += step[better, None] * moments[column]
                result[better, column], other[better, column] = other[better, column], result[better, column]
                changed = True
        if not changed:
            break
    return result


def _bounds(values: Array) -> tuple[Array, Array]:
    """The bfloat16 numbers next to *values*, towards zero and away from it."""
    bits = values.astype(np.float32).view(np.int32) & -65536
    return bits.view(np.float32).astype(np.float64), (bits + 65536).view(np.float32).astype(np.float64)


def _nearest(values: Array) -> Array:
    inner, outer = _bounds(values)
    return np.where(np.abs(values - inner) <= np.abs(outer - values), inner, outer)


def _second(values: Array) -> Array:
    """The one of :func:`_bounds` that is not the nearest."""
    inner, outer = _bounds(values)
    return np.where(np.abs(values - inner) <= np.abs(outer - values), outer, inner)
