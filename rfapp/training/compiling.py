"""A network translated for the processor by ``torch.compile``: other steps, for a minute or more at the beginning.

Only where it is asked for, because it has not been seen to pay: forward and backward of mobilenet0.25 take 0.84 of the
time (sixteen pictures of 416 px, bfloat16, two cores), but whole steps, beside the process that loads pictures, take
1.1 of it. It needs a C++ compiler, which few computers have.
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


def compiled(
    network: Network,
    plan: Plan,
    device: torch.device,
    precision: Precision,
    *,
    pictures: int,
    say: Callable[[str], None],
) -> nn.Module:
    """*network*, or, where the plan says ``compile``, what computes the same with the same weights.

    *pictures*: how many there are at a time. Raises EngineFailed where it can't be done.
    """
    if not plan.compile:
        return network
    if getattr(sys, "frozen", False):
        raise _failed(mark("the installed app has no compiler"))
    if device.type == "cuda" and find_spec("triton") is None:
        raise _failed(mark("the package triton is missing"))
    say(mark("Compiling the network for this processor: it takes a minute or two."))
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
        raise _failed(_first_line(error)) from error
    finally:
        buffers.restore()
        network.zero_grad(set_to_none=True)
    return faster


def _failed(reason: str) -> EngineFailed:
    return EngineFailed(mark("The network can't be compiled: {reason}."), mark("Leave out “--compile”."), reason=reason)


def _first_line(error: BaseException) -> str:
    """What *error* says first, of the many lines that a compiler may have said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
