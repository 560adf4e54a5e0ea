"""What a run leaves in its folder: weights with a manifest, and the state to go on from."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from rfapp import __version__
from rfapp.datasets.runs import BEST, FOUND, LAST, STATE, RunFolder
from rfapp.detector import try_out
from rfapp.errors import SourceUnreadable
from rfapp.frames import ByteImage, Detections
from rfapp.models.config import ModelConfig
from rfapp.settings import write_whole
from rfapp.sinks.drawing import draw
from rfapp.text import mark
from rfapp.weights import TRIAL_SIZE, Answer, checkpoints, manifest
from rfapp.weights.catalogue import sha256_of
from rfapp.weights.manifest import MANIFEST, Model


@dataclass(frozen=True, slots=True)
class WeightsOfRun:
    """Writes the weights of one run. *origin* and *licence*: those of the weights that it began from."""

    run: RunFolder
    config: ModelConfig
    origin: str
    licence: str

    def save_last(self, weights: dict[str, Tensor]) -> Model:
        """Write ``last.safetensors``; it is the folder's model as long as there is no best one."""
        model = self._model(self.run / LAST)
        if (self.run / BEST).exists():
            checkpoints.save(model, weights)
            return model
        return self._publish(model, weights)

    def save_best(self, weights: dict[str, Tensor], precision: dict[str, float]) -> None:
        """Write ``best.safetensors``, which has reached that average precision, and make it the folder's model."""
        self._publish(replace(self._model(self.run / BEST), ap=precision), weights, try_it=True)

    def _model(self, path: Path) -> Model:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.run.path.absolute().name).strip("-.") or "run"
        return Model(
            name=name,
            path=path,
            config=self.config,
            title=f"{self.config.family} {self.config.architecture}, {name}",
            origin=mark("trained with rfapp {version}, beginning with {origin}").format(
                version=__version__, origin=self.origin
            ),
            licence=self.licence,
        )

    def _publish(self, model: Model, weights: dict[str, Tensor], *, try_it: bool = False) -> Model:
        """Manifest and weights can't change in one moment. In between the manifest names no fingerprint, so that the
        folder is a model whenever the process is killed."""
        if model.path.exists():
            self._tell(model)
        checkpoints.save(model, weights)
        model = replace(model, sha256=sha256_of(model.path), bytes=model.path.stat().st_size)
        if try_it:
            model = replace(model, answer=_answer(model))
        self._tell(model)
        return model

    def _tell(self, model: Model) -> None:
        manifest.write(self.run / MANIFEST, {model.name: model})


def _answer(model: Model) -> Answer | None:
    """What float32 finds in the built-in picture; None for a network that can't find it yet."""
    faces = try_out(model, TRIAL_SIZE)
    if len(faces) == 0 or faces.landmarks is None:
        return None
    return Answer(
        size=TRIAL_SIZE,
        score=round(float(faces.scores[0]), 5),
        box=tuple(round(float(value), 3) for value in faces.boxes[0]),
        landmarks=tuple((round(float(x), 3), round(float(y), 3)) for x, y in faces.landmarks[0]),
    )


def save_state(run: RunFolder, state: dict[str, Any]) -> None:
    """Write ``state.pt`` whole or not at all; the events up to it are on the disk before it is."""
    run.settle()
    content = io.BytesIO()
    torch.save(state, content)
    write_whole(run / STATE, content.getvalue())


def load_state(run: RunFolder, device: torch.device) -> dict[str, Any] | None:
    """The state to go on from, or None where there is none. Nothing in it can run code. Raises SourceUnreadable."""
    path = run / STATE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever the reader stumbles over in a damaged file
        raise SourceUnreadable(
            mark("The state of the run, “{path}”, is damaged."),
            mark("Delete it to begin the run anew, or train on from its last weights with --init."),
            path=path,
        ) from error
    if not isinstance(state, dict):
        raise SourceUnreadable(mark("“{path}” is not the state of a run."), path=path)
    return state


#: What a picture for onlookers shows: faces from this score on, and its long side in pixels.
SURE, SHOWN_SIDE = 0.5, 640


def save_found(run: RunFolder, number: int, image: ByteImage, faces: Detections) -> None:
    """A small picture of what was found in *image*, for whoever watches the run."""
    sure = faces[faces.scores >= SURE]
    scale = min(1.0, SHOWN_SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    landmarks = None if sure.landmarks is None else sure.landmarks * scale
    shown = Detections(sure.boxes * scale, sure.scores, landmarks)
    _, content = cv2.imencode(".jpg", draw(small, shown, into=small), [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_whole(run / FOUND.format(number=number), content.tobytes())
