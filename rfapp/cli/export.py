"""``rfapp export``: a model for other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rfapp.cli.main import DONE
from rfapp.cli.options import add_output_arguments
from rfapp.errors import UsageError
from rfapp.text import mark

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to write, in which form, and where."""
    parser.description = (
        "Writes a model for other programs. Input: pictures, float32 (batch, 3, height, width), 0 to 255, sides "
        "multiples of 32. Outputs: boxes, scores and landmarks of every prior, or with --with-nms of every face. The "
        "file is run and compared with rfapp's own results before it gets its name."
    )
    parser.add_argument(
        "form",
        choices=tuple(_SUFFIXES),
        help="openvino writes an .xml file and a .bin file; torchscript (.pt) needs torch",
    )
    parser.add_argument("--model", default="mobilenet0.25", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: the model's name, here")
    parser.add_argument(
        "--size",
        type=_size,
        default=(480, 640),
        metavar="WIDTHxHEIGHT",
        help="the pictures' size (default: 640x480), multiples of 32",
    )
    parser.add_argument("--dynamic", action="store_true", help="take pictures of any size")
    parser.add_argument(
        "--with-decode", action="store_true", help="boxes and landmarks in pixels instead of deltas to the priors"
    )
    parser.add_argument(
        "--with-nms",
        action="store_true",
        help="only faces, best first, in pixels: boxes (faces, 4), scores (faces), landmarks (faces, 10); one picture "
        "at a time",
    )
    parser.add_argument("--score", type=_part, default=0.6, help="with --with-nms: the least score (default: 0.6)")
    parser.add_argument("--nms", type=_part, default=0.4, help="with --with-nms: the most overlap (default: 0.4)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    add_output_arguments(parser)


def _part(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"a number between 0 and 1 is needed, not {text}")
    return value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or any(
        not 32 <= int(side) <= 8192 or int(side) % 32 for side in (width, height)
    ):
        raise argparse.ArgumentTypeError(f"a size is like 640x480, in multiples of 32, not {text}")
    return int(height), int(width)


def run(arguments: argparse.Namespace) -> int:
    """Write, compare, tell."""
    import cv2
    import numpy as np

    from rfapp.engines.exporting import export
    from rfapp.looking import built_in_picture
    from rfapp.weights import find
    from rfapp.weights.exporting import Form

    decode = arguments.with_decode or arguments.with_nms
    if arguments.dynamic and decode:
        raise UsageError(
            mark("{option} needs a fixed size, and --dynamic leaves it open."),
            mark("Give one of the two, and --size with the first."),
            option="--with-nms" if arguments.with_nms else "--with-decode",
        )
    suffix = _SUFFIXES[arguments.form]
    output = arguments.output or Path(
        f"{Path(arguments.model).stem if '/' in arguments.model else arguments.model}{suffix}"
    )
    if output.suffix != suffix:
        raise UsageError(
            mark("The name of the output ends in {suffix}, not as {path} does."), suffix=suffix, path=output
        )
    sizes = [(640, 640), (320, 480)] if arguments.dynamic else [arguments.size]
    pictures = [cv2.resize(built_in_picture(), (width, height)).astype(np.uint8, copy=False) for height, width in sizes]
    worst = export(
        find(arguments.model),
        arguments.form,
        output,
        Form(
            size=None if arguments.dynamic else arguments.size,
            decode=decode,
            overlap=arguments.nms if arguments.with_nms else None,
            score=arguments.score,
        ),
        pictures,
        force=arguments.force,
    )
    if arguments.json:
        print(json.dumps({"output": str(output), "score_difference": worst}, ensure_ascii=False))
    elif not arguments.quiet:
        print(f"{output}: compared with rfapp, scores differ by at most {worst:.1g}")
    return DONE
