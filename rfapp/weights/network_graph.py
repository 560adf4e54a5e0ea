"""Puts a network into an ONNX file, out of its configuration and its numbers; numpy only.

The file takes float32 ``pictures`` (B, 3, H, W) in the channel order of the configuration (BGR for a one-plane network,
which gets their luma) with the means subtracted,
and gives for each level of the pyramid, finest first, one float32 output ``head8``, ``head16``, ``head32``
(B, A·15, H/stride, W/stride). A is the number of priors of a cell; the channels are A face logits (face minus
background: its sigmoid is softmax's face column), A·4 box deltas and A·10 landmark deltas. B, H and W are decided by
each run. Batch norm is folded into the convolutions, the three heads of a level are one convolution.

The coarser level is raised to the finer one's very size (its ``Shape`` goes into ``Resize``), so H and W need not be
multiples of 32.

AInnoFace's graph, with six such outputs, is grown in :mod:`rfapp.weights.two_step_graph`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from rfapp.errors import WeightsAltered
from rfapp.frames import FloatArray
from rfapp.models.config import LUMA_BGR, ModelConfig
from rfapp.text import mark
from rfapp.weights.manifest import Model, to_metadata
from rfapp.weights.onnx_writer import Attribute, Graph

_BN_EPS = 1e-5
#: Depthwise convolutions of MobileNet that halve the size.
_HALVING = {"stage1.2", "stage1.4", "stage2.0", "stage3.0"}

State = Mapping[str, FloatArray]


def onnx_bytes(model: Model, state: State) -> bytes:
    """The ONNX file of *model*, whose numbers are *state* (by the names of the published checkpoints).

    Raises WeightsAltered when a tensor is missing.
    """
    with fitting(model):
        return builder_for(model.config, state).build().to_bytes(to_metadata(model))


def builder_for(config: ModelConfig, state: State) -> Builder:
    """What grows the graph of networks of *config*."""
    if config.family == "AInnoFace":
        from rfapp.weights.two_step_graph import TwoStepBuilder

        return TwoStepBuilder(config, state)
    return Builder(config, state)


@contextmanager
def fitting(model: Model) -> Iterator[None]:
    """Tell tensors that are missing or of a wrong shape as WeightsAltered."""
    try:
        yield
    except (KeyError, ValueError) as error:
        raise WeightsAltered(
            mark("{path} does not fit the network {architecture}: {reason}."),
            mark("Choose another weights file."),
            path=model.path,
            architecture=model.config.architecture,
            reason=mark("it lacks {name}").format(name=error.args[0]) if isinstance(error, KeyError) else error,
        ) from error


def _with_luma(state: State) -> State:
    """*state* of a one-plane network with a first convolution that takes B, G and R: luma is a sum of them."""
    name = "body.stage1.0.0.weight"
    luma = np.array(LUMA_BGR).reshape(1, 3, 1, 1)
    return {**state, name: (state[name].astype(np.float64) * luma).astype(np.float32)}


class Builder:
    """Grows the graph of a network out of its configuration and its numbers."""

    def __init__(self, config: ModelConfig, state: State) -> None:
        self.config = config
        self.state = _with_luma(state) if config.channel_order == "GRAY" else state
        self.graph = Graph(config.architecture)

    def build(self) -> Graph:
        """The whole file's graph."""
        x = self.graph.input("pictures", np.float32, ("batch", 3, "height", "width"))
        for step, name in zip(self.config.steps, self.heads(x), strict=True):
            channels = self.config.anchors_per_cell * self.config.numbers_per_prior
            shape = "batch", channels, f"rows{step}", f"columns{step}"
            self.graph.output(name, np.float32, shape)
        return self.graph

    def heads(self, x: str) -> list[str]:
        """From pictures with their means subtracted to the joined heads, finest level first."""
        levels = self._mobilenet(x) if self.config.backbone.startswith("mobilenet") else self._resnet(x)
        return [
            self._head(number, self._context(f"ssh{number + 1}", feature), f"head{step}")
            for number, (step, feature) in enumerate(zip(self.config.steps, self._pyramid(levels), strict=True))
        ]

    # -------------------------------------------------------------------------------------------------- trunks

    def _mobilenet(self, x: str) -> list[str]:
        slope, levels = self.config.slope, []
        x = self._conv("body.stage1.0.0", "body.stage1.0.1", x, stride=2, slope=slope)
        for stage in self.config.return_layers:
            for pair in self._children(f"body.{stage}"):
                if f"{stage}.{pair}" == "stage1.0":
                    continue
                name = f"body.{stage}.{pair}"
                x = self._conv(
                    f"{name}.0", f"{name}.1", x, stride=2 if f"{stage}.{pair}" in _HALVING else 1, slope=slope
                )
                x = self._conv(f"{name}.3", f"{name}.4", x, slope=slope)
            levels.append(x)
        return levels

    def _resnet(self, x: str) -> list[str]:
        x = self._conv("body.conv1", "body.bn1", x, stride=2, slope=0.0)
        x = self.graph.node("MaxPool", [x], "body.maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        levels = []
        for layer in ("layer1", "layer2", "layer3", "layer4"):
            for block in self._children(f"body.{layer}"):
                x = self._residual(f"body.{layer}.{block}", x, stride=2 if layer != "layer1" and block == 0 else 1)
            if layer in self.config.return_layers:
                levels.append(x)
        return levels

    def _residual(self, name: str, x: str, stride: int) -> str:
        deep = f"{name}.conv3.weight" in self.state
        shortcut = x
        if f"{name}.downsample.0.weight" in self.state:
            shortcut = self._conv(f"{name}.downsample.0", f"{name}.downsample.1", x, stride=stride)
        # The stride sits in the 3×3 convolution: the second of three, the first of two.
        x = self._conv(f"{name}.conv1", f"{name}.bn1", x, stride=1 if deep else stride, slope=0.0)
        x = self._conv(f"{name}.conv2", f"{name}.bn2", x, stride=stride if deep else 1, slope=0.0 if deep else None)
        if deep:
            x = self._conv(f"{name}.conv3", f"{name}.bn3", x)
        return self.graph.node("Relu", [self.graph.node("Add", [x, shortcut], f"{name}.sum")], f"{name}.relu")

    def _children(self, name: str) -> list[int]:
        pattern = re.compile(re.escape(name) + r"\.(\d+)\.")
        return sorted({int(found[1]) for key in self.state if (found := pattern.match(key))})

    # ----------------------------------------------------------------------------- pyramid, context modules, heads

    def _pyramid(self, levels: list[str]) -> list[str]:
        slope = self.config.pyramid_slope
        fine, middle, coarse = (
            self._conv(f"fpn.output{number}.0", f"fpn.output{number}.1", level, slope=slope)
            for number, level in enumerate(levels, start=1)
        )
        middle = self._merge("fpn.merge2", middle, coarse)
        fine = self._merge("fpn.merge1", fine, middle)
        return [fine, middle, coarse]

    def _merge(self, name: str, finer: str, coarser: str) -> str:
        both = self._sum(
            name, finer, coarser, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
        return self._conv(f"{name}.0", f"{name}.1", both, slope=self.config.pyramid_slope)

    def _sum(self, name: str, finer: str, coarser: str, **how: Attribute) -> str:
        """*finer* plus *coarser* raised to its very size; *how*: the attributes of Resize."""
        size = self.graph.node("Shape", [finer], f"{name}.size")
        raised = self.graph.node("Resize", [coarser, "", "", size], f"{name}.raised", **how)
        return self.graph.node("Add", [finer, raised], f"{name}.sum")

    def _context(self, name: str, x: str) -> str:
        slope = self.config.pyramid_slope

        def conv(part: str, value: str, slope: float | None = None) -> str:
            return self._conv(f"{name}.{part}.0", f"{name}.{part}.1", value, slope=slope)

        shared = conv("conv5X5_1", x, slope)
        # The ReLU behind the joined branches stands in each of them instead, where it costs nothing.
        branches = [
            conv("conv3X3", x, 0.0),
            conv("conv5X5_2", shared, 0.0),
            conv("conv7x7_3", conv("conv7X7_2", shared, slope), 0.0),
        ]
        return self.graph.node("Concat", branches, f"{name}.joined", axis=1)

    def _head(self, number: int, x: str, name: str) -> str:
        """One 1×1 convolution for the class, box and landmark heads of a level."""
        anchors = self.config.anchors_per_cell
        parts = [f"{kind}.{number}.conv1x1" for kind in ("ClassHead", "BboxHead", "LandmarkHead")]
        weights = [self.state[f"{part}.weight"].astype(np.float64) for part in parts]
        biases = [self.state[f"{part}.bias"].astype(np.float64) for part in parts]
        # Of the two class scores only the difference counts.
        pairs = weights[0].reshape(anchors, 2, *weights[0].shape[1:])
        weights[0] = pairs[:, 1] - pairs[:, 0]
        biases[0] = biases[0].reshape(anchors, 2) @ np.array([-1.0, 1.0])
        return self._convolution(name, x, np.concatenate(weights), np.concatenate(biases), stride=1)

    # -------------------------------------------------------------------------------------------- convolutions

    def _conv(self, name: str, norm: str, x: str, *, stride: int = 1, slope: float | None = None) -> str:
        """Convolution *name* with batch norm *norm* folded in; leaky ReLU unless *slope* is None (0: plain ReLU).

        Folded in float64, so that the one rounding to float32 is the only one.
        """
        state = self.state
        weight = state[f"{name}.weight"].astype(np.float64)
        variance = state[f"{norm}.running_var"].astype(np.float64)
        scale = state[f"{norm}.weight"].astype(np.float64) / np.sqrt(variance + _BN_EPS)
        bias = state[f"{norm}.bias"].astype(np.float64) - state[f"{norm}.running_mean"].astype(np.float64) * scale
        x = self._convolution(name, x, weight * scale[:, None, None, None], bias, stride=stride)
        if slope is None:
            return x
        if slope == 0.0:
            return self.graph.node("Relu", [x], f"{name}.relu")
        return self.graph.node("LeakyRelu", [x], f"{name}.relu", alpha=slope)

    def _convolution(
        self, name: str, x: str, weight: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
        bias: np.ndarray[tuple[int, ...], np.dtype[np.float64]], *, stride: int = 1, output: str = "",
    ) -> str:  # fmt: skip
        """*output* names the node of a convolution that is used more than once; its numbers are there once."""
        kernel = weight.shape[2:]
        # One input channel for each output channel is what makes a convolution depthwise in all our networks.
        group = weight.shape[0] if weight.shape[1] == 1 and max(kernel) > 1 else 1
        return self.graph.node(
            "Conv",
            [
                x,
                self.graph.constant(f"{name}.weight", weight.astype(np.float32)),
                self.graph.constant(f"{name}.bias", bias.astype(np.float32)),
            ],
            output or name,
            kernel_shape=list(kernel),
            strides=[stride, stride],
            pads=[side // 2 for side in kernel] * 2,
            group=group,
        )
