"""Arithmetic of boxes in torch: areas, overlaps, and the deltas that the network is to tell.

Boxes are x1, y1, x2, y2; priors are centre x, centre y, width, height, as :class:`rfapp.models.PriorBox` gives them.
Both are in one unit, whatever it is. The encoding is that of :mod:`rfapp.postprocess.decode`.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Divisors are at least this, so that nothing is divided by the area of a box that has none.
TINY = 1e-12


def corners_of(priors: Tensor) -> Tensor:
    """(…, 4) centre and size → (…, 4) corners."""
    half = priors[..., 2:] / 2
    return torch.cat([priors[..., :2] - half, priors[..., :2] + half], dim=-1)


def areas(boxes: Tensor) -> Tensor:
    """(…, 4) → (…). A box whose corners are the wrong way round has no area."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def intersections(first: Tensor, second: Tensor) -> Tensor:
    """(N, 4) and (M, 4) → (N, M): the area that each box of one shares with each of the other. (N, M, 4) in place of
    (M, 4): other ones for each box."""
    a, b = first[:, None], second if second.ndim == 3 else second[None]
    # Coordinate by coordinate and in place: these are the largest arrays of a training step.
    width = torch.minimum(a[..., 2], b[..., 2]).sub_(torch.maximum(a[..., 0], b[..., 0])).clamp_(min=0)
    height = torch.minimum(a[..., 3], b[..., 3]).sub_(torch.maximum(a[..., 1], b[..., 1])).clamp_(min=0)
    return width.mul_(height)


def encode_boxes(boxes: Tensor, priors: Tensor, variance: tuple[float, float]) -> Tensor:
    """(K, 4) boxes with an area and their priors → (K, 4) deltas."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat(
        [
            (centre - priors[:, :2]) / (variance[0] * priors[:, 2:]),
            torch.log(size / priors[:, 2:]) / variance[1],
        ],
        dim=1,
    )


def decode_boxes(deltas: Tensor, priors: Tensor, variance: tuple[float, float]) -> Tensor:
    """(K, 4) deltas and their priors → (K, 4) boxes."""
    return corners_of(moved_priors(deltas, priors, variance))


def moved_priors(deltas: Tensor, priors: Tensor, variance: tuple[float, float]) -> Tensor:
    """(…, 4) deltas and their priors → (…, 4): the centres and sizes that the deltas make of them."""
    centre = priors[..., :2] + deltas[..., :2] * variance[0] * priors[..., 2:]
    return torch.cat([centre, priors[..., 2:] * torch.exp(deltas[..., 2:] * variance[1])], dim=-1)


def encode_landmarks(landmarks: Tensor, priors: Tensor, variance: tuple[float, float]) -> Tensor:
    """(K, 10) points, x before y, and their priors → (K, 10) deltas."""
    points = landmarks.reshape(len(landmarks), 5, 2)
    deltas = (points - priors[:, None, :2]) / (variance[0] * priors[:, None, 2:])
    return deltas.reshape(len(landmarks), 10)


def overlap_of_pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Row by row: the intersection over union of (K, 4) and (K, 4), and the union. Without area the overlap is 0."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    both = torch.cat([low, high], dim=1)
    shared = areas(both)
    union = areas(first) + areas(second) - shared
    return shared / union.clamp(min=TINY), union
