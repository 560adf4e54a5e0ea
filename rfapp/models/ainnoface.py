"""AInnoFace (Zhang et al., "Accurate Face Detection for High Performance", 2019): two steps over six levels.

The network is SRN's (Chi et al., "Selective Refinement Network for High Performance Face Detection", AAAI 2019; layout
after ChiCheng123/SRN, ``srn/model``): a ResNet whose raw features C2 … C7 (strides 4 … 128) make a first step, and a
pyramid P2 … P7 over them that makes the second one. Selective two-step classification (STC): on the fine levels, which
have nearly all priors, the first step drops what is surely background. Selective two-step regression (STR): on the
coarse levels the first step moves the priors, and the second tells deltas to these. One head serves all levels and both
steps, the predictors included, as in the released code. AInnoFace adds max-out scores (and, in training, −ln IoU and
data-anchor-sampling). The branch for landmarks, a predictor beside that of boxes, is an addition of rfapp.

With a background score and a face score in place of one sigmoid, the logit of a prior is the highest of its face scores
less the highest of its background scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rfapp.models.config import ModelConfig
from rfapp.models.retinaface import Phase, make_trunk

#: What a prior of chance says about a face: training begins with all background (RetinaNet).
FACE_PROBABILITY = 0.01
#: The logit of what the first step dropped: a score of 0 for all purposes that is still a number above 0.
DROPPED = -80.0
#: Heads begin with this spread at a width of 256; narrower ones with more, so that as much comes through them.
_HEAD_STD, _HEAD_WIDTH = 0.01, 256
#: The branches of a receptive field enhancement: faces are seldom square.
RFE_KERNELS = ((1, 5), (5, 1), (1, 3), (3, 1))


class Steps(NamedTuple):
    """What both steps say, raw, over the N priors of :class:`rfapp.models.prior_box.PriorBox`.

    ``boxes`` (B, N, 4) and ``landmarks`` (B, N, 10) or None: the second step's deltas. ``scores`` (B, N): its face
    logits. ``first_boxes`` (B, R, 4): the first step's deltas of the last R priors, to which the second step's are
    relative. ``first_scores`` (B, S): its face logits of the first S priors.
    """

    boxes: Tensor
    scores: Tensor
    landmarks: Tensor | None
    first_boxes: Tensor
    first_scores: Tensor


def least_logit(config: ModelConfig) -> float:
    """The first step's logit above which a prior gets into the second one."""
    return math.log((1 - config.filter_threshold) / config.filter_threshold)


def settle(steps: Steps, config: ModelConfig) -> tuple[Tensor, Tensor, Tensor | None]:
    """Both steps as one: deltas to the plain priors, logits, and landmarks or None.

    The score is always the second step's, or :data:`DROPPED`. Deltas of deltas are deltas again: a prior of size s that
    goes by d·s and grows by e^g, and then by d′ and e^g′, has gone by (d + d′·e^g)·s and grown by e^(g + g′).
    """
    first, passed = steps.first_boxes, steps.first_scores > least_logit(config)
    count, refined = passed.shape[1], first.shape[1]
    scores = torch.where(passed, steps.scores[:, :count], DROPPED)
    scores = torch.cat([scores, steps.scores[:, count:]], dim=1)
    if not refined:
        return steps.boxes, scores, steps.landmarks
    shift, growth = first[..., :2], first[..., 2:]
    plain, last = steps.boxes[:, :-refined], steps.boxes[:, -refined:]
    moved = torch.cat([shift + last[..., :2] * growth.exp(), growth + last[..., 2:]], dim=2)
    landmarks = steps.landmarks
    if landmarks is not None:
        points = shift.repeat(1, 1, 5) + landmarks[:, -refined:] * growth.exp().repeat(1, 1, 5)
        landmarks = torch.cat([landmarks[:, :-refined], points], dim=1)
    return torch.cat([plain, moved], dim=1), scores, landmarks


