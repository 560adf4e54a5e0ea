"""Batch norm and the convolution before it as one: which belong together, and the numbers that they make."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def normed_convolutions(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]]:
    """Every convolution of *module* that a batch norm follows, and that batch norm, each behind its name.

    In all our networks a batch norm is the child after its convolution. *prefix* is put before the names.
    """
    before: tuple[str, nn.Module] | None = None
    for key, child in module.named_children():
        name = prefix + key
        if isinstance(child, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
            yield before[0], before[1], name, child
        else:
            yield from normed_convolutions(child, f"{name}.")
        before = name, child


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution that computes what *convolution* and then *norm* do in eval mode.

    In float64, so that one rounding to float32 is the only one.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias.double() * scale
    return convolution.weight.double() * scale[:, None, None, None], bias
