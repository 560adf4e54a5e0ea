"""Average precision on pictures that are held out from training, by the protocol of WIDER FACE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rfapp.datasets import Sample, clean, open_dataset
from rfapp.detector import FaceDetector
from rfapp.errors import PictureUnreadable
from rfapp.evaluation import LEVELS, GroundTruth, Picture, evaluate, read_ground_truth
from rfapp.evaluation.results import Boxes, from_detections
from rfapp.frames import ByteImage, Detections
from rfapp.sources.pictures import read_picture
from rfapp.weights.manifest import Model

#: The long side at which pictures are shown to the network, and what is detected from: as ``rfapp evaluate`` does.
SIZE, LOWEST_SCORE = 640, 0.02
#: The least height of a face in pixels at each level, where the labels name no levels: about WIDER FACE's own.
LEAST_HEIGHT = {"easy": 50, "medium": 30, "hard": 10}
#: So many pictures, evenly over all, are shown to whoever watches.
SHOWN = 6
#: One picture in so many is held out where no others are named, and at most this many.
ONE_IN, AT_MOST = 20, 200


#: Gets the place of a picture among the shown ones, the picture, and what was found in it.
Show = Callable[[int, ByteImage, Detections], None]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pictures to validate on; ``folder`` is what their names are relative to."""

    truth: GroundTruth
    folder: Path

    def __len__(self) -> int:
        return len(self.truth.pictures)


def read_held_out(path: Path) -> HeldOut:
    """From WIDER FACE's own ground truth (a ``.jsonl``, or a folder of ``.mat`` files beside the pictures) with its
    three levels, or from labelled pictures of any other format, with levels by the height of faces. Raises RfappError.
    """
    if path.suffix == ".jsonl" or (path.is_dir() and (path / "wider_face_val.mat").exists()):
        truth = read_ground_truth(path)
        return HeldOut(truth, truth.folder)
    return held_out_of(clean(open_dataset(path)).samples)


def held_out_of(samples: Sequence[Sample]) -> HeldOut:
    """Levels by height: easy from 50 px, medium from 30, hard from 10; smaller and ignored faces do not count."""
    pictures = []
    for number, sample in enumerate(samples):
        boxes = np.concatenate([sample.boxes[:, :2], sample.boxes[:, 2:] - sample.boxes[:, :2]], axis=1)
        whole = np.rint(boxes).astype(np.int32)
        counted = {
            level: np.flatnonzero(~sample.ignore & (whole[:, 3] >= least)) for level, least in LEAST_HEIGHT.items()
        }
        pictures.append(Picture("", str(number), str(sample.picture.absolute()), whole, counted))
    return HeldOut(GroundTruth(tuple(pictures), Path()), Path())


def split(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Training pictures, and those that are held out: one in twenty of those with faces, at most 200."""
    with_faces = [index for index, sample in enumerate(samples) if not sample.ignore.all()]
    chosen = np.random.default_rng([seed, 0x5EED]).permutation(with_faces)[: min(len(with_faces) // ONE_IN, AT_MOST)]
    held = set(chosen.tolist())
    return (
        [sample for index, sample in enumerate(samples) if index not in held],
        [sample for index, sample in enumerate(samples) if index in held],
    )


def average_precision(
    model: Model,
    held: HeldOut,
    device: str,
    *,
    given_up: Callable[[], bool] = lambda: False,
    show: Show = lambda _number, _image, _faces: None,
) -> dict[str, float] | None:
    """easy, medium and hard in percent, at 640 px in float32; None when *given_up* said so between two pictures.

    *show* gets SHOWN of the pictures, always the same ones.
    """
    boxes: dict[str, Boxes] = {}
    places = np.unique(np.linspace(0, len(held) - 1, SHOWN).round().astype(int)).tolist() if len(held) else []
    threads = torch.get_num_threads() if device == "cpu" else 0
    with FaceDetector(
        model, engine="torch", device=device, precision="float32", size=SIZE, score=LOWEST_SCORE, threads=threads
    ) as detector:
        for number, picture in enumerate(held.truth.pictures):
            if given_up():
                return None
            try:
                image = read_picture(held.folder / picture.file)
            except PictureUnreadable:
                continue  # counts as one in which nothing is found
            faces = detector(image)
            boxes[picture.key] = from_detections(faces)
            if number in places:
                show(places.index(number), image, faces)
    curves = evaluate(held.truth, boxes)
    return {level: round(curves[level].average_precision, 3) for level in LEVELS}