class RFE(nn.Module):
    """Receptive field enhancement (SRN): four thin branches with oblong kernels, joined and added to what came in.

    (B, channels, H, W) → the same; *channels* is a multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, quarter, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(quarter, quarter, kernel, padding=(kernel[0] // 2, kernel[1] // 2)),
                nn.ReLU(inplace=True),
                nn.Conv2d(quarter, quarter, 1),
                nn.ReLU(inplace=True),
            )
            for kernel in RFE_KERNELS
        )
        self.join = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.join(torch.cat([branch(x) for branch in self.branches], dim=1)))


class Tower(nn.Module):
    """What stands before a predictor: 3×3 convolution, RFE, 3×3 convolution. Keeps width and size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.rfe = RFE(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.rfe(F.relu(self.conv1(x)))))


class TwoStepHead(nn.Module):
    """Scores, boxes and landmarks of one feature map (B, channels, H, W); n runs over its cells and their priors.

    The class predictor's channels run by score (faces first, then backgrounds) and then by prior.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, anchors = config.out_channel, config.anchors_per_cell
        self.anchors, self.faces = anchors, config.max_out[0]
        self.class_tower = Tower(channels)
        self.class_scores = nn.Conv2d(channels, anchors * sum(config.max_out), 1)
        self.box_tower = Tower(channels)
        self.box_deltas = nn.Conv2d(channels, anchors * 4, 1)
        self.landmark_deltas = nn.Conv2d(channels, anchors * 10, 1) if config.landmarks else None
        spread = _HEAD_STD * math.sqrt(_HEAD_WIDTH / channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=spread)
                nn.init.zeros_(cast(Tensor, module.bias))
        odds = math.log(FACE_PROBABILITY / (1 - FACE_PROBABILITY))
        nn.init.constant_(cast(Tensor, self.class_scores.bias)[: anchors * self.faces], odds)

    def scores(self, x: Tensor) -> Tensor:
        """(B, n): face logits."""
        told = self.class_scores(self.class_tower(x)).float()
        faces, backgrounds = told.unflatten(1, (-1, self.anchors)).tensor_split([self.faces], dim=1)
        logits: Tensor = faces.amax(dim=1) - backgrounds.amax(dim=1)
        return logits.permute(0, 2, 3, 1).flatten(1)

    def boxes(self, x: Tensor) -> Tensor:
        """(B, n, 4): deltas of boxes alone, which is all that a first step wants."""
        return _by_prior(self.box_deltas(self.box_tower(x)), 4)

    def boxes_and_landmarks(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, n, 4), and (B, n, 10) or None."""
        x = self.box_tower(x)
        landmarks = None if self.landmark_deltas is None else _by_prior(self.landmark_deltas(x), 10)
        return _by_prior(self.box_deltas(x), 4), landmarks


def _by_prior(maps: Tensor, values: int) -> Tensor:
    return maps.float().permute(0, 2, 3, 1).reshape(maps.shape[0], -1, values)


