"""A model for other programs as TorchScript: a file that PyTorch runs, from C++ too, without rfapp."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rfapp.frames import FloatArray
from rfapp.models.config import LUMA_BGR, ModelConfig
from rfapp.models.prior_box import PriorBox
from rfapp.weights import checkpoints
from rfapp.weights.exporting import MOST_FACES, Form
from rfapp.weights.manifest import Model


def export_torchscript(model: Model, form: Form) -> bytes:
    """The TorchScript file of *model*: ``forward(pictures)`` gives boxes, scores and, if the network has them,
    landmarks, as :class:`rfapp.weights.exporting.Form` describes them. Raises WeightsError."""
    network = _Whole(checkpoints.build(model), model.config, form).eval()
    height, width = form.size or (64, 96)
    with torch.inference_mode(), warnings.catch_warnings():
        # TorchScript is not developed further, which is no news; and what a trace fixes is compared afterwards.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, torch.zeros(1, 3, height, width), check_trace=False)  # type: ignore[no-untyped-call]
        if form.overlap is not None:
            traced = torch.jit.script(_Faces(traced, form.score, form.overlap, model.config.landmarks).eval())
        content = io.BytesIO()
        torch.jit.save(torch.jit.freeze(traced.eval()), content)
    return content.getvalue()


def run_torchscript(file: Path, pictures: FloatArray) -> dict[str, FloatArray]:
    """The outputs of a file by name, for *pictures* as it takes them."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = torch.jit.load(str(file), map_location="cpu")(torch.from_numpy(pictures))  # type: ignore[no-untyped-call]
    return {
        name: np.asarray(value.numpy()) for name, value in zip(("boxes", "scores", "landmarks"), outputs, strict=False)
    }


class _Whole(nn.Module):
    """A network in the phase "test" with what comes before and after it."""

    def __init__(self, network: nn.Module, config: ModelConfig, form: Form) -> None:
        super().__init__()
        self.network, self.config, self.decode = network, config, form.decode
        self.register_buffer("means", torch.tensor(config.means).view(1, -1, 1, 1))
        self.register_buffer("luma", torch.tensor(LUMA_BGR).view(1, 3, 1, 1))
        if form.decode:
            assert form.size is not None
            priors = torch.from_numpy(PriorBox(config, form.size).array().copy())
            priors *= torch.tensor(form.size[::-1]).repeat(2)
            self.register_buffer("centre", priors[:, :2])
            self.register_buffer("sides", priors[:, 2:])

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        means, luma = self.get_buffer("means"), self.get_buffer("luma")
        pictures = pictures - means
        if self.config.channels == 1:
            pictures = (pictures * luma).sum(dim=1, keepdim=True)
        boxes, classes, landmarks = self.network(pictures)
        if self.decode:
            boxes, landmarks = self._in_pixels(boxes, landmarks)
        return (boxes, classes[..., 1]) if landmarks is None else (boxes, classes[..., 1], landmarks)

    def _in_pixels(self, boxes: Tensor, landmarks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The formulas of :mod:`rfapp.postprocess.decode`."""
        near, growth = self.config.variance
        centre, sides = self.get_buffer("centre"), self.get_buffer("sides")
        middle = centre + boxes[..., :2] * near * sides
        half = sides * (boxes[..., 2:] * growth).exp() / 2 - (0.5 if self.config.inclusive else 0.0)
        corners = torch.cat([middle - half, middle + half], dim=2)
        if landmarks is None:
            return corners, None
        return corners, centre.repeat(1, 5) + landmarks * near * sides.repeat(1, 5)


class _Faces(nn.Module):
    """Non-maximum suppression behind a network that decodes; scripted, for its loop depends on the picture."""

    def __init__(self, network: Any, score: float, overlap: float, landmarks: bool) -> None:
        super().__init__()
        self.network = network
        self.score, self.overlap, self.most, self.landmarks = score, overlap, MOST_FACES, landmarks

    def forward(self, pictures: Tensor) -> list[Tensor]:
        outputs = self.network(pictures)
        boxes, scores = outputs[0][0], outputs[1][0]
        above = torch.nonzero(scores > self.score).flatten()
        order = above[torch.argsort(scores[above], descending=True)]
        kept: list[Tensor] = []
        while order.numel() > 0 and len(kept) < self.most:
            best, order = order[:1], order[1:]
            kept.append(best)
            first, others = boxes[best], boxes[order]
            shared = torch.clamp(
                torch.minimum(first[:, 2:], others[:, 2:]) - torch.maximum(first[:, :2], others[:, :2]), min=0.0
            ).prod(dim=1)
            areas = (others[:, 2:] - others[:, :2]).prod(dim=1) + (first[:, 2:] - first[:, :2]).prod(dim=1)
            order = order[shared <= self.overlap * (areas - shared)]
        rows = torch.cat(kept) if len(kept) > 0 else order
        faces = [boxes[rows], scores[rows]]
        if self.landmarks:
            faces.append(outputs[2][0][rows])
        return faces
