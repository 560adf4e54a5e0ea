"""All that decides a training run, as it stands in ``run.toml``. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfapp.errors import UsageError
from rfapp.text import mark
from rfapp.training.recipes import RECIPES, Recipe

#: What may change when a run is gone on with: it decides how fast it is, not what it computes (but for rounding).
_FREE = ("device", "workers", "compile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``data``: labelled pictures, and ``negatives``: folders of pictures without faces. ``validation``: labelled
    pictures that are held out; "" holds out a twentieth of the data, "none" nothing.

    ``model``: the architecture. ``init``: first weights: the name of a model, a checkpoint of a whole network or of its
    trunk (ImageNet), or "" for chance. ``former``: the weights that the recipe's ``keep`` holds on to, "" for the first
    ones. ``device``, and ``precision``: auto, float32, bfloat16 or float16. ``workers``:
    processes that load pictures (0: none but the trainer; −1: one for each further core, at most 8). ``accumulate``: in
    how many parts a step's batch goes through the network, where it does not fit whole. ``compile``: see
    :mod:`rfapp.training.compiling`.
    """

    data: tuple[Path, ...]
    recipe: Recipe
    negatives: tuple[Path, ...] = ()
    validation: str = ""
    model: str = "mobilenet0.25"
    init: str = ""
    former: str = ""
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = -1
    accumulate: int = 1
    compile: bool = False

    def __post_init__(self) -> None:
        if self.model not in RECIPES:
            raise UsageError(
                mark("“{model}” can't be trained."),
                mark("Known are: {names}."),
                model=self.model,
                names=", ".join(RECIPES),
            )
        if self.accumulate < 1 or self.recipe.batch % self.accumulate:
            raise UsageError(
                mark("A batch of {batch} pictures can't be divided into {parts} equal parts."),
                mark("Choose another --accumulate or --batch."),
                batch=self.recipe.batch,
                parts=self.accumulate,
            )

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for TOML; paths are absolute, so that the run can be repeated from anywhere."""
        former = {"former": _absolute(self.former)} if self.former else {}
        return {
            "data": [str(path.absolute()) for path in self.data],
            "negatives": [str(path.absolute()) for path in self.negatives],
            "validation": _absolute(self.validation),
            "model": self.model,
            "init": _absolute(self.init),
            **former,
            "seed": self.seed,
            "device": self.device,
            "precision": self.precision,
            "workers": self.workers,
            "accumulate": self.accumulate,
            "compile": self.compile,
            "recipe": self.recipe.to_mapping(),
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Plan:
        """The plan of a ``run.toml``; keys that are not the plan's are passed over. Raises KeyError, TypeError or
        ValueError where *values* are none."""
        return cls(
            data=tuple(Path(item) for item in values["data"]),
            negatives=tuple(Path(item) for item in values["negatives"]),
            recipe=Recipe.from_mapping(values["recipe"]),
            former=values.get("former", ""),
            compile=values.get("compile", False),
            **{name: values[name] for name in _PLAIN},
        )

    def differs_from(self, other: Mapping[str, Any]) -> str:
        """The first thing in which the run of *other* (a ``run.toml``) computes something else, or ""."""
        mine = {"former": "", **self.to_mapping()}
        other = {"former": "", **other}
        for name, value in mine.items():
            if name == "recipe":
                theirs = other.get(name)
                theirs = theirs if isinstance(theirs, dict) else {}
                for key in sorted(value.keys() | theirs.keys()):
                    if value.get(key) != theirs.get(key):
                        return str(key).replace("_", " ")
            elif name not in _FREE and value != other.get(name):
                return name
        return ""


_PLAIN = ("validation", "model", "init", "seed", "device", "precision", "workers", "accumulate")


def _absolute(name: str) -> str:
    """Names of models stay; what is a file or folder here is told by its whole path."""
    return str(Path(name).absolute()) if name and Path(name).exists() else name
