"""A network translated for the processor by ``torch.compile``: faster steps, for a minute or more at the beginning.

Measured (mobilenet0.25, sixteen pictures of 416 px, bfloat16, two cores): forward and backward take 0.84 of the time,
and translating takes 74 s. So it pays where a run is long; and it needs a C++ compiler, which few computers have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import cast

import torch
from torch import nn

from rfapp.errors import EngineFailed
from rfapp.models.networks import Network
from rfapp.text import mark
from rfapp.training.devices import Precision, pass_through
from rfapp.training.optimising import Buffers
from rfapp.training.plan import Plan

#: So many pixels a run must see until translating its network has paid: the minute and a quarter that it takes was won
#: back after 3.5e9 of them, and other computers are as fast or faster at steps.
WORTH_IT = 6e9


def compiled(
    network: Network,
    plan: Plan,
    device: torch.device,
    precision: Precision,
    *,
    pictures: int,
    steps: int,
    say: Callable[[str], None],
) -> nn.Module:
    """*network*, or what computes the same with the same weights, faster, as the plan's ``compile`` says.

    "auto" does it where it was measured to pay (RetinaFace with a MobileNet, on a CPU, in a run of *steps* that is long
    enough), and tells and goes on without where it can't be done. For "yes" that raises EngineFailed. *pictures*: how
    many there are at a time.
    """
    if plan.compile == "no" or (plan.compile == "auto" and not _pays(network, plan, device, steps)):
        return network
    if getattr(sys, "frozen", False):
        return _without(network, plan, mark("the installed app has no compiler"), say)
    if device.type == "cuda" and find_spec("triton") is None:
        return _without(network, plan, mark("the package triton is missing"), say)
    say(mark("Compiling the network for this processor: it takes a minute or two, and steps are faster then."))
    from torch._dynamo.exc import TorchDynamoException

    faster = cast(nn.Module, torch.compile(network, dynamic=False))
    size = plan.recipe.augmentation.size
    shape = (pictures, network.config.channels, size, size)
    buffers = Buffers(network)
    buffers.keep()
    try:
        # Here instead of at the first step, where a failure would look like one of training.
        pass_through(faster, shape, device, precision)
    except TorchDynamoException as error:
        return _without(network, plan, _first_line(error), say)
    finally:
        buffers.restore()
        network.zero_grad(set_to_none=True)
    return faster


def _pays(network: Network, plan: Plan, device: torch.device, steps: int) -> bool:
    config, recipe = network.config, plan.recipe
    measured = config.family == "RetinaFace" and config.architecture.startswith("mobilenet") and device.type == "cpu"
    return measured and steps * recipe.batch * recipe.augmentation.size**2 >= WORTH_IT


def _without(network: Network, plan: Plan, reason: str, say: Callable[[str], None]) -> Network:
    if plan.compile == "yes":
        raise EngineFailed(
            mark("The network can't be compiled: {reason}."), mark("Leave out “--compile yes”."), reason=reason
        )
    say(mark("The network is not compiled: {reason}.").format(reason=reason))
    return network


def _first_line(error: BaseException) -> str:
    """What *error* says first, of the many lines that a compiler may have said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
