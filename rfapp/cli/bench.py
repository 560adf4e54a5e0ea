"""``rfapp bench``: how long the stages of a detection take on this computer."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfapp.cli.main import DONE
from rfapp.cli.options import add_output_arguments, add_settings_arguments, settings_from
from rfapp.cli.tables import print_table

if TYPE_CHECKING:
    from rfapp.detector import FaceDetector
    from rfapp.frames import ByteImage

_STAGES = ("prepare", "network", "decode", "whole")
#: Calls before the measurement: caches fill, engines choose their kernels.
_WARM_UP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The detector's options and what to measure."""
    add_settings_arguments(parser)
    parser.add_argument("--image", type=Path, metavar="FILE", help="a picture (default: a built-in one of 640×480)")
    parser.add_argument("--repeat", type=_count, default=50, metavar="N", help="how often (default: %(default)s)")
    parser.add_argument(
        "--sweep-threads", action="store_true", help="also measure with 1, 2, 4 … threads up to the number of cores"
    )
    add_output_arguments(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 100000 is needed, not {text}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from rfapp.detector import FaceDetector

    settings = settings_from(arguments).detector
    image = _picture(arguments.image)
    with FaceDetector.from_settings(settings) as detector:
        if not arguments.quiet:
            for note in detector.notes:
                print(f"rfapp: {note}", file=sys.stderr)
        result = _measure(detector, image, arguments.repeat)
        if arguments.sweep_threads and detector.device == "cpu":
            result["sweep"] = []
            for threads in _thread_counts():
                with detector.with_settings(threads=threads) as other:
                    result["sweep"].append(_measure(other, image, arguments.repeat))
    if arguments.json:
        _print(result, sys.stderr, quiet=arguments.quiet)
        print(json.dumps(result, ensure_ascii=False))
    else:
        _print(result, sys.stdout, quiet=False)
    return DONE


def _picture(path: Path | None) -> ByteImage:
    if path is not None:
        from rfapp.sources import read_picture

        return read_picture(path)
    import numpy as np

    from rfapp.detector import built_in_picture

    # One face whole and one cut by the edge, in the shape of a webcam's picture.
    return np.ascontiguousarray(np.tile(built_in_picture(), (1, 2, 1))[:480, :640])


def _thread_counts() -> list[int]:
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({cores, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)})


def _measure(detector: FaceDetector, image: ByteImage, repeat: int) -> dict[str, Any]:
    import numpy as np

    for _ in range(_WARM_UP):
        faces, _ = detector.timed(image)
    times = [detector.timed(image)[1] for _ in range(repeat)]
    stages = {}
    for stage in _STAGES:
        values = np.array([one[stage] for one in times]) * 1e3
        median, p95 = (round(float(value), 3) for value in np.percentile(values, (50, 95)))
        stages[stage] = {"median": median, "p95": p95}
    return {
        "model": detector.model,
        "engine": detector.engine,
        "device": detector.device_title,
        "precision": detector.precision,
        "threads": detector.threads,
        "width": image.shape[1],
        "height": image.shape[0],
        "size": detector.settings.size,
        "faces": len(faces),
        "repeat": repeat,
        "ms": stages,
    }


def _print(result: dict[str, Any], file: Any, *, quiet: bool) -> None:
    if quiet:
        return
    for one in (result, *result.get("sweep", ())):
        print(
            f"{one['model']} · {one['engine']} {one['precision']} · {one['device']}, {one['threads']} threads · "
            f"{one['width']}×{one['height']} at {one['size']} · {one['faces']} faces · {one['repeat']} times",
            file=file,
        )
        rows = [(stage, f"{ms['median']:.2f}", f"{ms['p95']:.2f}") for stage, ms in one["ms"].items()]
        print_table(("stage", "median ms", "p95 ms"), rows, file)
