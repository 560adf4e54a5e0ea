"""Puts the numbers of a checkpoint into a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)


def plain_state_dict(checkpoint: Any) -> dict[str, Tensor]:
    """The tensors of *checkpoint* by name.

    A training checkpoint that holds the weights under ``state_dict`` is unwrapped, the prefix ``module.`` that torch's
    data parallel training leaves is taken off, and the names of yakhyo/retinaface-pytorch become the published ones
    (its layers are the same). Raises ValueError where there are no named tensors.
    """
    if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("state_dict"), Mapping):
        checkpoint = checkpoint["state_dict"]
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        raise ValueError("it holds no named tensors")
    state: dict[str, Tensor] = {}
    for name, value in checkpoint.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"it holds {name!r}, which is no tensor")
        state[name.removeprefix("module.")] = value
    if any(name.startswith("fx.") for name in state):
        state = {_published_name(name): value for name, value in state.items()}
    return state


#: In yakhyo's depthwise pairs each convolution and its batch norm are a module of their own.
_PAIR = re.compile(r"fx\.(stage\d\.\d+)\.([01])\.([01])\.(\w+)")
_HEAD = re.compile(r"(class|bbox|landmark)_head\.\1_head\.(\d)\.")


def _published_name(name: str) -> str:
    if pair := _PAIR.fullmatch(name):
        place, half, part, what = pair.groups()
        return f"body.{place}.{3 * int(half) + int(part)}.{what}"
    if head := _HEAD.match(name):
        return f"{head[1].capitalize()}Head.{head[2]}.conv1x1.{name[head.end() :]}"
    return f"body.{name.removeprefix('fx.')}" if name.startswith("fx.") else name


def load_model(model: _Network, checkpoint: Any, *, assign: bool = False) -> _Network:
    """Load *checkpoint* (a state dict, plain or wrapped) into *model*, and return *model*.

    Every tensor of the network must be there with its shape, and no other. Only the counters of batch norm
    (``num_batches_tracked``), which old files lack and inference does not read, may be missing. *assign* makes the
    checkpoint's tensors the network's own instead of copying them (for a network made on the meta device). Raises
    ValueError that names the first tensors that do not fit.
    """
    state = plain_state_dict(checkpoint)
    own = model.state_dict()
    for name in own:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.tensor(0))
    missing, surplus = [name for name in own if name not in state], [name for name in state if name not in own]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    for what, names in (("lacks", missing), ("has the unknown", surplus), ("has another shape of", shapes)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"it {what} {names[0]}{more}")
    model.load_state_dict(state, strict=True, assign=assign)
    return model
