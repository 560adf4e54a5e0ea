"""Weights between those of two models of one network: some of either.

After WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022), which so goes back part of the way
from what a good network became by fine-tuning: in all of it or in some parts, for it does not forget alike everywhere.

What is mixed are the numbers with each batch norm folded into its convolution, because those of a folded network and of
one that a training has unfolded (:func:`rfapp.training.initial.unfold`) do not mean the same as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rfapp.errors import SettingsError, UsageError
from rfapp.frames import Detections
from rfapp.models.config import ModelConfig
from rfapp.models.folding import folded, normed_convolutions
from rfapp.text import mark
from rfapp.weights import checkpoints
from rfapp.weights.importing import Doubts, Draft, Imported, enter
from rfapp.weights.manifest import Model
from rfapp.weights.onnx_graph import identity_norm
from rfapp.weights.parts import belongs, check_parts

_DOUBTS = Doubts(
    none=mark("The mixed weights find no face in the built-in picture: the two models have too little in common."),
    several=mark(
        "The mixed weights find {count} faces in the built-in picture, which shows one: "
        "the two models have too little in common."
    ),
)


def mix_weights(
    first: Model,
    second: Model,
    share: float,
    *,
    only: Sequence[str] = (),
    name: str,
    try_out: Callable[[Model], Detections],
    folder: Path | None = None,
    force: bool = False,
) -> Imported:
    """Make a model *name* of :func:`mix`, try it on the built-in picture, and enter it into the manifest of *folder*.

    *try_out* and *folder* are those of :func:`rfapp.weights.import_weights`. Raises as :func:`mix` does, or
    OutputExists where the name is taken and *force* is not given.
    """
    draft = Draft(
        state=mix(first, second, share, only),
        config=first.config,
        folded=True,
        name=name,
        title=f"{first.config.family} {first.config.architecture}, {name}",
        origin=_origin(first, second, share, only),
        licence="; ".join(dict.fromkeys([*_clauses(first.licence), *_clauses(second.licence)])),
    )
    return enter(draft, doubts=_DOUBTS, try_out=try_out, folder=folder, force=force)


def _origin(first: Model, second: Model, share: float, only: Sequence[str]) -> str:
    if only:
        return f"{_named(first)}, in {', '.join(only)} {share:.4g} of {_named(second)}"
    return f"{1 - share:.4g} × {_named(first)} + {share:.4g} × {_named(second)}"


def _named(model: Model) -> str:
    return f"{model.name} ({model.origin})" if model.origin else model.name


def mix(first: Model, second: Model, share: float, only: Sequence[str] = ()) -> dict[str, Tensor]:
    """The state dict (1 − *share*) · *first* + *share* · *second*, float32, of a network whose batch norm is folded.

    With *only*, the names of parts ("fpn", "body.stage1", "ClassHead.0"), all other parts are those of *first*. Folded
    and mixed in float64, so that one rounding to float32 is the only one. Raises SettingsError where *share* is not
    between 0 and 1 (1 itself is allowed with *only*: those parts are the second's), UsageError where the configurations
    differ or there is no such part, or WeightsError.
    """
    if not (0 < share < 1 or (share == 1 and only)):
        raise SettingsError(
            mark("{share} is no share of the second model's weights."),
            mark("Give a number between 0 and 1."),
            share=share,
        )
    differences = ", ".join(_differences(first.config, second.config))
    if differences:
        raise UsageError(
            mark("{first} and {second} can't be mixed, because they differ in {differences}."),
            mark("Give two models of one network."),
            first=first.name,
            second=second.name,
            differences=differences,
        )
    network = checkpoints.build(first)
    check_parts(network, only)
    one, other = _folded_state(network), _folded_state(checkpoints.build(second))
    mixed: dict[str, Tensor] = {}
    for name, tensor in one.items():
        mixed[name] = tensor
        if tensor.is_floating_point():
            here = share if not only or belongs(name, only) else 0.0
            mixed[name] = ((1 - here) * tensor.double() + here * other[name].double()).float()
    return mixed


def _differences(one: ModelConfig, other: ModelConfig) -> Iterator[str]:
    """What is not the same in both, with both values; the rest of another architecture follows from it."""
    for field in dataclasses.fields(ModelConfig):
        values = getattr(one, field.name), getattr(other, field.name)
        if values[0] != values[1]:
            yield f"{field.name} ({values[0]} / {values[1]})"
            if field.name == "architecture":
                return


@torch.no_grad()
def _folded_state(network: nn.Module) -> dict[str, Tensor]:
    """The numbers of *network*, each batch norm folded as importing writes it; what was folded is float64."""
    state: dict[str, Tensor] = dict(network.state_dict())
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for before, convolution, name, norm in normed_convolutions(network):
        assert convolution.bias is None
        state[f"{before}.weight"], bias = folded(convolution, norm)
        state |= identity_norm(name, bias)
        norms.remove(name)
    assert not norms, f"no convolution stands before {sorted(norms)}"
    return state


def _clauses(licence: str) -> Iterator[str]:
    """What *licence* is put together of by semicolons; those in brackets are left alone."""
    start = depth = 0
    for place, character in enumerate(licence):
        depth += (character == "(") - (character == ")")
        if character == ";" and depth == 0:
            yield licence[start:place].strip()
            start = place + 1
    if rest := licence[start:].strip():
        yield rest
