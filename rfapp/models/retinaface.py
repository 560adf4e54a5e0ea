"""RetinaFace (Deng et al., CVPR 2020): trunk, feature pyramid, context modules and three heads."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rfapp.models.config import ModelConfig
from rfapp.models.layers import (
    FPN,
    SSH,
    MobileNetV1,
    make_bbox_head,
    make_class_head,
    make_landmark_head,
)
from rfapp.models.resnet import ResNet

Phase = Literal["train", "test"]


class Trunk(nn.ModuleDict):
    """The children of a classifier up to the last one whose output is wanted, run one after the other.

    Keeps the children's names, so a state dict reads ``body.stage1.0.0.weight``. The classifier's own head (average
    pool and fully connected layer) is left behind.
    """

    def __init__(self, classifier: nn.Module, return_layers: tuple[str, ...]) -> None:
        children: OrderedDict[str, nn.Module] = OrderedDict()
        wanted = set(return_layers)
        for name, child in classifier.named_children():
            if not wanted:
                break
            children[name] = child
            wanted.discard(name)
        if wanted:
            raise ValueError(f"{type(classifier).__name__} has no {', '.join(sorted(wanted))}")
        super().__init__(children)
        self.return_layers = return_layers

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for name, child in self.items():
            x = child(x)
            if name in self.return_layers:
                features.append(x)
        return features


def make_trunk(cfg: ModelConfig) -> Trunk:
    """The trunk that *cfg* names, with fresh weights."""
    kind, _, size = cfg.backbone.partition("net")
    classifier: nn.Module
    if kind == "mobile":
        classifier = MobileNetV1(leaky=cfg.slope, width=float(size), channels=cfg.channels)
    else:
        classifier = ResNet(int(size))
    return Trunk(classifier, cfg.return_layers)


class RetinaFace(nn.Module):
    """(B, channels, H, W), means subtracted → boxes (B, N, 4), classes (B, N, 2), landmarks (B, N, 10).

    N runs over the priors as :class:`rfapp.models.prior_box.PriorBox` lays them out; boxes and landmarks are deltas
    to them. *phase* "train" returns raw class scores, "test" their softmax; column 1 is face.
    """

    def __init__(self, cfg: ModelConfig, phase: Phase = "train") -> None:
        super().__init__()
        self.config = cfg
        self.phase = phase
        self.body = make_trunk(cfg)
        widths = [cfg.in_channel * factor for factor in (2, 4, 8)]
        self.fpn = FPN(widths, cfg.out_channel, slope=cfg.slope)
        self.ssh1 = SSH(cfg.out_channel, cfg.out_channel, slope=cfg.slope)
        self.ssh2 = SSH(cfg.out_channel, cfg.out_channel, slope=cfg.slope)
        self.ssh3 = SSH(cfg.out_channel, cfg.out_channel, slope=cfg.slope)
        anchors = cfg.anchors_per_cell
        self.ClassHead = self._make_class_head(inchannels=cfg.out_channel, anchor_num=anchors)
        self.BboxHead = self._make_bbox_head(inchannels=cfg.out_channel, anchor_num=anchors)
        self.LandmarkHead = self._make_landmark_head(inchannels=cfg.out_channel, anchor_num=anchors)

    def _make_class_head(self, fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
        return make_class_head(fpn_num, inchannels, anchor_num)

    def _make_bbox_head(self, fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
        return make_bbox_head(fpn_num, inchannels, anchor_num)

    def _make_landmark_head(self, fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
        return make_landmark_head(fpn_num, inchannels, anchor_num)

    def features(self, inputs: Tensor) -> list[Tensor]:
        """What the heads look at: (B, out_channel, H/stride, W/stride) for strides 8, 16 and 32."""
        fine, middle, coarse = self.fpn(self.body(inputs))
        return [self.ssh1(fine), self.ssh2(middle), self.ssh3(coarse)]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.features(inputs)

        def over_levels(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(feature) for head, feature in zip(heads, features, strict=True)], dim=1)

        boxes, classes, landmarks = map(over_levels, (self.BboxHead, self.ClassHead, self.LandmarkHead))
        if self.phase == "test":
            # In float32 whatever the network runs in: half precision is too coarse near 0 and 1.
            classes = F.softmax(classes.float(), dim=-1)
        return boxes, classes, landmarks
