"""All that is worth keeping of an evaluation, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rfapp import __version__, diagnosis
from rfapp.errors import OutputError
from rfapp.evaluation.ground_truth import LEVELS, GroundTruth
from rfapp.evaluation.protocol import Curve, evaluate
from rfapp.evaluation.results import Boxes
from rfapp.settings import DetectorSettings, write_whole
from rfapp.text import mark


def write_report(
    file: Path,
    truth: GroundTruth,
    boxes: Mapping[str, Boxes],
    curves: Mapping[str, Curve],
    *,
    exact: bool,
    source: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write *file*: figures (whole, and of each event by itself), where the boxes came from (*source*: the
    :func:`detector_facts`, or a folder of result files), how long it took, and on which computer.

    Raises OutputError.
    """
    report = {
        "protocol": "WIDER FACE, validation set",
        "arithmetic": "toolbox" if exact else "floating point",
        "pictures": len(truth.pictures),
        "faces": {level: truth.faces(level) for level in LEVELS},
        "detections": sum(len(rows) for rows in boxes.values()),
        "ap": {level: round(curves[level].average_precision, 3) for level in LEVELS},
        "source": dict(source),
        "seconds": round(seconds, 1),
        "rfapp": __version__,
        "computer": {finding.name: finding.value for finding in diagnosis.computer()},
        "events": _events(truth, boxes, exact=exact),
    }
    try:
        write_whole(file, (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    except OSError as error:
        raise OutputError(
            mark("{path} can't be written: {reason}."), path=file, reason=error.strerror or error
        ) from error


def detector_facts(settings: DetectorSettings, *, multi_scale: bool) -> dict[str, Any]:
    """What runs with these *settings* here: model, engine, device and precision as they are chosen in the end."""
    from rfapp.detector import FaceDetector
    from rfapp.weights import int8_form

    with FaceDetector.from_settings(settings) as detector:
        ran = int8_form(detector.weights) if detector.precision == "int8" else detector.weights
        return {
            "model": detector.model,
            "sha256": ran.sha256,
            "engine": detector.engine,
            "device": detector.device_title,
            "precision": detector.precision,
            "size": settings.size,
            "multi_scale": multi_scale,
            "score": settings.score,
            "nms": settings.nms,
            "notes": list(detector.notes),
        }


def _events(truth: GroundTruth, boxes: Mapping[str, Boxes], *, exact: bool) -> dict[str, dict[str, Any]]:
    """Each event by itself: pictures, and the average precision of the levels of which it has faces."""
    events: dict[str, dict[str, Any]] = {}
    for event in dict.fromkeys(picture.event for picture in truth.pictures):
        part = replace(truth, pictures=tuple(picture for picture in truth.pictures if picture.event == event))
        curves = evaluate(part, boxes, exact=exact)
        counted = {level: curves[level].average_precision for level in LEVELS if part.faces(level)}
        events[event] = {"pictures": len(part.pictures), **{level: round(ap, 3) for level, ap in counted.items()}}
    return events
