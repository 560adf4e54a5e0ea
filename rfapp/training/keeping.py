"""Not forgetting while learning: what the first weights say about a picture counts beside its labels.

Learning without Forgetting (Li & Hoiem, 2016): a good network that goes on learning from few kinds of pictures loses
what it knows of all others. Where no label tells otherwise, what it says is held near what its first weights say of the
same picture: its class scores, but for pictures without any face, for what was found there is to be unlearned; and the
landmarks of faces that have no labelled ones. Where a label tells of a face that the first weights find, too, its box
is held near theirs beside what the label says: data from several hands disagree on where a face ends.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rfapp.models.networks import Network
from rfapp.training.boxes import decode_boxes, overlap_of_pairs
from rfapp.training.matching import Matches, Targets

#: From this intersection over union on the first weights and a label mean the same face; the number by which WIDER FACE
#: counts one as found.
SAME_FACE = 0.5


class Said(NamedTuple):
    """What a network says of a batch: the deltas of ``boxes`` (B, N, 4), raw ``classes`` (B, N, 2) and the deltas of
    ``landmarks`` (B, N, 10)."""

    boxes: Tensor
    classes: Tensor
    landmarks: Tensor

    def scaled(self, units: Tensor) -> Said:
        """The same with deltas times *units* (14: those of a box, those of landmarks)."""
        return Said(self.boxes.float() * units[:4], self.classes, self.landmarks.float() * units[4:])


class Former:
    """A network as it is now, whatever becomes of it. Called with (B, channels, H, W)."""

    def __init__(self, network: Network) -> None:
        self._network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Said:
        return Said(*self._network(images))


def change_of_scores(classes: Tensor, former: Tensor, matches: Matches, targets: Targets) -> Tensor:
    """The Kullback-Leibler divergence of the class scores *classes* from the *former* ones, both raw and (B, N, 2),
    summed over all priors but the positive ones and those of pictures without any labelled face or area to ignore."""
    counted = torch.zeros(classes.shape[:2], dtype=torch.bool, device=classes.device)
    counted[targets.picture] = True
    counted[matches.picture, matches.prior] = False
    with torch.autocast(classes.device.type, enabled=False):
        now, before = (F.log_softmax(each[counted].float(), dim=-1) for each in (classes, former))
        return F.kl_div(now, before, reduction="sum", log_target=True)


def change_of_landmarks(landmarks: Tensor, former: Said, matches: Matches, targets: Targets) -> Tensor:
    """Smooth L1 of the deltas *landmarks* (B, N, 10) from the *former* ones, summed over the positive priors whose face
    has no labelled landmarks but was a face to the first weights, too."""
    picture, prior = matches.picture, matches.prior
    scores = former.classes[picture, prior].float()
    held = ~targets.known[matches.face] & (scores[:, 1] > scores[:, 0])
    at = picture[held], prior[held]
    with torch.autocast(landmarks.device.type, enabled=False):
        return F.smooth_l1_loss(landmarks[at].float(), former.landmarks[at].float(), reduction="sum")


def change_of_boxes(
    deltas: Tensor, former: Said, priors: Tensor, matches: Matches, targets: Targets, *, variance: tuple[float, float]
) -> Tensor:
    """Smooth L1 of the deltas of boxes (B, N, 4), in the units of *variance*, from the *former* ones, summed over the
    positive priors at which the first weights saw their face, too. *priors*: (N, 4), centre and size."""
    picture, prior = matches.picture, matches.prior
    scores = former.classes[picture, prior].float()
    with torch.autocast(deltas.device.type, enabled=False):
        boxes = decode_boxes(former.boxes[picture, prior].float(), priors[prior], variance)
        overlap, _ = overlap_of_pairs(boxes, targets.boxes[matches.face].float())
        held = (scores[:, 1] > scores[:, 0]) & (overlap >= SAME_FACE)
        at = picture[held], prior[held]
        return F.smooth_l1_loss(deltas[at].float(), former.boxes[at].float(), reduction="sum")
