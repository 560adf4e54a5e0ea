"""What weights must be good at before rfapp ships them as the default.

    python benchmarks/default_weights.py --data FOLDER MODEL…

FOLDER holds ``wider_dev`` (ground_truth.jsonl and images), ``negatives`` (pictures without people: cat_*, dog_*,
animal_*, bg_*), ``landmarks5`` (crops with five points in labels.txt) and ``photos`` (expected.json). Each MODEL (a
name, a file, the folder of a run) gets one line of JSON:

- ``average_precision``: easy, medium, hard, at 640 px and at original size;
- ``recall``: the share of wider_dev's easy and medium faces that are found at score 0.6 and 640 px;
- ``false_pictures``: pictures without people in which a face is found at score 0.6 and 640 px;
- ``landmark_error``: mean distance of the five points over the distance between the eyes, of crops pasted at 80 px on
  grey; and how many of them were found. Where a crop shows more than one face, it is the one that the labelled points
  lie in or are nearest to that counts;
- ``wrong_photos``: photos whose count lies outside what expected.json allows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from rfapp import FaceDetector
from rfapp.evaluation import evaluate, read_ground_truth
from rfapp.evaluation.ground_truth import GroundTruth
from rfapp.evaluation.results import Boxes
from rfapp.evaluation.running import Job, run_detector
from rfapp.settings import DetectorSettings
from rfapp.sources import read_picture

SURE = 0.6
#: Pictures whose faces have to be looked for at their own size.
AT_ORIGINAL_SIZE = ("crowd_selfie.jpg", "solvay_1927.jpg")


def recall(truth: GroundTruth, boxes: dict[str, Boxes], level: str) -> float:
    """The share of *level*'s faces, in percent, that a box with score ≥ SURE overlaps by half."""
    hits = 0
    for picture in truth.pictures:
        rows = boxes.get(picture.key, np.zeros((0, 5)))
        rows = rows[rows[:, 4] >= SURE]
        wanted = picture.boxes[picture.counted[level]].astype(np.float64)
        if not len(rows) or not len(wanted):
            continue
        low = np.maximum(wanted[:, None, :2], rows[None, :, :2])
        high = np.minimum((wanted[:, :2] + wanted[:, 2:])[:, None], (rows[:, :2] + rows[:, 2:4])[None])
        shared = np.clip(high - low, 0, None).prod(axis=2)
        area = wanted[:, 2:].prod(axis=1)[:, None] + rows[:, 2:4].prod(axis=1)[None] - shared
        hits += int((shared / np.maximum(area, 1e-9) >= 0.5).any(axis=1).sum())
    return 100 * hits / max(1, truth.faces(level))


def landmark_error(detector: FaceDetector, folder: Path) -> tuple[float, int]:
    errors = []
    for line in (folder / "labels.txt").read_text(encoding="utf-8").splitlines():
        name, *numbers = line.split()
        points = np.array(numbers, np.float64).reshape(5, 2)
        canvas = np.full((320, 320, 3), 128, np.uint8)
        crop = cv2.resize(read_picture(folder / name), (80, 80))
        canvas[120:200, 120:200] = crop
        faces = detector(canvas, size="original", score=0.3)
        if len(faces):
            # A neighbour who is in the picture by chance may well have the better score.
            centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - 120
            meant = np.linalg.norm(centres - points.mean(axis=0), axis=1).argmin()
            found = faces.landmarks[meant].astype(np.float64) - 120
            distance = np.linalg.norm(points[0] - points[1])
            errors.append(float(np.linalg.norm(found - points, axis=1).mean() / distance))
    return float(np.mean(errors)) if errors else float("nan"), len(errors)


def false_pictures(detector: FaceDetector, folder: Path) -> dict[str, int]:
    counts = {"cat": 0, "dog": 0, "animal": 0, "bg": 0}
    for file in sorted(folder.glob("*.jpg")):
        counts[file.name.partition("_")[0]] += bool(len(detector(read_picture(file))))
    return counts


def wrong_photos(detector: FaceDetector, folder: Path) -> list[str]:
    told = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    wrong = []
    for name, expected in told.items():
        if name.startswith("_"):
            continue
        faces = detector(read_picture(folder / name), size="original" if name in AT_ORIGINAL_SIZE else 640)
        if not expected["count_min"] <= len(faces) <= expected["count_max"]:
            wrong.append(f"{name}: {len(faces)}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--quick", action="store_true", help="640 px only")
    arguments = parser.parse_args()
    data: Path = arguments.data
    truth = read_ground_truth(data / "wider_dev" / "ground_truth.jsonl")
    for model in arguments.models:
        settings = DetectorSettings(
            model=model, engine=arguments.engine, precision=arguments.precision, size=640, score=0.02
        )
        found: dict[str, object] = {"model": model, "average_precision": {}}
        for size in (640,) if arguments.quick else (640, "original"):
            boxes = run_detector(Job(replace(settings, size=size), data / "wider_dev"), truth)
            curves = evaluate(truth, boxes)
            found["average_precision"][str(size)] = {
                level: round(curve.average_precision, 2) for level, curve in curves.items()
            }
            if size == 640:
                found["recall"] = {level: round(recall(truth, boxes, level), 2) for level in ("easy", "medium")}
        with FaceDetector.from_settings(replace(settings, score=SURE)) as detector:
            found["false_pictures"] = false_pictures(detector, data / "negatives")
            error, count = landmark_error(detector, data / "landmarks5")
            found["landmark_error"] = {"mean": round(error, 4), "found": count}
            found["wrong_photos"] = wrong_photos(detector, data / "photos")
        print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
