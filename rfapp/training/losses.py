"""What the network has to make small. All arithmetic is float32, whatever the network runs in.

RetinaFace's loss (biubug6/Pytorch_Retinaface, ``layers/modules/multibox_loss.py``, after SSD) is 2 · boxes + classes +
landmarks: smooth L1 of the deltas of positive priors, cross-entropy of positive ones and the seven times as many
background ones of each picture that are worst, smooth L1 of the landmarks of faces whose landmarks are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rfapp.training.boxes import TINY, areas, decode_boxes, encode_boxes, encode_landmarks, overlap_of_pairs
from rfapp.training.matching import Matches, Targets
from rfapp.training.recipes import BoxLoss, ClassLoss

#: −ln is taken of at least this: boxes that do not touch have no finite loss.
LEAST_IOU = 1e-6


def iou_loss(boxes: Tensor, faces: Tensor) -> Tensor:
    """1 − intersection over union, row by row: (K, 4) and (K, 4) → (K). 1 where they do not touch."""
    return 1 - overlap_of_pairs(boxes.float(), faces.float())[0]


def log_iou_loss(boxes: Tensor, faces: Tensor) -> Tensor:
    """−ln of the intersection over union (Yu et al., UnitBox, 2016). Where boxes do not touch it is −ln 10⁻⁶ and has no
    gradient."""
    return -torch.log(overlap_of_pairs(boxes.float(), faces.float())[0].clamp(min=LEAST_IOU))


def giou_loss(boxes: Tensor, faces: Tensor) -> Tensor:
    """1 − generalised intersection over union (Rezatofighi et al., 2019): between 0 and 2, and with a gradient also
    where the boxes do not touch."""
    boxes, faces = boxes.float(), faces.float()
    overlap, union = overlap_of_pairs(boxes, faces)
    low = torch.minimum(boxes[:, :2], faces[:, :2])
    high = torch.maximum(boxes[:, 2:], faces[:, 2:])
    hull = areas(torch.cat([low, high], dim=1))
    return 1 - overlap + (hull - union).clamp(min=0) / hull.clamp(min=TINY)


def focal_loss(logits: Tensor, labels: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., 2017), element by element: raw scores and labels 0 or 1 of one shape → the same shape.

    What is told with confidence p for the true side costs −α (1 − p)^γ ln p, with 1 − α for background.
    """
    logits, labels = logits.float(), labels.float()
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    wrong = torch.sigmoid(torch.where(labels > 0, -logits, logits))  # 1 − p, without cancellation near 0
    return torch.where(labels > 0, alpha, 1 - alpha) * wrong**gamma * entropy


_OVERLAP_LOSSES = {"iou": iou_loss, "giou": giou_loss, "log_iou": log_iou_loss}


def box_losses(kind: BoxLoss, deltas: Tensor, priors: Tensor, faces: Tensor, variance: tuple[float, float]) -> Tensor:
    """The sum over rows: (K, 4) deltas to (K, 4) priors against (K, 4) faces. "smooth_l1" compares deltas, all others
    boxes."""
    if kind == "smooth_l1":
        return F.smooth_l1_loss(deltas, encode_boxes(faces, priors, variance), reduction="sum")
    return _OVERLAP_LOSSES[kind](decode_boxes(deltas, priors, variance), faces).sum()


@dataclass(frozen=True, slots=True)
class Sums:
    """The parts of the loss, summed over the batch and not yet divided: scalars."""

    box: Tensor
    classes: Tensor
    landmark: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiBoxLoss:
    """Compares what the network says with what it should say.

    ``negatives``: background priors for each positive one of a picture. ``least_negatives``: so many are taken at
    least, also from a picture without faces, which would teach nothing otherwise. ``classes`` "focal" takes all priors
    with the focal loss instead. ``box`` other than "smooth_l1" compares decoded boxes. ``box_weight`` and
    ``landmark_weight`` are for the sum of the parts.
    """

    variance: tuple[float, float]
    box: BoxLoss = "smooth_l1"
    classes: ClassLoss = "mined"
    negatives: int = 7
    least_negatives: int = 0
    box_weight: float = 2.0
    landmark_weight: float = 1.0

    def __call__(
        self, outputs: tuple[Tensor, Tensor, Tensor], priors: Tensor, matches: Matches, targets: Targets
    ) -> Sums:
        """*outputs*: the network's boxes (B, N, 4), raw classes (B, N, 2) and landmarks (B, N, 10); *priors* (N, 4) as
        they were matched."""
        deltas, classes, landmarks = outputs
        chosen = priors[matches.prior]
        at = matches.picture, matches.prior
        with torch.autocast(deltas.device.type, enabled=False):
            return Sums(
                box_losses(self.box, deltas[at].float(), chosen, targets.boxes[matches.face], self.variance),
                self._classes(classes.float(), matches),
                self._landmarks(landmarks[at].float(), chosen, matches, targets),
            )

    def total(self, parts: Sums, positives: Tensor | float, with_landmarks: Tensor | float) -> tuple[Tensor, Sums]:
        """The loss, and its parts divided: boxes and classes by the number of positive priors, landmarks by the number
        of those whose face has any; by 1 at least.

        The numbers are handed in because they are those of the whole step, of which *parts* may be a share.
        """
        box = parts.box / at_least_one(positives)
        classes = parts.classes / at_least_one(positives)
        landmark = parts.landmark / at_least_one(with_landmarks)
        return self.box_weight * box + classes + self.landmark_weight * landmark, Sums(box, classes, landmark)

    def _classes(self, scores: Tensor, matches: Matches) -> Tensor:
        if self.classes == "focal":
            labels = torch.zeros_like(scores[..., 0])
            labels[matches.picture, matches.prior] = 1
            each = focal_loss(scores[..., 1] - scores[..., 0], labels)
            return (each * (matches.background | (labels > 0))).sum()
        positive = scores[matches.picture, matches.prior]
        face = torch.ones(len(positive), dtype=torch.int64, device=scores.device)
        return F.cross_entropy(positive, face, reduction="sum") + self._worst_backgrounds(scores, matches)

    def _worst_backgrounds(self, scores: Tensor, matches: Matches) -> Tensor:
        """The cross-entropy of the background priors of each picture that are taken for faces most."""
        pictures = len(scores)
        losses = torch.logsumexp(scores, dim=2) - scores[..., 0]
        positives = torch.bincount(matches.picture, minlength=pictures)
        wanted = (positives * self.negatives).clamp(min=self.least_negatives)
        wanted = torch.minimum(wanted, matches.background.sum(dim=1))
        most = int(wanted.max()) if pictures else 0
        ranked = torch.where(matches.background, losses, -torch.inf).topk(most, dim=1).values
        taken = torch.arange(most, device=scores.device) < wanted[:, None]
        return ranked[taken].sum()

    def _landmarks(self, deltas: Tensor, priors: Tensor, matches: Matches, targets: Targets) -> Tensor:
        known = targets.known[matches.face]
        wanted = encode_landmarks(targets.landmarks[matches.face][known], priors[known], self.variance)
        return F.smooth_l1_loss(deltas[known], wanted, reduction="sum")


def at_least_one(count: Tensor | float) -> Tensor | float:
    return count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1.0)
