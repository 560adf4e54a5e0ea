"""``rfapp evaluate wider``: average precision by the protocol of WIDER FACE."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfapp.cli.main import DONE
from rfapp.cli.options import add_output_arguments, add_settings_arguments, settings_from
from rfapp.cli.progress import counted
from rfapp.cli.tables import print_table
from rfapp.errors import UsageError
from rfapp.settings import DetectorSettings, Settings
from rfapp.text import mark

if TYPE_CHECKING:
    from rfapp.evaluation.ground_truth import GroundTruth
    from rfapp.evaluation.results import Boxes

#: What the protocol counts from; a live view's 0.6 would cut the curve off.
LOWEST_SCORE = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("protocol", choices=("wider",), help="the protocol: WIDER FACE, validation set")
    parser.add_argument(
        "--ground-truth",
        type=Path,
        required=True,
        metavar="DIR|FILE",
        help="the folder of the four official .mat files, or a .jsonl file with the same content",
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="the folder of the pictures (default: beside)")
    parser.add_argument("--detections", type=Path, metavar="DIR", help="evaluate result files instead of a detector")
    parser.add_argument(
        "--save-detections",
        type=Path,
        metavar="DIR",
        help="write result files; a run that was interrupted goes on behind the ones that are there",
    )
    parser.add_argument(
        "--multi-scale", action="store_true", help="several sizes, the mirrored picture and box voting (slow)"
    )
    parser.add_argument(
        "--float",
        dest="floating",
        action="store_true",
        help="compute in floating point, as ports of the toolbox do (default: as the toolbox itself)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves (.png or .svg; needs matplotlib)")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a JSON file: figures, of each event too, model, engine, precision, time, and this computer",
    )
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="how many (default: one for each core)")
    add_output_arguments(parser)
    add_settings_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from rfapp.evaluation import LEVELS, evaluate, read_ground_truth

    _check(arguments)
    truth = read_ground_truth(arguments.ground_truth)
    began = time.monotonic()
    boxes = _boxes(arguments, truth)
    seconds = time.monotonic() - began
    curves = evaluate(truth, boxes, exact=not arguments.floating)
    if arguments.report is not None:
        from rfapp.evaluation.report import write_report

        source = _source(arguments)
        exact = not arguments.floating
        write_report(arguments.report, truth, boxes, curves, exact=exact, source=source, seconds=seconds)
    if arguments.plot is not None:
        from rfapp.evaluation.plots import draw

        draw(curves, arguments.plot)
    answer = {level: round(curves[level].average_precision, 3) for level in LEVELS}
    if arguments.json:
        print(json.dumps(answer))
    else:
        faces = [str(truth.faces(level)) for level in LEVELS]
        rows = [[level, f"{answer[level]:.2f}", count] for level, count in zip(LEVELS, faces, strict=True)]
        print_table(["level", "AP %", "faces"], rows, sys.stdout)
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    if arguments.detections is not None and (arguments.save_detections or arguments.multi_scale):
        raise UsageError(
            mark("--detections evaluates files; --save-detections and --multi-scale belong to a run of the detector."),
            mark("Leave one of them out."),
        )
    if arguments.plot is not None and arguments.plot.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise UsageError(mark("A plot is written as .png, .svg or .pdf, not “{file}”."), file=arguments.plot)


def _boxes(arguments: argparse.Namespace, truth: GroundTruth) -> dict[str, Boxes]:
    from rfapp.evaluation.results import read_results
    from rfapp.evaluation.running import Job, run_detector

    total = len(truth.pictures)
    if arguments.detections is not None:
        with counted(mark("Reading results"), total, quiet=arguments.quiet) as progress:
            return dict(read_results(arguments.detections, truth, progress))
    job = Job(
        detector=_detector(arguments),
        pictures=arguments.pictures or truth.folder,
        multi_scale=arguments.multi_scale,
        save=arguments.save_detections,
    )
    with counted(mark("Finding faces"), total, quiet=arguments.quiet) as progress:
        return run_detector(job, truth, processes=_processes(arguments), progress=progress)


def _detector(arguments: argparse.Namespace) -> DetectorSettings:
    return settings_from(arguments, Settings().changed(detector_score=LOWEST_SCORE)).detector


def _source(arguments: argparse.Namespace) -> dict[str, Any]:
    """Where the boxes came from, for the report."""
    from rfapp.evaluation.report import detector_facts

    if arguments.detections is not None:
        return {"files": str(arguments.detections)}
    return detector_facts(_detector(arguments), multi_scale=arguments.multi_scale)


def _processes(arguments: argparse.Namespace) -> int:
    if arguments.processes > 0:
        return int(arguments.processes)
    from rfapp.engines import cuda_driver_present

    if arguments.detector_device not in (None, "auto", "cpu") or cuda_driver_present():
        return 1  # a graphics card is shared by nothing
    import psutil

    return psutil.cpu_count(logical=False) or 1
