"""What describes a network beside its numbers: frozen, comparable, without torch.

The values of :data:`MOBILENET_025` and :data:`RESNET50` are those of the published RetinaFace configurations
(biubug6/Pytorch_Retinaface, ``data/config.py``: ``cfg_mnet`` and ``cfg_re50``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: What the network is fed. GRAY is one plane, the luma of the picture.
ChannelOrder = Literal["BGR", "RGB", "GRAY"]
Backbone = Literal["mobilenet0.25", "mobilenet0.5", "mobilenet1.0", "resnet18", "resnet50", "resnet152"]
Family = Literal["RetinaFace", "AInnoFace"]

#: Luma out of blue, green and red (ITU-R BT.601), as OpenCV and JPEG have it.
LUMA_BGR = (0.114, 0.587, 0.299)


#: Wider pyramid and context modules use plain ReLU.
_WIDEST_LEAKY = 64


def leaky_for(out_channels: int, slope: float) -> float:
    """The slope of pyramid and context modules of this width: *slope* up to 64 channels, 0 above."""
    return slope if out_channels <= _WIDEST_LEAKY else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One architecture and how it wants its input.

    ``backbone`` names the trunk; ``in_channel`` is the unit of the feature pyramid's input widths (2, 4 and 8 times
    it, in AInnoFace also 1), ``out_channel`` the pyramid's own width. ``return_layers`` are the children of the trunk
    whose outputs go into the pyramid, finest first. ``min_sizes`` (pixels, per level) and ``steps`` (the level's stride
    in pixels) lay out the priors; ``variance`` scales the deltas of centre and size. A prior stands in the middle of
    its cell, or ``prior_offset`` pixels (if not 0) from the cell's upper left corner. ``inclusive``: a box from x1 to
    x2 is x2 − x1 + 1 wide. ``means`` are subtracted from the 0…255 values in ``channel_order``. ``slope`` is the leaky
    ReLU's slope below zero in MobileNet trunks and in pyramid and context modules of at most 64 channels (0: plain
    ReLU): no checkpoint says it, so it belongs here.

    ``family`` says which network it is. ``landmarks``: whether it tells the five points. The rest is AInnoFace's.
    ``stds``: what the network divides the centred values by. ``prior_scales``, sizes over the level's stride, take the
    place of ``min_sizes``, and ``aspect`` is those priors' height over their width. ``max_out``: of how many scores for
    face and for background the highest counts. ``stc_levels`` of the finest levels classify in two steps, and what the
    first step takes for background with more than ``filter_threshold`` is dropped from the second; ``str_levels`` of
    the coarsest regress in two steps.
    """

    architecture: str
    backbone: Backbone
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
    prior_offset: float = 0.0
    inclusive: bool = False
    family: Family = "RetinaFace"
    landmarks: bool = True
    stds: tuple[float, float, float] = (1.0, 1.0, 1.0)
    prior_scales: tuple[float, ...] = ()
    aspect: float = 1.0
    max_out: tuple[int, int] = (1, 1)
    stc_levels: int = 0
    str_levels: int = 0
    filter_threshold: float = 0.99

    def __hash__(self) -> int:
        # Asked for with every picture, and of all values it takes 10 µs: the few of one architecture are told by ==.
        return hash(self.architecture)

    @property
    def channels(self) -> int:
        """How many planes the network is fed."""
        return 1 if self.channel_order == "GRAY" else 3

    @property
    def pyramid_slope(self) -> float:
        """The leaky ReLU's slope in pyramid and context modules: wide ones use plain ReLU."""
        return leaky_for(self.out_channel, self.slope)

    @property
    def anchors_per_cell(self) -> int:
        """How many priors stand on each cell of a feature map."""
        return len(self.prior_scales or self.min_sizes[0])

    @property
    def numbers_per_prior(self) -> int:
        """What the network tells of each prior: a score, four box deltas, and ten of landmarks if it has them."""
        return 15 if self.landmarks else 5

    @property
    def live(self) -> bool:
        """Whether the network is meant for moving pictures; others are accurate, and take seconds for a picture."""
        return self.family == "RetinaFace"

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for a manifest; :meth:`from_mapping` reads them back."""
        usual = ARCHITECTURES.get(self.architecture, self)
        return {
            key: _plain(value)
            for key, value in dataclasses.asdict(self).items()
            if key not in _LEFT_OUT or value != _LEFT_OUT[key] or getattr(usual, key) != value
        }

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


#: What files leave out where it has this value, the usual one: they say the same bytes as before these came.
_LEFT_OUT: dict[str, Any] = {
    "prior_offset": 0.0,
    "inclusive": False,
    "family": "RetinaFace",
    "landmarks": True,
    "stds": (1.0, 1.0, 1.0),
    "prior_scales": (),
    "aspect": 1.0,
    "max_out": (1, 1),
    "stc_levels": 0,
    "str_levels": 0,
    "filter_threshold": 0.99,
}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _like(pattern: Any, value: Any, key: str) -> Any:
    """*value*, read from TOML or JSON, in the type of *pattern*."""
    if isinstance(pattern, tuple) and isinstance(value, list | tuple) and bool(pattern) == bool(value):
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

#: As yakhyo/retinaface-pytorch trains them (``config.py``), and so is ResNet-18.
MOBILENET_05 = dataclasses.replace(
    MOBILENET_025, architecture="mobilenet0.5", backbone="mobilenet0.5", in_channel=64, out_channel=128
)
MOBILENET_1 = dataclasses.replace(
    MOBILENET_025, architecture="mobilenet1.0", backbone="mobilenet1.0", in_channel=128, out_channel=128
)
RESNET18 = dataclasses.replace(RESNET50, architecture="resnet18", backbone="resnet18", in_channel=64, out_channel=128)

#: insightface's mnet.25: the same layers with plain ReLU, its own input, priors and boxes (deepinsight/insightface,
#: ``detection/retinaface``: generate_anchor and nonlinear_pred).
MNET_025 = dataclasses.replace(
    MOBILENET_025,
    architecture="mnet0.25",
    slope=0.0,
    means=(0.0, 0.0, 0.0),
    channel_order="RGB",
    variance=(1.0, 1.0),
    prior_offset=7.5,
    inclusive=True,
)
MNET_025_GRAY = dataclasses.replace(MNET_025, architecture="mnet0.25-gray", channel_order="GRAY")

#: "Accurate Face Detection for High Performance" (Zhang et al., arXiv 1905.01585) on the two-step network of SRN (Chi
#: et al., AAAI 2019); priors, levels and the filter are those of ChiCheng123/SRN (``config/config.json``).
AINNOFACE = ModelConfig(
    architecture="ainnoface",
    family="AInnoFace",
    backbone="resnet152",
    in_channel=256,
    out_channel=256,
    return_layers=("layer1", "layer2", "layer3", "layer4"),
    min_sizes=(),
    steps=(4, 8, 16, 32, 64, 128),
    prior_scales=(2.0, 2.0 * 2.0**0.5),
    aspect=1.25,
    variance=(1.0, 1.0),
    means=(123.675, 116.28, 103.53),
    stds=(58.395, 57.12, 57.375),
    channel_order="RGB",
    max_out=(3, 3),
    stc_levels=3,
    str_levels=3,
)
AINNOFACE_R50 = dataclasses.replace(AINNOFACE, architecture="ainnoface-r50", backbone="resnet50")
#: A quarter of the heads' width, for trials on small computers.
AINNOFACE_R18 = dataclasses.replace(
    AINNOFACE, architecture="ainnoface-r18", backbone="resnet18", in_channel=64, out_channel=64
)

ARCHITECTURES: dict[str, ModelConfig] = {
    config.architecture: config
    for config in (
        *(MOBILENET_025, MOBILENET_05, MOBILENET_1, RESNET18, RESNET50, MNET_025, MNET_025_GRAY),
        *(AINNOFACE, AINNOFACE_R50, AINNOFACE_R18),
    )
}
