"""What of a network stays as it is while the rest learns: whole parts, or the statistics of batch norm."""

from __future__ import annotations

from torch import nn

from rfapp.errors import UsageError
from rfapp.models.networks import Network
from rfapp.text import mark


def learn_only(network: Network, parts: tuple[str, ...]) -> None:
    """Let only the direct children of *network* that *parts* name learn; () for all of them.

    Whoever puts the network into training mode again has to call this again. Raises UsageError where it has no such
    part.
    """
    if not parts:
        return
    children = dict(network.named_children())
    for part in parts:
        if part not in children:
            raise UsageError(
                mark("{architecture} has no part “{part}”."),
                mark("Its parts are: {names}."),
                architecture=network.config.architecture,
                part=part,
                names=", ".join(children),
            )
    for name, child in children.items():
        if name not in parts:
            child.requires_grad_(False)
            fix_norm(child)


def fix_norm(network: nn.Module) -> None:
    """Let every batch norm go on with the mean and variance that it has; its weight and bias learn as before.

    Whoever puts the network into training mode again has to call this again.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
