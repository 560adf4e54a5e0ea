"""Which prior is to find which face: the targets of training, for a whole batch at once.

The rule is RetinaFace's (biubug6/Pytorch_Retinaface, ``utils/box_utils.py``, after SSD): a prior is to find the face
that it overlaps most if the overlap reaches 0.35, and each face gets its best prior if that overlaps by 0.2 at least.
Two faults of that code are not repeated: a face whose best prior is too poor can't take a prior away from another
face, and of two faces with the same best prior the one that it overlaps more gets it (there: the later one). A face
that lies within several priors of a size overlaps them all alike: its best one is that whose centre is nearest (there:
chance).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rfapp.training.boxes import TINY, areas, corners_of, intersections

#: Overlaps with a small face that differ by no more than this share of them are equal: its sides are differences of
#: float32 numbers near 1.
ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The faces of a batch, one after the other.

    ``pictures``: how many pictures the batch has. ``picture``: int64 T, whose face it is. ``boxes``: float32 T×4, x1,
    y1, x2, y2 as fractions of the picture. ``landmarks``: float32 T×10 in the same unit, of use where ``known``
    (bool T). ``ignore``: bool T, areas that are neither face nor background.
    """

    pictures: int
    picture: Tensor
    boxes: Tensor
    landmarks: Tensor
    known: Tensor
    ignore: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        parts = (self.picture, self.boxes, self.landmarks, self.known, self.ignore)
        return Targets(self.pictures, *(part.to(device, non_blocking=True) for part in parts))

    def pin_memory(self) -> Targets:
        """The same in memory that a graphics card reads from by itself; the loader calls this."""
        parts = (self.picture, self.boxes, self.landmarks, self.known, self.ignore)
        return Targets(self.pictures, *(part.pin_memory() for part in parts))


@dataclass(frozen=True, slots=True)
class Matching:
    """A prior is ``positive`` from that overlap on, background below ``negative``, and ignored between the two. Each
    face forces its best prior if that overlaps by ``forced``; what looks at a smaller one is background. ``covered``: a
    prior of which this share lies in an ignored area is ignored, too."""

    positive: float = 0.35
    negative: float = 0.35
    forced: float = 0.2
    covered: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """``picture``, ``prior``, ``face``: int64 P, the positive priors in the order of pictures and priors, and the row
    in the targets of the face that each is to find. ``background``: bool B×N, priors that are to find nothing."""

    picture: Tensor
    prior: Tensor
    face: Tensor
    background: Tensor

    def __len__(self) -> int:
        return len(self.face)


def match(priors: Tensor, targets: Targets, rule: Matching = Matching(), *, refined: Tensor | None = None) -> Matches:
    """*priors*: float32 N×4, centre and size as fractions of the picture. Ignored priors are neither positive nor
    background. *refined*: float32 B×R×4, what has become of the last R priors in each picture."""
    count, device = len(priors), priors.device
    boxes = targets.boxes.float()
    sound = torch.isfinite(boxes).all(dim=1) & (areas(boxes) > 0)
    # A box without area takes part in nothing; zeros in its place keep all else finite.
    boxes = torch.where(sound[:, None], boxes, 0)
    overlap, shared, prior_areas = _overlaps(boxes, priors if refined is None else priors[: count - refined.shape[1]])
    if refined is not None:
        parts = zip((overlap, shared, prior_areas), _overlaps(boxes, refined[targets.picture]), strict=True)
        overlap, shared, prior_areas = (torch.cat(pair, dim=1) for pair in parts)
    best, best_prior = overlap.max(dim=1) if len(boxes) else (boxes.new_zeros(0), targets.picture)

    wanted = sound & ~targets.ignore
    cell = targets.picture * count  # where the priors of a face's picture begin when all are put in one row
    everywhere = targets.pictures * count

    # Few pairs of face and prior come into question, and only those are ordered.
    row, prior = torch.nonzero((overlap >= min(rule.positive, rule.negative)) & wanted[:, None], as_tuple=True)
    value, place = overlap[row, prior], cell[row] + prior
    forcing = torch.nonzero(wanted & (best >= rule.forced))[:, 0]
    if refined is None:
        small = forcing[best[forcing] < rule.positive]
        best_prior[small] = _nearest(overlap[small], best[small], boxes[small], priors)
    face = torch.full((everywhere,), -1, dtype=torch.int64, device=device)
    enough = value >= rule.positive
    _give(face, place[enough], row[enough], value[enough])
    _give(face, cell[forcing] + best_prior[forcing], forcing, best[forcing])

    background = torch.ones(everywhere, dtype=torch.bool, device=device)
    background[place[value >= rule.negative]] = False
    ignored = torch.nonzero(sound & targets.ignore)[:, 0]
    looking, prior = _looking(overlap[ignored], shared[ignored] / prior_areas[ignored], rule)
    background[cell[ignored[looking]] + prior] = False
    background &= face < 0
    positive = torch.nonzero(face >= 0)[:, 0]
    return Matches(positive // count, positive % count, face[positive], background.view(targets.pictures, count))


def _overlaps(boxes: Tensor, priors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(T, 4) boxes and (N, 4) priors, or (T, N, 4) other ones for each box → three of (T, N): intersection over union,
    shared area, area of the prior."""
    shared = intersections(boxes, corners_of(priors))
    prior_areas = (priors[..., 2] * priors[..., 3]).expand_as(shared)
    return shared / (areas(boxes)[:, None] + prior_areas - shared).clamp_(min=TINY), shared, prior_areas


def _nearest(overlap: Tensor, best: Tensor, boxes: Tensor, priors: Tensor) -> Tensor:
    """Of the priors that overlap each of *boxes* by *best*, but for rounding, the one whose centre is nearest."""
    row, prior = torch.nonzero(overlap >= best[:, None] * (1 - ROUNDING), as_tuple=True)
    apart = (priors[prior, :2] - (boxes[row, :2] + boxes[row, 2:]) / 2).square().sum(dim=1)
    least = torch.full_like(best, torch.inf).scatter_reduce_(0, row, apart, "amin")
    near = apart <= least[row]
    return prior.new_full(best.shape, len(priors)).scatter_reduce_(0, row[near], prior[near], "amin")


def _give(face: Tensor, place: Tensor, row: Tensor, value: Tensor) -> None:
    """Write *row* at each *place* of *face*; where several want the same place, the one of most *value*, and of equal
    ones the first."""
    highest = value.new_full(face.shape, -1).scatter_reduce_(0, place, value, "amax")
    chosen = value == highest[place]
    place, row = place[chosen], row[chosen]
    none = torch.iinfo(torch.int64).max
    first = torch.full_like(face, none).scatter_reduce_(0, place, row, "amin")
    torch.where(first < none, first, face, out=face)


def _looking(overlap: Tensor, share: Tensor, rule: Matching) -> tuple[Tensor, Tensor]:
    """Areas to ignore, and the priors that look at them: those that overlap one as well as any prior does, or well
    enough for a face, or lie in it by ``covered``. *share*: how much of each prior lies in each area."""
    best = overlap.max(dim=1, keepdim=True).values if len(overlap) else overlap
    least = best.clamp(min=TINY, max=rule.positive) * (1 - 1e-6)  # all that are equal but for rounding
    area, prior = torch.nonzero((overlap >= least) | (share >= rule.covered), as_tuple=True)
    return area, prior
