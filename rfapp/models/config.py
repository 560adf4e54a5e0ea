"""What describes a network beside its numbers: frozen, comparable, without torch.

The values of :data:`MOBILENET_025` and :data:`RESNET50` are those of the published RetinaFace configurations
(biubug6/Pytorch_Retinaface, ``data/config.py``: ``cfg_mnet`` and ``cfg_re50``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ChannelOrder = Literal["BGR", "RGB"]


#: Wider pyramid and context modules use plain ReLU.
_WIDEST_LEAKY = 64


def leaky_for(out_channels: int, slope: float) -> float:
    """The slope of pyramid and context modules of this width: *slope* up to 64 channels, 0 above."""
    return slope if out_channels <= _WIDEST_LEAKY else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One architecture and how it wants its input.

    ``backbone`` names the trunk; ``in_channel`` is the unit of the feature pyramid's input widths (2, 4 and 8 times
    it), ``out_channel`` the pyramid's own width. ``return_layers`` are the children of the trunk whose outputs go
    into the pyramid, finest first. ``min_sizes`` (pixels, per level) and ``steps`` (the level's stride in pixels)
    lay out the priors; ``variance`` scales the deltas of centre and size. ``means`` are subtracted from the 0…255
    values in ``channel_order``. ``slope`` is the leaky ReLU's slope below zero in MobileNet trunks and in pyramid
    and context modules of at most 64 channels (0: plain ReLU): no checkpoint says it, so it belongs here.
    """

    architecture: str
    backbone: Literal["mobilenet0.25", "resnet50"]
    in_channel: int
    out_channel: int
    return_layers: tuple[str, ...]
    min_sizes: tuple[tuple[int, ...], ...] = ((16, 32), (64, 128), (256, 512))
    steps: tuple[int, ...] = (8, 16, 32)
    variance: tuple[float, float] = (0.1, 0.2)
    clip: bool = False
    means: tuple[float, float, float] = (104.0, 117.0, 123.0)
    channel_order: ChannelOrder = "BGR"
    slope: float = 0.0

    @property
    def pyramid_slope(self) -> float:
        """The leaky ReLU's slope in pyramid and context modules: wide ones use plain ReLU."""
        return leaky_for(self.out_channel, self.slope)

    @property
    def anchors_per_cell(self) -> int:
        """How many priors stand on each cell of a feature map."""
        return len(self.min_sizes[0])

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for a manifest; :meth:`from_mapping` reads them back."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The configuration of the architecture named in *values*, with what else they say.

        Raises ValueError for an unknown architecture or key, or a value of the wrong kind.
        """
        architecture = values.get("architecture")
        if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture {architecture!r}")
        base = ARCHITECTURES[architecture]
        known = {field.name for field in dataclasses.fields(cls)}
        changes: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"unknown key {key!r} in the configuration of {architecture}")
            changes[key] = _like(getattr(base, key), value, key)
        return dataclasses.replace(base, **changes)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _like(pattern: Any, value: Any, key: str) -> Any:
    """*value*, read from TOML or JSON, in the type of *pattern*."""
    if isinstance(pattern, tuple) and isinstance(value, list | tuple) and value:
        return tuple(_like(pattern[0], item, key) for item in value)
    if isinstance(pattern, float) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is type(pattern):
        return value
    raise ValueError(f"{key} can't be {value!r}")


MOBILENET_025 = ModelConfig(
    architecture="mobilenet0.25",
    backbone="mobilenet0.25",
    in_channel=32,
    out_channel=64,
    return_layers=("stage1", "stage2", "stage3"),
    slope=0.1,
)

RESNET50 = ModelConfig(
    architecture="resnet50",
    backbone="resnet50",
    in_channel=256,
    out_channel=256,
    return_layers=("layer2", "layer3", "layer4"),
)

ARCHITECTURES: dict[str, ModelConfig] = {config.architecture: config for config in (MOBILENET_025, RESNET50)}
