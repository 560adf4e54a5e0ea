"""Labels for pictures that have none, as a detector finds its faces at several sizes and mirrored.

    python benchmarks/pseudo_labels.py --model MODEL --pictures FOLDER --output FOLDER/instances.json

The file is COCO's, for ``rfapp train --data``. A face is what has a score of 0.6 or more and is found in two passes at
least; what has 0.25 or more becomes an area to ignore, neither face nor background. So a network can learn small faces
from what it sees at twice their size. Pictures whose short side has less than 160 px are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rfapp import FaceDetector
from rfapp.errors import RfappError
from rfapp.evaluation.multiscale import vote
from rfapp.frames import ByteImage, Detections
from rfapp.postprocess import overlaps
from rfapp.sources import read_picture

#: Times the picture's size, and the faces that are taken there: long sides in pixels of the picture.
PASSES = ((0.5, 120.0, np.inf), (1.0, 10.0, np.inf), (2.0, 3.0, 128.0))
SMALLEST, LARGEST = 256, 2048
SHORT_SIDE = 160
SAME = 0.45
SURE, POSSIBLE, WEAKEST = 0.6, 0.25, 0.1


def found(detector: FaceDetector, image: ByteImage) -> tuple[Detections, list[bool]]:
    """The faces of *image* with a score of POSSIBLE or more, and which of them are sure."""
    width, side = image.shape[1], max(image.shape[:2])
    boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    for times, least, most in PASSES:
        size = int(side * times)
        if not SMALLEST <= size <= LARGEST:
            continue
        for picture in (image, mirrored):
            faces = detector(picture, size=size)
            here = faces.boxes.copy()
            if picture is mirrored:
                here[:, [0, 2]] = width - here[:, [2, 0]]
            sides = (here[:, 2:] - here[:, :2]).max(axis=1, initial=0.0)
            fits = (sides >= least) & (sides <= most)
            boxes.append(here[fits])
            scores.append(faces.scores[fits])
    every = np.concatenate(boxes)
    voted = vote(every, np.concatenate(scores), SAME)
    voted = voted[voted.scores >= POSSIBLE]
    passes = [int((overlaps(box, every) >= SAME).sum()) for box in voted.boxes]
    return voted, [bool(score >= SURE and times > 1) for score, times in zip(voted.scores, passes, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with FaceDetector(arguments.model, precision="float32", score=WEAKEST) as detector:
        for path in sorted(arguments.pictures.rglob("*.jpg")):
            try:
                image = read_picture(path)
            except RfappError as error:
                print(error, file=sys.stderr)
                continue
            height, width = image.shape[:2]
            if min(height, width) < SHORT_SIDE:
                continue
            name = path.relative_to(arguments.pictures).as_posix()
            images.append({"id": len(images), "file_name": name, "width": width, "height": height})
            faces, sure = found(detector, image)
            for box, certain in zip(faces.boxes, sure, strict=True):
                x, y, w, h = (round(float(value), 1) for value in (*box[:2], *(box[2:] - box[:2])))
                annotation = {"id": len(annotations) + 1, "image_id": images[-1]["id"], "category_id": 1}
                annotations.append({**annotation, "bbox": [x, y, w, h], "area": w * h, "iscrowd": int(not certain)})
    categories = [{"id": 1, "name": "face"}]
    labels = {"images": images, "annotations": annotations, "categories": categories}
    arguments.output.write_text(json.dumps(labels), encoding="utf-8")
    print(f"{len(images)} pictures, {sum(not item['iscrowd'] for item in annotations)} faces, {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
