"""What a network has to reach in a step of training: matching and loss behind one face, for each family of networks.

The loop asks it to match before the network runs, sums what it counts over all parts and processes, and then has it
compare. ``told`` names the numbers that it gives back, the loss first, as they stand in ``metrics.jsonl``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from rfapp.errors import SettingsError
from rfapp.models.config import ModelConfig
from rfapp.models.prior_box import PriorBox
from rfapp.text import mark
from rfapp.training.keeping import Said, change_of_boxes, change_of_landmarks, change_of_scores
from rfapp.training.losses import MultiBoxLoss, at_least_one
from rfapp.training.matching import Matches, Matching, Targets, match
from rfapp.training.recipes import Recipe
from rfapp.training.two_step import TwoStepLoss, summed
from rfapp.training.world import World


class Objective(Protocol):
    """See the head of this file."""

    told: tuple[str, ...]

    def match(self, targets: Targets) -> Matches:
        """What the priors of a part are to find, as far as it is known before the network runs."""

    def counts(self, targets: Targets, found: Matches) -> Tensor:
        """Numbers of a part that have to be summed over the whole step; int64, one-dimensional."""

    def __call__(
        self, outputs: Any, found: Matches, targets: Targets, counts: Tensor, former: Said | None = None
    ) -> tuple[Tensor, Tensor]:
        """The share of a part in the step's loss, and of all that is ``told``, without gradient. *former*: what the
        first weights say, where the recipe wants it kept."""


#: Deltas are compared in these shares of a prior, centre and size, whatever units the network tells them in: in whole
#: priors smooth L1 would hardly notice them.
UNITS = (0.1, 0.2)


class OneStep:
    """RetinaFace. Every divisor is known beforehand, so that dividing a batch changes nothing."""

    told: tuple[str, ...] = ("loss", "loss_box", "loss_class", "loss_landmark")

    def __init__(self, config: ModelConfig, recipe: Recipe, device: torch.device) -> None:
        self._keep = recipe.keep
        if recipe.keep:
            self.told = (*self.told, "loss_keep")
        self._priors = _priors(config, recipe, device)
        self._units = _units_of(config, device)
        # A box that counts its last pixel is half a pixel larger on each side.
        self._larger = 0.5 / recipe.augmentation.size if config.inclusive else 0.0
        self._rule = Matching(
            positive=recipe.overlap, negative=recipe.background or recipe.overlap, forced=recipe.forced
        )
        self._loss = MultiBoxLoss(
            variance=UNITS,
            box=recipe.box_loss,
            classes=recipe.class_loss,
            negatives=recipe.negatives,
            least_negatives=recipe.least_negatives,
            landmark_weight=recipe.landmark_weight,
        )

    def match(self, targets: Targets) -> Matches:
        return match(self._priors, self._counted(targets), self._rule)

    def counts(self, targets: Targets, found: Matches) -> Tensor:
        """Positive priors, and those whose face has landmarks."""
        return torch.stack([found.face.new_tensor(len(found)), targets.known[found.face].sum()])

    def __call__(
        self,
        outputs: tuple[Tensor, Tensor, Tensor],
        found: Matches,
        targets: Targets,
        counts: Tensor,
        former: Said | None = None,
    ) -> tuple[Tensor, Tensor]:
        positives, with_landmarks = counts.tolist()
        if self._units is not None:
            outputs = Said(*outputs).scaled(self._units)
            former = former and former.scaled(self._units)
        counted = self._counted(targets)
        sums = self._loss(outputs, self._priors, found, counted)
        loss, shares = self._loss.total(sums, positives, with_landmarks)
        told = [shares.box, shares.classes, shares.landmark]
        if former is not None:
            boxes = change_of_boxes(outputs[0], former, self._priors, found, counted, variance=UNITS)
            landmarks = change_of_landmarks(outputs[2], former, found, targets)
            change = change_of_scores(outputs[1], former.classes, found, targets)
            change = change + self._loss.box_weight * boxes + self._loss.landmark_weight * landmarks
            change = change / at_least_one(positives)
            loss = loss + self._keep * change
            told.append(change)
        return loss, torch.stack([loss, *told]).detach()

    def _counted(self, targets: Targets) -> Targets:
        """*targets* with boxes as the network counts them."""
        if not self._larger:
            return targets
        grown = targets.boxes + targets.boxes.new_tensor([-self._larger] * 2 + [self._larger] * 2)
        sound = (targets.boxes[:, 2:] > targets.boxes[:, :2]).all(dim=1, keepdim=True)  # none gets an area by this
        return replace(targets, boxes=torch.where(sound, grown, targets.boxes))


def _units_of(config: ModelConfig, device: torch.device) -> Tensor | None:
    """What the four deltas of a box and the ten of landmarks have to be multiplied with for :data:`UNITS`; None where
    they are told in these."""
    if config.variance == UNITS:
        return None
    near, growth = (told / wanted for told, wanted in zip(config.variance, UNITS, strict=True))
    return torch.tensor([near, near, growth, growth] + [near] * 10, device=device)


class TwoStep:
    """AInnoFace. What the second step is divided by is known only when the first one has spoken: it is summed over the
    processes, but each of the *parts* that follow one another in a process has its own, and counts alike."""

    told: tuple[str, ...] = ("loss", "loss_box", "loss_class", "loss_landmark", "loss_first_box", "loss_first_class")

    def __init__(self, config: ModelConfig, recipe: Recipe, device: torch.device, world: World, parts: int) -> None:
        if recipe.class_loss != "focal":
            raise SettingsError(
                mark("{network} learns with the focal loss."),
                mark("Choose the class loss “focal” in the recipe."),
                network=config.architecture,
            )
        if recipe.keep:
            raise SettingsError(
                mark("{network} can't be held near its first weights."),
                mark("Set the recipe's “keep” to 0."),
                network=config.architecture,
            )
        self._priors = _priors(config, recipe, device)
        self._world, self._parts = world, parts
        self._loss = TwoStepLoss(
            config=config,
            first=Matching(positive=recipe.first_overlap, negative=recipe.first_background),
            second=Matching(
                positive=recipe.overlap, negative=recipe.background or recipe.overlap, forced=recipe.forced
            ),
            box=recipe.box_loss,
        )

    def match(self, targets: Targets) -> Matches:
        return match(self._priors, targets, self._loss.first)

    def counts(self, targets: Targets, found: Matches) -> Tensor:
        """None."""
        return found.face.new_zeros(0)

    def __call__(
        self, outputs: Any, found: Matches, targets: Targets, counts: Tensor, former: Said | None = None
    ) -> tuple[Tensor, Tensor]:
        sums, mine = self._loss(outputs, self._priors, found, targets)
        loss, parts = self._loss.total(sums, summed(mine, self._world.sum))
        told = [loss, parts.first_boxes + parts.boxes, parts.first_classes + parts.classes, parts.landmarks]
        told += [parts.first_boxes, parts.first_classes]
        return loss / self._parts, torch.stack(told).detach() / self._parts


def objective_for(
    config: ModelConfig, recipe: Recipe, device: torch.device, world: World | None = None, parts: int = 1
) -> Objective:
    """What networks of *config* are trained for; *parts*: in how many a batch is divided. Raises SettingsError."""
    if config.family == "AInnoFace":
        return TwoStep(config, recipe, device, world or World(), parts)
    return OneStep(config, recipe, device)


def _priors(config: ModelConfig, recipe: Recipe, device: torch.device) -> Tensor:
    size = recipe.augmentation.size
    return PriorBox(config, (size, size)).forward().to(device)
