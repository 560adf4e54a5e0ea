"""The building blocks of RetinaFace: convolutions, SSH context modules, feature pyramid, MobileNet trunk, heads.

Structure and argument names follow biubug6/Pytorch_Retinaface (``models/net.py``, ``models/retinaface.py``), so
that the names in a state dict are those of the published checkpoints. Shapes are (batch, channels, height, width).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rfapp.models.config import leaky_for


def _activation(leaky: float) -> nn.LeakyReLU:
    # Slope 0 is plain ReLU; one module class for both keeps the names and the structure the same.
    return nn.LeakyReLU(negative_slope=leaky, inplace=True)


def conv_bn(inp: int, oup: int, stride: int = 1, leaky: float = 0) -> nn.Sequential:
    """3×3 convolution, batch norm, leaky ReLU."""
    return nn.Sequential(*conv_bn_no_relu(inp, oup, stride), _activation(leaky))


def conv_bn_no_relu(inp: int, oup: int, stride: int) -> nn.Sequential:
    """3×3 convolution and batch norm without an activation."""
    return nn.Sequential(nn.Conv2d(inp, oup, 3, stride, 1, bias=False), nn.BatchNorm2d(oup))


def conv_bn1X1(inp: int, oup: int, stride: int, leaky: float = 0) -> nn.Sequential:
    """1×1 convolution, batch norm, leaky ReLU."""
    return nn.Sequential(nn.Conv2d(inp, oup, 1, stride, padding=0, bias=False), nn.BatchNorm2d(oup), _activation(leaky))


def conv_dw(inp: int, oup: int, stride: int, leaky: float = 0.1) -> nn.Sequential:
    """MobileNet's pair: 3×3 per channel, then 1×1 over channels, each with batch norm and leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False),
        nn.BatchNorm2d(inp),
        _activation(leaky),
        nn.Conv2d(inp, oup, 1, 1, 0, bias=False),
        nn.BatchNorm2d(oup),
        _activation(leaky),
    )


class SSH(nn.Module):
    """Context module (Najibi et al., SSH, 2017): receptive fields of 3×3, 5×5 and 7×7 side by side.

    (B, in_channel, H, W) → (B, out_channel, H, W); *out_channel* must be a multiple of 4.
    """

    def __init__(self, in_channel: int, out_channel: int, slope: float = 0.1) -> None:
        super().__init__()
        if out_channel % 4:
            raise ValueError(f"out_channel must be a multiple of 4, not {out_channel}")
        leaky = leaky_for(out_channel, slope)
        self.conv3X3 = conv_bn_no_relu(in_channel, out_channel // 2, stride=1)
        self.conv5X5_1 = conv_bn(in_channel, out_channel // 4, stride=1, leaky=leaky)
        self.conv5X5_2 = conv_bn_no_relu(out_channel // 4, out_channel // 4, stride=1)
        self.conv7X7_2 = conv_bn(out_channel // 4, out_channel // 4, stride=1, leaky=leaky)
        self.conv7x7_3 = conv_bn_no_relu(out_channel // 4, out_channel // 4, stride=1)

    def forward(self, input: Tensor) -> Tensor:
        shared = self.conv5X5_1(input)
        branches = [self.conv3X3(input), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(branches, dim=1))


class FPN(nn.Module):
    """Feature pyramid (Lin et al., 2017) over three levels, finest first.

    Upsampling goes to the finer level's exact size, so odd sizes need no padding.
    """

    def __init__(self, in_channels_list: Sequence[int], out_channels: int, slope: float = 0.1) -> None:
        super().__init__()
        leaky = leaky_for(out_channels, slope)
        first, second, third = in_channels_list
        self.output1 = conv_bn1X1(first, out_channels, stride=1, leaky=leaky)
        self.output2 = conv_bn1X1(second, out_channels, stride=1, leaky=leaky)
        self.output3 = conv_bn1X1(third, out_channels, stride=1, leaky=leaky)
        self.merge1 = conv_bn(out_channels, out_channels, leaky=leaky)
        self.merge2 = conv_bn(out_channels, out_channels, leaky=leaky)

    def forward(self, input: Sequence[Tensor] | Mapping[str, Tensor]) -> list[Tensor]:
        levels = list(input.values()) if isinstance(input, Mapping) else list(input)
        fine, middle, coarse = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return [fine, middle, coarse]


class MobileNetV1(nn.Module):
    """MobileNet (Howard et al., 2017), by default at a quarter of its width; by itself a classifier of 1000 classes.

    *leaky* is the slope of every activation, *channels* how many planes a picture has. (B, channels, H, W) →
    (B, classes); as RetinaFace's trunk only the three stages are used (strides 8, 16, 32; 256, 512, 1024 channels
    times *width*).
    """

    def __init__(self, leaky: float = 0.1, classes: int = 1000, width: float = 0.25, channels: int = 3) -> None:
        super().__init__()
        base = round(32 * width)

        def pair(inp: int, oup: int, stride: int) -> nn.Sequential:
            return conv_dw(inp, oup, stride, leaky)

        self.stage1 = nn.Sequential(
            conv_bn(channels, base, 2, leaky=leaky),
            pair(base, 2 * base, 1),
            pair(2 * base, 4 * base, 2),
            pair(4 * base, 4 * base, 1),
            pair(4 * base, 8 * base, 2),
            pair(8 * base, 8 * base, 1),
        )
        self.stage2 = nn.Sequential(pair(8 * base, 16 * base, 2), *(pair(16 * base, 16 * base, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(pair(16 * base, 32 * base, 2), pair(32 * base, 32 * base, 1))
        self.avg = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(32 * base, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(x)))
        return cast(Tensor, self.fc(self.avg(x).flatten(1)))


class Head(nn.Module):
    """A 1×1 convolution that tells *values* numbers for each of *num_anchors* priors of a cell.

    (B, C, H, W) → (B, H·W·num_anchors, values), the anchor running fastest.
    """

    values: int

    def __init__(self, inchannels: int = 512, num_anchors: int = 3) -> None:
        super().__init__()
        self.num_anchors = num_anchors
        self.conv1x1 = nn.Conv2d(inchannels, num_anchors * self.values, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv1x1(x)).permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.values)


class ClassHead(Head):
    """Raw scores of background and face."""

    values = 2


class BboxHead(Head):
    """Deltas of centre x, centre y, width, height."""

    values = 4


class LandmarkHead(Head):
    """Deltas of five points, x before y."""

    values = 10


def make_class_head(fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
    """A class head for each pyramid level; weights are not shared."""
    return nn.ModuleList(ClassHead(inchannels, anchor_num) for _ in range(fpn_num))


def make_bbox_head(fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
    """A box head for each pyramid level."""
    return nn.ModuleList(BboxHead(inchannels, anchor_num) for _ in range(fpn_num))


def make_landmark_head(fpn_num: int = 3, inchannels: int = 64, anchor_num: int = 2) -> nn.ModuleList:
    """A landmark head for each pyramid level."""
    return nn.ModuleList(LandmarkHead(inchannels, anchor_num) for _ in range(fpn_num))
