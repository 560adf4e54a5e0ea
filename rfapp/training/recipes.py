"""How a network is trained, as data: everything but the pictures, the first weights and the computer.

``published`` is what the authors of RetinaFace's PyTorch version trained with (biubug6/Pytorch_Retinaface, ``train.py``
and ``data/config.py``), for AInnoFace what is known of the papers' schedule; ``quick`` gets most of that on a laptop in
an hour or two. Knows no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from rfapp.errors import SettingsError
from rfapp.text import mark
from rfapp.training.augmentation import WIDE_SCALES, Augmentation

Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "step"]
BoxLoss = Literal["smooth_l1", "iou", "giou", "log_iou"]
ClassLoss = Literal["mined", "focal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers of a training.

    Length: ``epochs``, or ``steps`` where that is not 0; ``batch`` pictures a step. ``validations``: how often the
    average precision is measured, evenly over the run, the last time at its end.

    Optimiser: ``learning_rate`` is reached after ``warmup`` steps (a tenth of the run at most), and then falls as a
    cosine to 0 or, with "step", to a tenth at each of ``milestones`` (shares of the run). ``decay_all``:
    ``weight_decay`` also pulls at biases and batch norm. ``clip``: the largest norm of the gradient, 0 for any.
    ``ema``: how much of the running mean of the weights stays at each step; that mean is what is validated and saved
    (0: the weights themselves).

    Targets: a prior is to find a face from ``overlap`` on, and nothing below ``background`` (0: the same number);
    between the two it is ignored; a face that no prior overlaps so well gets its best one, from ``forced`` on, and is
    background if that overlaps less. In networks of two steps that is the second one, and the first one has
    ``first_overlap`` and ``first_background``. ``negatives`` background priors are compared for each
    positive one of a picture, ``least_negatives`` at least. ``landmark_weight``: what the landmarks' loss counts for in
    the sum, the boxes' being 2 and the classes' 1 (networks of two steps have weights of their own). ``keep``: what a
    change against the first weights costs (:mod:`rfapp.training.keeping`), 0 for nothing. ``only``: the parts of the
    network that learn, all others stay as they are; () for all. ``fixed_norm``: batch norm keeps the mean and variance
    of the first weights instead of taking each batch's. ``empty``: the share of pictures without faces, where there
    are any.
    """

    name: str
    batch: int
    learning_rate: float
    epochs: int = 0
    steps: int = 0
    validations: int = 10
    optimiser: Optimiser = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_all: bool = False
    schedule: Schedule = "cosine"
    milestones: tuple[float, ...] = ()
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0
    box_loss: BoxLoss = "smooth_l1"
    class_loss: ClassLoss = "mined"
    overlap: float = 0.35
    background: float = 0.0
    forced: float = 0.2
    first_overlap: float = 0.7
    first_background: float = 0.3
    negatives: int = 7
    least_negatives: int = 0
    landmark_weight: float = 1.0
    keep: float = 0.0
    only: tuple[str, ...] = ()
    fixed_norm: bool = False
    empty: float = 0.1
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(
                    mark("The recipe's {name} must be between {low} and {high}, not {value}."),
                    name=name.replace("_", " "),
                    low=low,
                    high=high,
                    value=value,
                )
        if not self.epochs and not self.steps:
            raise SettingsError(mark("A recipe needs a number of epochs or of steps."))
        size = self.augmentation.size
        if size % 32 or not 64 <= size <= 4096:  # in 32 px batch norm would see a single value
            raise SettingsError(
                mark("The size of training pictures must be a multiple of 32 from 64 to 4096, not {size}."), size=size
            )
        scales = self.augmentation.scale_range or self.augmentation.scales
        wrong = [scale for scale in scales if not _LEAST_SCALE <= scale <= _MOST_SCALE]
        if wrong or not scales:
            raise SettingsError(
                mark("The squares of training pictures must be between {low} and {high} short sides, not {value}."),
                low=_LEAST_SCALE,
                high=_MOST_SCALE,
                value=wrong[0] if wrong else "–",
            )

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for ``run.toml``; what is not set (a scale range, say) is left out."""
        values: dict[str, Any] = _plain(dataclasses.asdict(self))
        return {key: value for key, value in values.items() if key not in _LEFT_OUT or value != _LEFT_OUT[key]}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises ValueError where *values* are no recipe."""
        recipe: Recipe = _read(cls, values)
        return recipe


