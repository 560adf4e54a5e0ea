"""Where a network is trained, in which precision, and how much fits there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rfapp.engines.torch_engine import choose_device, cpu_has_bfloat16
from rfapp.errors import SettingsError
from rfapp.models.networks import Network
from rfapp.text import mark
from rfapp.training.world import World

log = logging.getLogger(__name__)

#: More loading processes than these are of no use.
MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Precision:
    """``mixed``: convolutions run in ``dtype``, and all else in float32. ``scaled``: the loss is scaled up, because the
    range of float16 is too small for gradients."""

    name: str
    dtype: torch.dtype
    mixed: bool
    scaled: bool = False


_PRECISIONS = {
    "float32": Precision("float32", torch.float32, False),
    "bfloat16": Precision("bfloat16", torch.bfloat16, True),
    "float16": Precision("float16", torch.float16, True, scaled=True),
}


def choose(asked: str, precision: str, world: World) -> tuple[torch.device, Precision]:
    """The device that *asked* means (of several processes each gets its own graphics card), and the precision: "auto"
    is bfloat16 where the device multiplies it by itself, else float16 on a graphics card and float32 on a CPU.

    Raises DeviceMissing or SettingsError.
    """
    device, notes = choose_device(asked)
    for note in notes:
        log.warning("%s", note)
    if device.type == "cuda":
        device = torch.device("cuda", world.local % torch.cuda.device_count())
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # all batches have one size
    if precision == "auto":
        precision = _automatic(device)
    if precision not in _PRECISIONS:
        raise SettingsError(
            mark("A network can't be trained in {precision}."),
            mark("Choose auto, float32, bfloat16 or float16."),
            precision=precision,
        )
    if precision == "float16" and device.type != "cuda":
        raise SettingsError(mark("float16 is for NVIDIA graphics cards."), mark("Choose the precision auto."))
    return device, _PRECISIONS[precision]


def _automatic(device: torch.device) -> str:
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if device.type == "cpu" and cpu_has_bfloat16() else "float32"


def worker_count(asked: int) -> int:
    """*asked*, or for −1 one for each core but the trainer's own, at most 8."""
    if asked >= 0:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores - 1)


@contextmanager
def threads_kept() -> Iterator[None]:
    """Within, a detector may change how many threads torch uses; afterwards there are as many as before."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def largest_part(network: Network, failed: int, size: int, device: torch.device, precision: Precision) -> int:
    """How many pictures go through *network* and back at once: tries halves of *failed*; 0 for not even one."""
    network.zero_grad(set_to_none=True)
    count = failed // 2
    while count >= 1:
        if _fits(network, count, size, device, precision):
            return count
        count //= 2
    return 0


def _fits(network: Network, count: int, size: int, device: torch.device, precision: Precision) -> bool:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        pass_through(network, (count, network.config.channels, size, size), device, precision)
    except torch.OutOfMemoryError:
        return False
    finally:
        network.zero_grad(set_to_none=True)
    return True


def pass_through(
    network: nn.Module, shape: tuple[int, int, int, int], device: torch.device, precision: Precision
) -> None:
    """Grey pictures of *shape* (B, channels, H, W) through *network* and back: there are gradients then, and batch
    norm has seen them."""
    with torch.autocast(device.type, precision.dtype, enabled=precision.mixed):
        outputs: tuple[Tensor | None, ...] = network(torch.zeros(shape, device=device))
    told = [output for output in outputs if output is not None and output.numel()]
    torch.autograd.backward([output.float().square().mean() for output in told])
