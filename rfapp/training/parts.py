"""What of a network stays as it is while the rest learns: whole parts, or the statistics of batch norm."""

from __future__ import annotations

from torch import nn

from rfapp.models.networks import Network
from rfapp.weights.parts import belongs, check_parts


def learn_only(network: Network, parts: tuple[str, ...]) -> None:
    """Let only the *parts* of *network* learn ("LandmarkHead", "body.stage1"); () for all of them.

    All others, and the statistics of their batch norm, stay as they are. Whoever puts the network into training mode
    again has to call this again. Raises UsageError where it has no such part.
    """
    if not parts:
        return
    check_parts(network, parts)
    for name, parameter in network.named_parameters():
        if not belongs(name, parts):
            parameter.requires_grad_(False)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and not belongs(name, parts):
            module.eval()


def fix_norm(network: Network) -> None:
    """Let every batch norm go on with the mean and variance that it has; its weight and bias learn as before.

    Whoever puts the network into training mode again has to call this again.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