#: What ``run.toml`` leaves out where it is as usual, so that runs from before these came go on.
_LEFT_OUT = {
    "landmark_weight": 1.0,
    "keep": 0.0,
    "only": [],
    "fixed_norm": False,
    "background": 0.0,
    "forced": 0.2,
    "first_overlap": 0.7,
    "first_background": 0.3,
}

_LEAST_SCALE, _MOST_SCALE = 0.05, 10.0

_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("batch", 1, 4096),
    ("learning_rate", 0, 10),
    ("epochs", 0, 100_000),
    ("steps", 0, 10_000_000),
    ("validations", 0, 10_000),
    ("momentum", 0, 0.9999),
    ("weight_decay", 0, 1),
    ("warmup", 0, 10_000_000),
    ("clip", 0, 1e6),
    ("ema", 0, 0.99999),
    ("overlap", 0.05, 0.95),
    ("background", 0, 0.95),
    ("forced", 0.01, 0.95),
    ("first_overlap", 0.05, 0.95),
    ("first_background", 0, 0.95),
    ("negatives", 0, 1000),
    ("least_negatives", 0, 100_000),
    ("landmark_weight", 0, 100),
    ("keep", 0, 1000),
    ("empty", 0, 0.9),
)


#: The type of a recipe's field of names, among those of numbers.
_NAMES = "tuple[str, ...]"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _read(kind: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name == "augmentation":
            given[name] = _read(Augmentation, value)
        elif isinstance(value, list):
            given[name] = tuple(value if fields[name].type == _NAMES else map(float, value))
        else:
            given[name] = _like(fields[name], value)
    try:
        return kind(**given)
    except (SettingsError, TypeError) as error:
        raise ValueError(str(error)) from None


def _like(field: dataclasses.Field[Any], value: Any) -> Any:
    """*value* of TOML in the type of *field*: whole numbers may stand for others, nothing else changes its kind."""
    wanted = str(field.type)
    choices = {"Optimiser": Optimiser, "Schedule": Schedule, "BoxLoss": BoxLoss, "ClassLoss": ClassLoss}.get(wanted)
    if choices is not None and value in get_args(choices):
        return value
    if wanted == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if choices is None and type(value).__name__ == wanted:
        return value
    raise ValueError(f"{field.name} can't be {value!r}")


_PUBLISHED_MOBILENET = Recipe(
    name="published",
    epochs=250,
    batch=32,
    learning_rate=1e-3,
    decay_all=True,
    schedule="step",
    milestones=(190 / 250, 220 / 250),
    validations=25,
    augmentation=Augmentation(size=640),
)

# With the published 0.2 a face below 7.2 px (its area is a fifth of the smallest prior's) would be taught to be
# background: one in nine of those that these crops show, one in five in wider ones.
_SMALL_FACES_TOO = 0.05

# With the published weight the gradient of landmarks is twice that of boxes and classes together: in a short run they
# take what faces need to be found (average precision after a tenth of it 71, 58, 28 instead of 79, 72, 41).
_QUICK_MOBILENET = Recipe(
    name="quick",
    steps=8300,
    batch=16,
    learning_rate=0.03,
    warmup=200,
    clip=20.0,
    ema=0.998,
    least_negatives=64,
    forced=_SMALL_FACES_TOO,
    landmark_weight=0.2,
    augmentation=Augmentation(size=416, scale_range=(0.3, 1.3), least=6.0),
)

# Good weights stay good with their own batch norm, small steps of AdamW, and squares large enough to show faces of
# 256 px and more: those of 416 px have too few of them, so that what is learned of pets as large is learned of people,
# too (docs/training.md). Squares wider than their picture is high show faces as small as in a whole scene.
_FINE_TUNE_MOBILENET = replace(
    _QUICK_MOBILENET,
    name="fine-tune",
    steps=3000,
    batch=8,
    optimiser="adamw",
    learning_rate=1e-4,
    weight_decay=1e-4,
    fixed_norm=True,
    ema=0.999,
    empty=0.3,
    augmentation=Augmentation(size=640, scales=(0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.5, 1.8, 2.2), least=5.0),
)

#: What is known of the training of mnet.25 (deepinsight/insightface, ``detection/retinaface``), with our mining in
#: place of its 256 samples a picture.
_PUBLISHED_MNET = replace(
    _PUBLISHED_MOBILENET,
    epochs=80,
    learning_rate=0.01,
    milestones=(55 / 80, 68 / 80),
    validations=16,
    overlap=0.5,
    background=0.3,
)

_PUBLISHED_RESNET = replace(
    _PUBLISHED_MOBILENET,
    epochs=100,
    batch=24,
    milestones=(0.7, 0.9),
    validations=10,
    augmentation=Augmentation(size=864),  # published: 840, which is no multiple of the coarsest stride
)

_QUICK_RESNET = replace(_QUICK_MOBILENET, batch=8, learning_rate=0.005, ema=0.999)
# A sixtieth of the rate leaves what is known in place.
_FINE_TUNE_RESNET = replace(
    _QUICK_RESNET,
    name="fine-tune",
    steps=2000,
    learning_rate=0.0001,
    empty=0.3,
    augmentation=Augmentation(size=416, scale_range=(0.3, 1.8), least=5.0),
)

#: SRN's schedule (5 of 130 epochs of warm-up are 2000 steps of WIDER FACE), AInnoFace's losses, and its
#: data-anchor-sampling for every other picture.
_PUBLISHED_AINNOFACE = Recipe(
    name="published",
    epochs=130,
    batch=32,
    learning_rate=0.01,
    weight_decay=1e-4,
    schedule="step",
    milestones=(100 / 130, 120 / 130),
    warmup=2000,
    validations=26,
    box_loss="log_iou",
    class_loss="focal",
    overlap=0.5,
    background=0.4,
    augmentation=Augmentation(size=1024, scales=WIDE_SCALES, anchor_sampling=0.5),
)

_QUICK_AINNOFACE = replace(
    _PUBLISHED_AINNOFACE,
    name="quick",
    epochs=0,
    steps=4000,
    batch=8,
    optimiser="adamw",
    learning_rate=5e-4,
    schedule="cosine",
    milestones=(),
    warmup=200,
    clip=20.0,
    ema=0.998,
    validations=10,
    augmentation=Augmentation(size=320, scale_range=(0.3, 1.3), anchor_sampling=0.25, least=6.0),
)

_FINE_TUNE_AINNOFACE = replace(_QUICK_AINNOFACE, name="fine-tune", steps=2000, learning_rate=5e-5, ema=0.999, empty=0.3)

_MOBILENET = {"published": _PUBLISHED_MOBILENET, "quick": _QUICK_MOBILENET, "fine-tune": _FINE_TUNE_MOBILENET}
_MNET = {**_MOBILENET, "published": _PUBLISHED_MNET}
_RESNET = {"published": _PUBLISHED_RESNET, "quick": _QUICK_RESNET, "fine-tune": _FINE_TUNE_RESNET}
_AINNOFACE = {"published": _PUBLISHED_AINNOFACE, "quick": _QUICK_AINNOFACE, "fine-tune": _FINE_TUNE_AINNOFACE}

#: By architecture.
RECIPES: dict[str, dict[str, Recipe]] = {
    "mobilenet0.25": _MOBILENET,
    "mobilenet0.5": _MOBILENET,
    "mobilenet1.0": _MOBILENET,
    "mnet0.25": _MNET,
    "mnet0.25-gray": _MNET,
    "resnet18": _RESNET,
    "resnet50": _RESNET,
    "ainnoface": _AINNOFACE,
    "ainnoface-r50": _AINNOFACE,
    "ainnoface-r18": _AINNOFACE,
}


def recipe_for(name: str, architecture: str) -> Recipe:
    """The recipe *name* for networks of *architecture*. Raises SettingsError."""
    known = RECIPES.get(architecture, {})
    if name not in known:
        raise SettingsError(
            mark("There is no recipe “{name}” for {architecture}."),
            mark("Known are: {names}."),
            name=name,
            architecture=architecture,
            names=", ".join(known) or "–",
        )
    return known[name]
