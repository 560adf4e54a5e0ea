"""``rfapp train``: a network learns from labelled pictures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfapp.cli.main import DONE
from rfapp.cli.options import add_output_arguments

if TYPE_CHECKING:
    from rfapp.training.plan import Plan

#: Numbers of the recipe that have an option of their own, with their kind and what they are.
_RECIPE: tuple[tuple[str, type[int] | type[float], str], ...] = (
    ("batch", int, "pictures in a step"),
    ("epochs", int, "how often all pictures are gone through"),
    ("steps", int, "steps in all, instead of epochs"),
    ("learning_rate", float, "the highest learning rate"),
    ("weight_decay", float, "how strongly weights are drawn towards 0"),
    ("validations", int, "how often average precision is measured, evenly over the run"),
    ("background", float, "below this overlap with a face a prior is background; 0: as soon as it is none for a face"),
    ("landmark_weight", float, "what the loss of the landmarks counts for, beside 2 for boxes and 1 for classes"),
    ("keep", float, "how strongly what the first weights know is held on to, 0 for not at all"),
    ("empty", float, "share of pictures without faces, where there are any"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The folder RUN is a model: “rfapp detect --model RUN”. The same command goes on with a run that was stopped "
        "(Ctrl-C, a file “stop” in the folder) or killed."
    )
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, metavar="PATH", help="labelled pictures (may be repeated)")
    add("--negatives", type=Path, action="append", default=[], metavar="DIR", help="a folder of pictures without faces")
    add(
        "--validation",
        default="",
        metavar="PATH|none",
        help="labelled pictures to measure average precision on (default: one in twenty of the data is held out)",
    )
    add("--output", type=Path, required=True, metavar="RUN", help="the folder of the run")
    add("--model", default="mobilenet0.25", metavar="NAME", help="the network (default: mobilenet0.25)")
    add(
        "--init",
        default="",
        metavar="WEIGHTS",
        help="first weights: a model's name, a file, a run, or a trunk trained on ImageNet (default: chance)",
    )
    add("--recipe", default="quick", metavar="NAME", help="how: quick, fine-tune or published (default: quick)")
    for name, kind, text in _RECIPE:
        add(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=f"of the recipe: {text}")
    add(
        "--only",
        action="append",
        metavar="PART",
        help="of the recipe: a part (fpn, body.stage1) that learns alone (may be repeated)",
    )
    add("--optimiser", choices=("sgd", "adamw"), help="of the recipe: what takes the steps")
    add(
        "--fixed-norm",
        action=argparse.BooleanOptionalAction,
        help="of the recipe: batch norm keeps the mean and variance of the first weights",
    )
    add("--keep-of", default="", metavar="WEIGHTS", help="what --keep holds on to (default: the first weights)")
    add("--size", type=int, metavar="PX", help="of the recipe: side of the pictures that the network sees")
    add(
        "--scales",
        type=_numbers,
        metavar="S,S,…",
        help="of the recipe: which squares they show, as shares of a picture's short side (0.3,0.6,1,1.5)",
    )
    add("--seed", type=int, default=0, metavar="N", help="what chance begins with (default: 0)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="what trains (default: auto)")
    add(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="of convolutions (default: auto, what is fastest on the device)",
    )
    add(
        "--workers",
        type=int,
        default=-1,
        metavar="N",
        help="processes that load pictures (default: cores − 1, up to 8)",
    )
    add("--accumulate", type=int, default=1, metavar="N", help="parts that a batch is divided into to save memory")
    add("--compile", action="store_true", help="translate the network with torch.compile, which takes a minute or two")
    add("--save-every", type=float, default=60.0, metavar="S", help="seconds between two savings (default: 60)")
    add("--tensorboard", action="store_true", help="write the curves for TensorBoard, too (needs its package)")
    add_output_arguments(parser)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"numbers such as 0.3,1,1.5 are needed, not {text}") from None


def run(arguments: argparse.Namespace) -> int:
    from rfapp.engines import import_torch

    # Threads that wait by spinning take the processor from the one that they wait for as soon as anything else runs
    # beside the training: on two busy cores a step took 0.8 to 7 s. With short spins it takes 0.6 s there, and 0.31 s
    # instead of 0.27 s on idle ones. (GNU's OpenMP, which PyTorch for Linux uses.)
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    import_torch()
    from rfapp.training.trainer import train
    from rfapp.training.world import World

    first = World.from_environment().first
    quiet = arguments.quiet or not first
    outcome = train(
        _plan(arguments),
        arguments.output,
        say=(lambda line: None) if quiet else (lambda line: print(line, file=sys.stderr, flush=True)),
        save_every_s=arguments.save_every,
        tensorboard=arguments.tensorboard,
    )
    if first and arguments.json:
        values: dict[str, Any] = {"run": str(arguments.output), **asdict(outcome)}
        print(json.dumps(values, ensure_ascii=False))
    return DONE


def _plan(arguments: argparse.Namespace) -> Plan:
    from rfapp.training.plan import Plan
    from rfapp.training.recipes import recipe_for

    recipe = recipe_for(arguments.recipe, arguments.model)
    changes = {name: value for name, _, _ in _RECIPE if (value := getattr(arguments, name)) is not None}
    if "epochs" in changes and "steps" not in changes:
        changes["steps"] = 0
    if arguments.only is not None:
        changes["only"] = tuple(arguments.only)
    changes |= {name: value for name in ("optimiser", "fixed_norm") if (value := getattr(arguments, name)) is not None}
    shown: dict[str, Any] = {} if arguments.size is None else {"size": arguments.size}
    if arguments.scales is not None:
        shown |= {"scales": arguments.scales, "scale_range": None}
    if shown:
        changes["augmentation"] = replace(recipe.augmentation, **shown)
    return Plan(
        data=tuple(arguments.data),
        negatives=tuple(arguments.negatives),
        validation=arguments.validation,
        recipe=replace(recipe, **changes),
        model=arguments.model,
        init=arguments.init,
        former=arguments.keep_of,
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
        workers=arguments.workers,
        accumulate=arguments.accumulate,
        compile=arguments.compile,
    )