class TwoStepPyramid(nn.Module):
    """C2 … C5 → P2 … P7, all of one width: lateral 1×1 convolutions, top-down sums, a 3×3 convolution on each.

    P6 is made of C5's lateral by a 3×3 convolution of stride 2, and P7 likewise of P6.
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)
        self.p6 = nn.Conv2d(channels, channels, 3, 2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, 2, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        coarsest = self.laterals[-1](levels[-1])
        sums = [coarsest]
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            finer = lateral(level)
            sums.append(finer + _raised(sums[-1].to(finer.dtype), finer))
        pyramid = [output(level) for output, level in zip(self.outputs, reversed(sums), strict=True)]
        p6 = self.p6(coarsest)
        return [*pyramid, p6, self.p7(p6)]


def _raised(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)


class AInnoFace(nn.Module):
    """(B, 3, H, W), means subtracted → :class:`Steps`; in the *phase* "test" what RetinaFace gives: boxes (B, N, 4),
    classes (B, N, 2), landmarks (B, N, 10) or None, with both steps made one (:func:`settle`)."""

    def __init__(self, cfg: ModelConfig, phase: Phase = "train") -> None:
        super().__init__()
        self.config = cfg
        self.phase = phase
        self.frozen = False
        self.body = make_trunk(cfg)
        widths = [cfg.in_channel * factor for factor in (1, 2, 4, 8)]
        #: Published widths, 2048 → 1024 → 256, for a body of 2048 channels.
        self.c6 = nn.Conv2d(widths[3], widths[2], 3, 2, padding=1)
        self.c7 = nn.Conv2d(widths[2], widths[0], 3, 2, padding=1)
        raw = [*widths, widths[2], widths[0]]
        levels = len(cfg.steps)
        first = sorted({*range(cfg.stc_levels), *range(levels - cfg.str_levels, levels)})
        self.first = nn.ModuleDict({str(level): nn.Conv2d(raw[level], cfg.out_channel, 1) for level in first})
        self.pyramid = TwoStepPyramid(widths, cfg.out_channel)
        for part in (self.c6, self.c7, self.first, self.pyramid):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(cast(Tensor, module.bias))
        self.head = TwoStepHead(cfg)

    def freeze(self) -> None:
        """For a body that was trained before: its stem learns nothing, and its batch norm keeps its statistics."""
        self.frozen = True
        for part in (self.body["conv1"], self.body["bn1"]):
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> AInnoFace:
        super().train(mode)
        if self.frozen:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def features(self, inputs: Tensor) -> tuple[dict[int, Tensor], list[Tensor]]:
        """The maps of the first step, by level, and those of the second one for all levels; *inputs*: divided by the
        standard deviations."""
        raw = self.body(inputs)
        # Body and coarse levels may run in different precisions.
        raw[3] = raw[3].to(self.c6.weight.dtype)
        c6 = self.c6(raw[3])
        every = [*raw, c6, self.c7(c6)]
        return {int(level): conv(every[int(level)]) for level, conv in self.first.items()}, self.pyramid(raw)

    def forward(self, inputs: Tensor) -> Steps | tuple[Tensor, Tensor, Tensor | None]:
        scale = torch.tensor(self.config.stds, device=inputs.device, dtype=inputs.dtype)
        first, second = self.features(inputs / scale[:, None, None])
        steps = two_steps([self.head] * len(second), first, second, self.config)
        if self.phase == "train":
            return steps
        boxes, logits, landmarks = settle(steps, self.config)
        return boxes, torch.stack([(-logits).sigmoid(), logits.sigmoid()], dim=2), landmarks


def two_steps(
    heads: Sequence[TwoStepHead], first: Mapping[int, Tensor], second: Sequence[Tensor], config: ModelConfig
) -> Steps:
    """Let the head of each level look at its map of each step (:meth:`AInnoFace.features`)."""
    levels = len(second)
    nothing = second[0].new_zeros(second[0].shape[0], 0, dtype=torch.float32)
    scores = [head.scores(x) for head, x in zip(heads, second, strict=True)]
    pairs = [head.boxes_and_landmarks(x) for head, x in zip(heads, second, strict=True)]
    landmarks = [points for _, points in pairs if points is not None]
    first_scores = [heads[level].scores(first[level]) for level in range(config.stc_levels)]
    first_boxes = [heads[level].boxes(first[level]) for level in range(levels - config.str_levels, levels)]
    return Steps(
        torch.cat([boxes for boxes, _ in pairs], dim=1),
        torch.cat(scores, dim=1),
        torch.cat(landmarks, dim=1) if landmarks else None,
        torch.cat(first_boxes, dim=1) if first_boxes else nothing[..., None].expand(-1, -1, 4),
        torch.cat(first_scores, dim=1) if first_scores else nothing,
    )
