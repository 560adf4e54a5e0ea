"""Training some parts of a network alone: all others, and the statistics of their batch norm, stay as they are."""

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
            for module in child.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
