"""Targets and losses of AInnoFace's two steps, after SRN (Chi et al., AAAI 2019). All arithmetic is float32.

L = L_STC + L_STR + a tenth of the landmarks' loss, which is an addition of rfapp. L_STC: the focal loss of the first
step over all priors of the fine levels, divided by their positive ones, and that of the second step over the priors
that got through the first one and those of the coarse levels, divided by the positive ones among them. L_STR: −ln IoU
of the first step's boxes on the coarse levels and of the second step's on all, each divided by its positive priors.

In the first step a prior is positive from an overlap of 0.7 and background below 0.3; in the second one from 0.5 and
below 0.4, and there priors of the coarse levels are matched where the first step has moved them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rfapp.models.ainnoface import Steps, least_logit
from rfapp.models.config import ModelConfig
from rfapp.training.boxes import encode_landmarks, moved_priors
from rfapp.training.losses import at_least_one, box_losses, focal_loss
from rfapp.training.matching import Matches, Matching, Targets, match
from rfapp.training.recipes import BoxLoss

#: Points are compared in tenths of a prior's size, as RetinaFace's variance has them, and count a tenth, as in its
#: paper.
_LANDMARK_UNIT, _LANDMARK_WEIGHT = 0.1, 0.1
#: Priors grow by this factor at most (Detectron); an untrained step must not lead to infinity.
_MOST_GROWTH = 1000 / 16


@dataclass(frozen=True, slots=True)
class StepLosses:
    """Sums over the batch, or what they give divided: the focal loss and that of boxes of both steps, and landmarks."""

    first_classes: Tensor
    first_boxes: Tensor
    classes: Tensor
    boxes: Tensor
    landmarks: Tensor


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What the sums are divided by. ``first_classes`` and ``first_boxes``: positive priors of the first step on the
    fine and on the coarse levels. ``classes``: positive priors of the second step, without the ``lost`` ones, which the
    first step dropped. ``boxes``: with them. ``landmarks``: those whose face has points. ``dropped``: all priors that
    the first step dropped, and ``lost`` the positive ones among them."""

    first_classes: Tensor
    first_boxes: Tensor
    classes: Tensor
    boxes: Tensor
    landmarks: Tensor
    dropped: Tensor
    lost: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStepLoss:
    """Compares what both steps say with what they should say."""

    config: ModelConfig
    first: Matching
    second: Matching
    box: BoxLoss = "log_iou"

    def __call__(self, steps: Steps, priors: Tensor, found: Matches, targets: Targets) -> tuple[StepLosses, StepCounts]:
        """Sums and what to divide them by. *priors* (N, 4), and *found*: their matches by the rule of the first
        step."""
        with torch.autocast(steps.boxes.device.type, enabled=False):
            first_classes, first_positives = self._first_classes(steps.first_scores, found)
            first_boxes, first_regressed = self._first_boxes(steps.first_boxes, priors, found, targets)
            refined = moved_priors(
                _bounded(steps.first_boxes.detach()),
                priors[len(priors) - steps.first_boxes.shape[1] :],
                self.config.variance,
            )
            again = match(priors, targets, self.second, refined=refined)
            classes, positives, dropped = self._classes(steps, again)
            chosen = _chosen(priors, refined, again)
            faces, at = targets.boxes[again.face], (again.picture, again.prior)
            boxes = box_losses(self.box, _bounded(steps.boxes[at]), chosen, faces, self.config.variance)
            landmarks, with_landmarks = self._landmarks(steps.landmarks, chosen, again, targets)
        count = positives.new_tensor
        lost = count(len(again)) - positives
        return (
            StepLosses(first_classes, first_boxes, classes, boxes, landmarks),
            StepCounts(first_positives, first_regressed, positives, count(len(again)), with_landmarks, dropped, lost),
        )

    def total(self, sums: StepLosses, counts: StepCounts) -> tuple[Tensor, StepLosses]:
        """The loss, and its parts divided by the *counts*, which are those of the whole step."""
        parts = StepLosses(
            sums.first_classes / at_least_one(counts.first_classes),
            sums.first_boxes / at_least_one(counts.first_boxes),
            sums.classes / at_least_one(counts.classes),
            sums.boxes / at_least_one(counts.boxes),
            sums.landmarks / at_least_one(counts.landmarks),
        )
        both = parts.first_classes + parts.first_boxes + parts.classes + parts.boxes
        return both + _LANDMARK_WEIGHT * parts.landmarks, parts

    @staticmethod
    def _first_classes(scores: Tensor, found: Matches) -> tuple[Tensor, Tensor]:
        fine = scores.shape[1]
        labels = _labels(found)[:, :fine]
        each = focal_loss(scores, labels)
        return (each * (found.background[:, :fine] | (labels > 0))).sum(), labels.sum()

    def _first_boxes(self, deltas: Tensor, priors: Tensor, found: Matches, targets: Targets) -> tuple[Tensor, Tensor]:
        begin = len(priors) - deltas.shape[1]
        coarse = found.prior >= begin
        picture, prior, face = found.picture[coarse], found.prior[coarse], found.face[coarse]
        told = _bounded(deltas[picture, prior - begin])
        loss = box_losses(self.box, told, priors[prior], targets.boxes[face], self.config.variance)
        return loss, coarse.sum()

    def _classes(self, steps: Steps, again: Matches) -> tuple[Tensor, Tensor, Tensor]:
        """The focal loss over the priors that got through, how many of these are positive, and how many did not."""
        passed = torch.ones_like(again.background)
        passed[:, : steps.first_scores.shape[1]] = steps.first_scores.detach() > least_logit(self.config)
        labels = _labels(again)
        each = focal_loss(steps.scores, labels)
        loss = (each * (again.background | (labels > 0)) * passed).sum()
        return loss, (labels * passed).sum(), (~passed).sum()

    def _landmarks(
        self, deltas: Tensor | None, chosen: Tensor, again: Matches, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        known = targets.known[again.face]
        if deltas is None:
            return chosen.new_zeros(()), known.new_zeros((), dtype=torch.float32)
        told = deltas[again.picture, again.prior][known]
        wanted = encode_landmarks(targets.landmarks[again.face][known], chosen[known], self.config.variance)
        return F.smooth_l1_loss(told / _LANDMARK_UNIT, wanted / _LANDMARK_UNIT, reduction="sum"), known.sum()


def _labels(matches: Matches) -> Tensor:
    """float32 (B, N): 1 for positive priors."""
    labels = torch.zeros(matches.background.shape, device=matches.background.device)
    labels[matches.picture, matches.prior] = 1
    return labels


def _bounded(deltas: Tensor) -> Tensor:
    return torch.cat([deltas[..., :2], deltas[..., 2:].clamp(max=math.log(_MOST_GROWTH))], dim=-1)


def _chosen(priors: Tensor, refined: Tensor, matches: Matches) -> Tensor:
    """(P, 4): the prior of each match, where the first step has moved it to if it did."""
    begin = len(priors) - refined.shape[1]
    if begin == len(priors):
        return priors[matches.prior]
    theirs = refined[matches.picture, (matches.prior - begin).clamp(min=0)]
    return torch.where((matches.prior >= begin)[:, None], theirs, priors[matches.prior])


#: Adds a tensor up over all processes.
Sum = Callable[[Tensor], Tensor]


def summed(counts: StepCounts, total: Sum) -> StepCounts:
    """*counts* of all processes together."""
    values = torch.stack([getattr(counts, name).float() for name in StepCounts.__slots__])
    return StepCounts(*total(values))
