"""Parts of a network by their names: whole ones ("fpn", "ClassHead") and parts of those ("body.stage1")."""

from __future__ import annotations

from collections.abc import Sequence

from rfapp.errors import UsageError
from rfapp.models.networks import Network
from rfapp.text import mark


def check_parts(network: Network, parts: Sequence[str]) -> None:
    """Raises UsageError where *network* has no part of one of these names."""
    names = {name for name, _ in network.named_modules() if name}
    for part in parts:
        if part not in names:
            raise UsageError(
                mark("{architecture} has no part “{part}”."),
                mark("Its parts are: {names}."),
                architecture=network.config.architecture,
                part=part,
                names=", ".join(name for name, _ in network.named_children()),
            )


def belongs(name: str, parts: Sequence[str]) -> bool:
    """Whether the module, parameter or buffer *name* is one of *parts* or in one of them."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)
