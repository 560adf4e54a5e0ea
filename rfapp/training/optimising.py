"""How weights are changed: which of them decay, how fast they learn at each step, and their running mean."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rfapp.training.recipes import Recipe

#: The running mean forgets faster in its first steps, when there is little to remember (1 + n over 10 + n).
_EARLY = 10


def optimiser_for(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW, for all parameters that learn. Biases and batch norm do not decay unless the recipe
    says so."""
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in filter(lambda each: each.requires_grad, network.parameters()):
        (weights if parameter.ndim > 1 or recipe.decay_all else others).append(parameter)
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """That of step *step* (from 0) of *total*."""
    rate, warmup = recipe.learning_rate, min(recipe.warmup, total // 10)
    if step < warmup:
        return rate * (step + 1) / warmup
    if recipe.schedule == "cosine":
        done = (step - warmup) / max(1, total - warmup)
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    return rate * 0.1 ** sum(step >= milestone * total for milestone in recipe.milestones)


class RunningMean:
    """The exponential mean of a network's weights, and of batch norm's statistics, over the steps.

    *decay* 0 follows the weights themselves.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._network = network
        self._steps = 0
        self._mean = {name: tensor.detach().clone() for name, tensor in _floats(network)}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (_EARLY + self._steps))
        current = [tensor.detach() for _, tensor in _floats(self._network)]
        torch._foreach_lerp_(list(self._mean.values()), current, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """A whole state dict on the CPU, of which nothing changes any more."""
        state = {name: tensor.detach().cpu().clone() for name, tensor in self._network.state_dict().items()}
        return {**state, **{name: tensor.cpu().clone() for name, tensor in self._mean.items()}}

    def state_dict(self) -> dict[str, object]:
        return {"steps": self._steps, "mean": self._mean}

    def load_state_dict(self, state: dict[str, object]) -> None:
        steps, mean = state["steps"], state["mean"]
        assert isinstance(steps, int)
        assert isinstance(mean, dict)
        self._steps = steps
        for name, tensor in self._mean.items():
            tensor.copy_(mean[name])


def _floats(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from ((name, buffer) for name, buffer in network.named_buffers() if buffer.is_floating_point())


class Buffers:
    """A copy of what a pass through the network changes besides gradients: batch norm's statistics."""

    def __init__(self, network: nn.Module) -> None:
        self._buffers = list(network.buffers())
        self._copies = [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def keep(self) -> None:
        for copy, buffer in zip(self._copies, self._buffers, strict=True):
            copy.copy_(buffer)

    @torch.no_grad()
    def restore(self) -> None:
        for copy, buffer in zip(self._copies, self._buffers, strict=True):
            buffer.copy_(copy)
