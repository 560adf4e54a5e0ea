"""The weights of one network as the first weights of a kin: the same layers, another input, other priors, other units.

RetinaFace's MobileNets come in two kinds: with means and leaky ReLU, priors in the middle of their cells and deltas in
tenths of a prior (biubug6/Pytorch_Retinaface), and without (insightface's mnet.25, of which there is a form that sees
luma only). What can be said in the other kind's terms is put into its numbers here; what can't (the ReLU's slope, the
border of a picture, boxes that count their last pixel) is left to training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rfapp.models.config import LUMA_BGR, ModelConfig

#: The first convolution, and the batch norm behind it.
_FIRST, _NORM = "body.stage1.0.0.weight", "body.stage1.0.1.running_mean"


def are_kin(first: ModelConfig, second: ModelConfig) -> bool:
    """Whether one's weights can begin the other: MobileNets of the same layers and sizes of priors."""
    return (
        first.family == second.family == "RetinaFace"
        and first.backbone == second.backbone
        and first.backbone.startswith("mobilenet")
        and (first.out_channel, first.min_sizes, first.steps) == (second.out_channel, second.min_sizes, second.steps)
    )


@torch.no_grad()
def adapted(state: dict[str, Tensor], source: ModelConfig, target: ModelConfig) -> dict[str, Tensor]:
    """The state dict of a *source* network, for a *target* network that :func:`are_kin`.

    A picture without colours gives the same boxes and landmarks but for what the head of this file names.
    """
    result = {name: tensor.clone() for name, tensor in state.items()}
    if (source.channel_order, source.means) != (target.channel_order, target.means):
        weight = result[_FIRST].double()
        result[_FIRST] = _for_planes(weight, source, target).to(result[_FIRST].dtype)
        # What the means took away at each point is taken away behind the convolution.
        change = weight.sum(dim=(2, 3)) @ _means(source) - result[_FIRST].double().sum(dim=(2, 3)) @ _means(target)
        result[_NORM] = (result[_NORM].double() + change).to(result[_NORM].dtype)
    for level, (sizes, step) in enumerate(zip(source.min_sizes, source.steps, strict=True)):
        shift = (source.prior_offset or step / 2) - (target.prior_offset or step / 2)
        near, growth = (one / other for one, other in zip(source.variance, target.variance, strict=True))
        shifts = shift / (np.array(sizes) * target.variance[0])
        _rescale(result, f"BboxHead.{level}.conv1x1", [near, near, growth, growth], shifts, [1, 1, 0, 0])
        _rescale(result, f"LandmarkHead.{level}.conv1x1", [near] * 10, shifts, [1] * 10)
    return result


def _for_planes(weight: Tensor, source: ModelConfig, target: ModelConfig) -> Tensor:
    """The first convolution's weights (C, planes, 3, 3) for the planes that *target* is fed."""
    if source.channel_order == target.channel_order:
        return weight
    if target.channel_order == "GRAY":
        return weight.sum(dim=1, keepdim=True)
    if source.channel_order == "GRAY":  # each colour as much as it has of luma
        shares = LUMA_BGR if target.channel_order == "BGR" else LUMA_BGR[::-1]
        return weight * torch.tensor(shares, dtype=weight.dtype).view(1, 3, 1, 1)
    return weight.flip(1)


def _means(config: ModelConfig) -> Tensor:
    return torch.tensor(config.means[: config.channels], dtype=torch.float64)


def _rescale(state: dict[str, Tensor], head: str, factors: list[float], shifts: np.ndarray, moved: list[int]) -> None:
    """Each prior's outputs of *head* × *factors*, and where *moved* is 1 + the prior's own of *shifts*."""
    weight, bias = state[f"{head}.weight"], state[f"{head}.bias"]
    factor = torch.tensor(factors * len(shifts), dtype=torch.float64)
    shift = torch.from_numpy(np.outer(shifts, moved).reshape(-1))
    state[f"{head}.weight"] = (weight.double() * factor.view(-1, 1, 1, 1)).to(weight.dtype)
    state[f"{head}.bias"] = (bias.double() * factor + shift).to(bias.dtype)
