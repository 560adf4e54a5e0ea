"""``rfapp bench``: how long the stages of a detection take on this computer, with every engine and precision."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfapp.cli import peers
from rfapp.cli.main import DONE
from rfapp.cli.options import add_output_arguments, add_settings_arguments, settings_from
from rfapp.cli.peer_process import settle
from rfapp.cli.tables import print_table
from rfapp.errors import WeightsMissing

if TYPE_CHECKING:
    from rfapp.detector import FaceDetector
    from rfapp.frames import ByteImage
    from rfapp.settings import DetectorSettings

#: ``bare`` is the network alone, again and again on one picture that it already has.
_STAGES = ("prepare", "network", "decode", "whole", "bare")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The detector's options and what to measure."""
    add_settings_arguments(parser)
    parser.add_argument("--image", type=Path, metavar="FILE", help="a picture (default: a built-in one of 640×480)")
    parser.add_argument("--repeat", type=_count, default=50, metavar="N", help="how often (default: %(default)s)")
    parser.add_argument(
        "--sweep-threads", action="store_true", help="also measure with 1, 2, 4 … threads up to the number of cores"
    )
    parser.add_argument(
        "--against",
        action="append",
        choices=peers.NAMES,
        default=[],
        metavar="PACKAGE",
        help="take turns with another package's detector, in a process of its own: "
        f"{', '.join(peers.NAMES)} (can be given several times)",
    )
    parser.add_argument("--python", metavar="FILE", help="the Python of the environment where that is installed")
    for package, file in peers.NETWORKS.items():
        parser.add_argument(f"--{package}", type=Path, metavar="FILE", help=f"the network for {package}: {file}")
    add_output_arguments(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 100000 is needed, not {text}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print. What was asked for comes first, then the other engines and precisions, all taking turns."""
    settings = settings_from(arguments).detector
    networks = {package: getattr(arguments, package.replace("-", "_")) for package in peers.NETWORKS}
    python = peers.check(arguments.against, arguments.python, networks)
    image = _picture(arguments.image)
    with ExitStack() as open_ones:
        detectors = [open_ones.enter_context(_detector(settings))]
        if not arguments.quiet:
            for note in detectors[0].notes:
                print(f"rfapp: {note}", file=sys.stderr)
        for other in _others(settings):
            detector = open_ones.enter_context(_detector(other))
            if all(_kind(detector) != _kind(known) for known in detectors):
                detectors.append(detector)
        result, *others = _measure(detectors, image, arguments.repeat)
        result["others"] = others
        if arguments.sweep_threads and detectors[0].device == "cpu":
            from rfapp.engines.machine import thread_counts

            swept = [open_ones.enter_context(detectors[0].with_settings(threads=count)) for count in thread_counts()]
            result["sweep"] = _measure(swept, image, arguments.repeat)
        result["peers"] = []
        for package in arguments.against:
            with peers.Peer(package, python, image, settings, networks.get(package)) as peer:
                result["peers"].append(peers.measure(detectors[0], peer, image, arguments.repeat))
    if arguments.json:
        _print(result, sys.stderr, quiet=arguments.quiet)
        print(json.dumps(result, ensure_ascii=False))
    else:
        _print(result, sys.stdout, quiet=False)
    return DONE


def _others(settings: DetectorSettings) -> list[DetectorSettings]:
    """What else can be had where *settings* leave the choice open."""
    from rfapp import engines

    names = engines.available() if settings.engine == "auto" else (settings.engine,)
    precisions: tuple[str, ...] = (settings.precision,)
    if settings.precision == "auto":
        precisions = ("auto", "float32", "int8") if _has_int8_form(settings.model) else ("auto", "float32")
    return [
        replace(settings, engine=name, precision=precision)
        for name in names
        for precision in precisions
        # OpenVINO is for CPUs; on another device there is nothing of it to measure.
        if (settings.device in ("auto", "cpu") if name == "openvino" else precision != "int8")
    ]


def _has_int8_form(model: str) -> bool:
    from rfapp.weights import find, int8_form

    try:
        return bool(int8_form(find(model)))
    except WeightsMissing:
        return False


def _detector(settings: DetectorSettings) -> FaceDetector:
    """A detector; how many threads serve it best is measured anew where the user gives no number, and remembered."""
    from rfapp import engines
    from rfapp.detector import FaceDetector

    detector = FaceDetector.from_settings(settings)
    if settings.threads or detector.device != "cpu":
        return detector
    engines.measure_threads(detector.weights, detector.engine, detector.precision)
    detector.close()
    return FaceDetector.from_settings(settings)


def _kind(detector: FaceDetector) -> tuple[str, str, str]:
    return detector.engine, detector.device, detector.precision


def _picture(path: Path | None) -> ByteImage:
    if path is not None:
        from rfapp.sources import read_picture

        return read_picture(path)
    import numpy as np

    from rfapp.looking import built_in_picture

    # One face whole and one cut by the edge, in the shape of a webcam's picture.
    return np.ascontiguousarray(np.tile(built_in_picture(), (1, 2, 1))[:480, :640])


def _measure(detectors: Sequence[FaceDetector], image: ByteImage, repeat: int) -> list[dict[str, Any]]:
    """Each detector's times. They take turns, so that what else the computer does meets all of them alike."""
    import numpy as np

    alone = [detector.network_alone(image) for detector in detectors]
    counts = [0] * len(detectors)
    times: list[list[dict[str, float]]] = [[] for _ in detectors]
    for _ in range(repeat):
        for index, (detector, network) in enumerate(zip(detectors, alone, strict=True)):
            settle(partial(detector, image))
            faces, seconds = detector.timed(image)
            counts[index] = len(faces)
            began = time.perf_counter()
            network()
            seconds["bare"] = time.perf_counter() - began
            times[index].append(seconds)
    results = []
    for detector, count, measured in zip(detectors, counts, times, strict=True):
        stages = {}
        for stage in _STAGES:
            percentiles = np.percentile([one[stage] * 1e3 for one in measured], (50, 95))
            stages[stage] = {"median": round(float(percentiles[0]), 3), "p95": round(float(percentiles[1]), 3)}
        results.append(
            {
                "model": detector.model,
                "engine": detector.engine,
                "device": detector.device_title,
                "precision": detector.precision,
                "threads": detector.threads,
                "width": image.shape[1],
                "height": image.shape[0],
                "size": detector.settings.size,
                "faces": count,
                "repeat": repeat,
                "ms": stages,
            }
        )
    return results


def _print(result: dict[str, Any], file: Any, *, quiet: bool) -> None:
    if quiet:
        return
    print(
        f"{result['model']} · {result['width']}×{result['height']} at {result['size']} · {result['faces']} faces · "
        f"{result['repeat']} times, taking turns · medians in ms",
        file=file,
    )
    rows = []
    for one in (result, *result["others"], *result.get("sweep", ())):
        medians = [f"{one['ms'][stage]['median']:.2f}" for stage in _STAGES]
        rows.append(
            (one["engine"], one["precision"], one["device"], str(one["threads"]), *medians,
             f"{one['ms']['whole']['p95']:.2f}")
        )  # fmt: skip
    print_table(("engine", "precision", "device", "threads", *_STAGES, "whole p95"), rows, file)
    if result["peers"]:
        print(f"whole calls in turns with {result['engine']} {result['precision']}, medians in ms", file=file)
        others = [
            (f"{one['package']} {one['version']}", str(one["faces"]), f"{one['ms']['median']:.2f}",
             f"{one['ours_ms']['median']:.2f}", f"{one['ratio']:.2f}")
            for one in result["peers"]
        ]  # fmt: skip
        print_table(("package", "faces", "theirs", "ours", "ours / theirs"), others, file)
