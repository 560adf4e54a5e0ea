"""RetinaFace made ready to run: batch norm folded, the heads of a level in one convolution."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from rfapp.models.config import ModelConfig
from rfapp.models.layers import Head
from rfapp.models.retinaface import RetinaFace


def fold_batch_norm(module: nn.Module) -> None:
    """Put every batch norm of *module* into the convolution before it, in place.

    Worked out in float64, so that the one rounding to float32 is the only one.
    """
    before: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            assert child.running_mean is not None
            assert child.running_var is not None
            scale = child.weight.double() / torch.sqrt(child.running_var.double() + child.eps)
            bias = child.bias.double() - child.running_mean.double() * scale
            if before.bias is not None:
                bias = bias + before.bias.double() * scale
            before.weight = nn.Parameter((before.weight.double() * scale[:, None, None, None]).float(), False)
            before.bias = nn.Parameter(bias.float(), False)
            setattr(module, name, nn.Identity())
        else:
            fold_batch_norm(child)
        before = child


def _joined_head(class_head: nn.Conv2d, box_head: nn.Conv2d, landmark_head: nn.Conv2d, *, anchors: int) -> nn.Conv2d:
    """One 1×1 convolution for the three heads of a level.

    Of the two class scores only the difference counts: softmax's face column is sigmoid(face − background).
    Channels: A face logits, A·4 box deltas, A·10 landmark deltas.
    """
    weight = class_head.weight.double().view(anchors, 2, -1, 1, 1)
    bias = cast(Tensor, class_head.bias).double().view(anchors, 2)
    joined = nn.Conv2d(class_head.in_channels, anchors * 15, kernel_size=1)
    weights = [(weight[:, 1] - weight[:, 0]).float(), box_head.weight, landmark_head.weight]
    biases = [(bias[:, 1] - bias[:, 0]).float(), cast(Tensor, box_head.bias), cast(Tensor, landmark_head.bias)]
    joined.weight = nn.Parameter(torch.cat(weights), False)
    joined.bias = nn.Parameter(torch.cat(biases), False)
    return joined


class InferenceNetwork(nn.Module):
    """uint8 BGR (B, H, W, 3) → for each level float32 (B, cells, A·15): A face logits, A·4 and A·10 deltas.

    Means are subtracted inside. The trunk, pyramid and context modules run in *dtype*, the heads in
    *head_dtype*. *network* is taken apart for this and can't be used afterwards.
    """

    means: Tensor

    def __init__(self, network: RetinaFace, dtype: torch.dtype, head_dtype: torch.dtype) -> None:
        super().__init__()
        config: ModelConfig = network.config
        self.dtype, self.head_dtype = dtype, head_dtype
        self.anchors = config.anchors_per_cell
        fold_batch_norm(network)
        self.network = network
        self.heads = nn.ModuleList(
            _joined_head(*(cast(Head, head).conv1x1 for head in heads), anchors=self.anchors)
            for heads in zip(network.ClassHead, network.BboxHead, network.LandmarkHead, strict=True)
        )
        del network.ClassHead, network.BboxHead, network.LandmarkHead
        self.flip = config.channel_order == "RGB"
        self.register_buffer("means", torch.tensor(config.means).view(1, 3, 1, 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.network.to(dtype)
        self.heads.to(head_dtype)

    def forward(self, images: Tensor) -> list[Tensor]:
        # (B, H, W, 3) seen as (B, 3, H, W) is channels-last already: nothing is moved.
        pictures = (images.flip(-1) if self.flip else images).permute(0, 3, 1, 2)
        # The subtraction is done in float32: half precision would round means that are not whole.
        pictures = (pictures.float() - self.means).to(self.dtype)
        results = []
        for feature, head in zip(self.network.features(pictures), self.heads, strict=True):
            result = head(feature.to(self.head_dtype)).permute(0, 2, 3, 1)
            results.append(result.reshape(result.shape[0], -1, self.anchors * 15).float())
        return results
