"""insightface's small RetinaFace (``mnet.25``, MXNet) in the names and the order of the published PyTorch networks.

The two are one architecture. What differs is kept in the configuration (RGB without means, plain ReLU, priors around
7.5 px at every level, deltas without variances, boxes whose width counts the last pixel) or put into the numbers here:

- the convolutions of pyramid and context modules have biases before their batch norm: subtracted from its mean;
- their batch norm adds 2e-5 to the variance and not 1e-5: added to the variance;
- anchors come large first and classes are grouped by class: the heads' channels are put in order.

Source: deepinsight/insightface ``detection/retinaface`` (symbol and generate_anchor).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rfapp.errors import WeightsAltered
from rfapp.frames import FloatArray
from rfapp.text import mark
from rfapp.weights.mxnet_file import Arrays

State = dict[str, FloatArray]

#: MXNet's epsilon of the pyramid and the context modules, less the one that PyTorch adds.
_MORE_EPSILON = 2e-5 - 1e-5
_STAGES = {"stage1": range(1, 6), "stage2": range(6, 12), "stage3": range(12, 14)}
_PYRAMID = {
    "output1": "rf_c1_red_conv",
    "output2": "rf_c2_lateral",
    "output3": "rf_c3_lateral",
    "merge1": "rf_c1_aggr",
    "merge2": "rf_c2_aggr",
}
_CONTEXT = {
    "conv3X3": "det_conv1",
    "conv5X5_1": "det_context_conv1",
    "conv5X5_2": "det_context_conv2",
    "conv7X7_2": "det_context_conv3_1",
    "conv7x7_3": "det_context_conv3_2",
}
_STRIDES = (8, 16, 32)


def is_mnet(arrays: Arrays) -> bool:
    """Whether these are the arrays of such a network, colour or grey."""
    return "mobilenet0_conv0_weight" in arrays and "face_rpn_cls_score_stride8_weight" in arrays


def state_from_mxnet(arrays: Arrays, path: Path) -> State:
    """float32 tensors by the names of the published checkpoints. Raises WeightsAltered when one is missing."""
    try:
        return {**_trunk(arrays), **_neck(arrays), **_heads(arrays)}
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsAltered(
            mark("{path} is no RetinaFace of insightface: {reason}."),
            mark("Choose another weights file."),
            path=path,
            reason=mark("it lacks {name}").format(name=error.args[0]) if isinstance(error, KeyError) else error,
        ) from error


def _trunk(arrays: Arrays) -> State:
    state: State = {}

    def put(number: int, convolution: str, norm: str) -> None:
        state[f"body.{convolution}.weight"] = _float(arrays[f"mobilenet0_conv{number}_weight"])
        prefix = f"mobilenet0_batchnorm{number}"
        state.update(
            _norm(
                f"body.{norm}",
                *(_float(arrays[f"{prefix}_{part}"]) for part in ("gamma", "beta", "running_mean", "running_var")),
            )
        )

    put(0, "stage1.0.0", "stage1.0.1")
    for stage, pairs in _STAGES.items():
        for place, pair in enumerate(pairs, start=1 if stage == "stage1" else 0):
            put(2 * pair - 1, f"{stage}.{place}.0", f"{stage}.{place}.1")
            put(2 * pair, f"{stage}.{place}.3", f"{stage}.{place}.4")
    return state


def _neck(arrays: Arrays) -> State:
    names = {f"fpn.{ours}": theirs for ours, theirs in _PYRAMID.items()}
    for level in (1, 2, 3):
        names.update({f"ssh{level}.{ours}": f"rf_c{level}_{theirs}" for ours, theirs in _CONTEXT.items()})
    state: State = {}
    for ours, theirs in names.items():
        state[f"{ours}.0.weight"] = _float(arrays[f"{theirs}_weight"])
        gamma, beta, mean, variance = (
            _float(arrays[f"{theirs}_bn_{part}"]) for part in ("gamma", "beta", "moving_mean", "moving_var")
        )
        mean = mean - _float(arrays[f"{theirs}_bias"])
        state.update(_norm(f"{ours}.1", gamma, beta, mean, variance + np.float32(_MORE_EPSILON)))
    return state


def _heads(arrays: Arrays) -> State:
    state: State = {}
    for level, stride in enumerate(_STRIDES):
        for ours, theirs in (("ClassHead", "cls_score"), ("BboxHead", "bbox_pred"), ("LandmarkHead", "landmark_pred")):
            for part in ("weight", "bias"):
                values = _float(arrays[f"face_rpn_{theirs}_stride{stride}_{part}"])
                state[f"{ours}.{level}.conv1x1.{part}"] = _ordered(values, by_class=ours == "ClassHead")
    return state


def _ordered(values: FloatArray, *, by_class: bool) -> FloatArray:
    """Channels anchor by anchor, small anchors first. *by_class*: they come as background × A, face × A."""
    rest = values.shape[1:]
    grouped = values.reshape(2, 2, *rest).swapaxes(0, 1) if by_class else values.reshape(2, -1, *rest)
    return np.ascontiguousarray(grouped[::-1].reshape(values.shape))


def _norm(name: str, gamma: FloatArray, beta: FloatArray, mean: FloatArray, variance: FloatArray) -> State:
    return {
        f"{name}.weight": gamma,
        f"{name}.bias": beta,
        f"{name}.running_mean": mean,
        f"{name}.running_var": variance,
    }


def _float(values: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)
