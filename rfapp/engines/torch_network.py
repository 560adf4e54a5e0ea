"""Networks made ready to run: batch norm folded, heads joined, half precision only where it does no harm."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from copy import deepcopy
from itertools import zip_longest
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rfapp.engines.bfloat16_weights import EXACT_IN_TRUNK, shape_weights
from rfapp.models.ainnoface import AInnoFace, TwoStepHead, settle, two_steps
from rfapp.models.config import LUMA_BGR, ModelConfig
from rfapp.models.folding import folded, normed_convolutions
from rfapp.models.layers import Head
from rfapp.models.networks import Network
from rfapp.models.retinaface import RetinaFace


def fold_batch_norm(module: nn.Module) -> None:
    """Put every batch norm of *module* into the convolution before it, in place."""
    for _, convolution, name, norm in list(normed_convolutions(module)):
        weight, bias = folded(convolution, norm)
        convolution.weight = nn.Parameter(weight.float(), False)
        convolution.bias = nn.Parameter(bias.float(), False)
        parent, _, key = name.rpartition(".")
        setattr(module.get_submodule(parent), key, nn.Identity())


class _OneDnnConvolution(nn.Module):
    """A convolution that oneDNN runs whatever its size, with the activation behind it in the same go.

    torch's own call takes an older routine for small ones when there is one thread, and brings the weights into
    oneDNN's order with every picture; *slope*: of the leaky ReLU behind, or None where there is none.
    """

    def __init__(self, convolution: nn.Conv2d, slope: float | None) -> None:
        super().__init__()
        bias = convolution.bias
        assert not isinstance(convolution.padding, str)
        geometry = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        weight = convolution.weight.detach()
        # ARM's library behind oneDNN wants weights in its own order, which it makes itself.
        if platform.machine().lower() in ("x86_64", "amd64"):
            weight = torch.ops.aten.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *geometry)
        activation = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
        self.weight, self.bias = weight, None if bias is None else bias.detach()
        self.rest = *geometry, *activation

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.rest))


def use_onednn(module: nn.Module) -> None:
    """Let oneDNN run every convolution of *module*, in place, with the leaky ReLU that follows it in a sequence.

    Batch norms have to be folded already. Only for CPUs; weights can't be moved or converted any more.
    """
    names = [name for name, child in module.named_children() if not isinstance(child, nn.Identity)]
    for name, behind in zip_longest(names, names[1:]):
        child = module.get_submodule(name)
        if isinstance(child, nn.Conv2d):
            after = module.get_submodule(behind) if behind and isinstance(module, nn.Sequential) else None
            slope = None
            if isinstance(after, nn.LeakyReLU):
                slope = after.negative_slope
                setattr(module, behind, nn.Identity())
            setattr(module, name, _OneDnnConvolution(child, slope))
        else:
            use_onednn(child)


class _To(nn.Module):
    """Converts what goes through."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


def _halve_thin_trunk(network: InferenceNetwork) -> None:
    """Let a MobileNet trunk run in bfloat16 where it bears it, in place, with weights that lose little by it."""
    numbers = {name: value.numpy() for name, value in network.state_dict().items()}
    shaped = shape_weights(numbers, network.config, lambda layer: f"{layer}.".startswith(EXACT_IN_TRUNK))
    network.load_state_dict({name: torch.from_numpy(value) for name, value in shaped.items()}, strict=False)
    for name, part in network.body.named_modules():
        if isinstance(part, nn.Conv2d) and not f"body.{name}.".startswith(EXACT_IN_TRUNK):
            part.to(torch.bfloat16)
    cast(nn.Sequential, network.body["stage2"]).insert(1, _To(torch.bfloat16))


def _joined_head(heads: Sequence[Head], anchors: int) -> nn.Conv2d:
    """One 1×1 convolution for the class, box and landmark heads of a level.

    Of the two class scores only the difference counts: softmax's face column is sigmoid(face − background).
    Channels: A face logits, A·4 box deltas, A·10 landmark deltas.
    """
    classes, boxes, landmarks = (head.conv1x1 for head in heads)
    weight = classes.weight.double().view(anchors, 2, -1, 1, 1)
    bias = cast(Tensor, classes.bias).double().view(anchors, 2)
    joined = nn.Conv2d(classes.in_channels, anchors * 15, kernel_size=1)
    weights = [(weight[:, 1] - weight[:, 0]).float(), boxes.weight, landmarks.weight]
    biases = [(bias[:, 1] - bias[:, 0]).float(), cast(Tensor, boxes.bias), cast(Tensor, landmarks.bias)]
    joined.weight = nn.Parameter(torch.cat(weights), False)
    joined.bias = nn.Parameter(torch.cat(biases), False)
    return joined


def _feed_luma(network: RetinaFace) -> None:
    """Let the first convolution of a one-plane network take B, G and R, in place: luma is a weighted sum of them."""
    first = network.body.get_submodule("stage1.0.0")
    assert isinstance(first, nn.Conv2d)
    luma = torch.tensor(LUMA_BGR, dtype=torch.float64).view(1, 3, 1, 1)
    first.weight = nn.Parameter((first.weight.double() * luma).float(), False)
    first.in_channels = 3


class ReadyNetwork(nn.Module):
    """uint8 BGR (B, H, W, 3) → float32 (B, cells, A·n) for each level, or for all together: A face logits, A·4 box
    deltas, and A·10 landmark deltas where the network has them (n is 15, else 5). Means are subtracted inside."""

    def __init__(self, config: ModelConfig, trunk_dtype: torch.dtype) -> None:
        super().__init__()
        self.config = config
        self.anchors = config.anchors_per_cell
        self.flip = config.channel_order == "RGB"
        self.means = config.means
        self.trunk_dtype = trunk_dtype
        self._mean_rows: dict[tuple[int, torch.device], Tensor] = {}

    def _pictures(self, images: Tensor) -> Tensor:
        """Means off; (B, H, W, 3) seen as (B, 3, H, W) is channels-last already, so nothing is moved."""
        batch, height, width, _ = images.shape
        rows = (images.flip(-1) if self.flip else images).reshape(batch, height, width * 3)
        # Subtracted row by row: over the innermost three numbers alone torch takes 2 ms for 640×480, so 0.2.
        key = width, images.device
        if key not in self._mean_rows:
            self._mean_rows[key] = torch.tensor(self.means, device=images.device).repeat(width)
        pictures = rows.float().sub_(self._mean_rows[key]).to(self.trunk_dtype)
        return pictures.view(batch, height, width, 3).permute(0, 3, 1, 2)


class InferenceNetwork(ReadyNetwork):
    """uint8 BGR (B, H, W, 3) → for each level float32 (B, cells, A·15): A face logits, A·4 and A·10 deltas.

    Means are subtracted inside. *dtype* is what the pyramid and the context modules of its two fine levels with their
    heads run in. The coarse level, where a rounding is a step of pixels for faces of hundreds, stays in float32, and so
    does of a MobileNet trunk what would lose many pixels on a blurred face: in bfloat16 its thin beginning, in float16,
    in which nobody has measured it, all of it. *network* is taken apart.
    """

    def __init__(self, network: RetinaFace, dtype: torch.dtype) -> None:
        config = network.config
        super().__init__(config, torch.float32 if config.backbone.startswith("mobilenet") else dtype)
        fold_batch_norm(network)
        if config.channel_order == "GRAY":
            _feed_luma(network)
        heads = zip(network.ClassHead, network.BboxHead, network.LandmarkHead, strict=True)
        self.heads = nn.ModuleList(_joined_head(cast(Sequence[Head], level), self.anchors) for level in heads)
        self.body, self.fpn = network.body, network.fpn
        self.context = nn.ModuleList([network.ssh1, network.ssh2, network.ssh3])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.fine_dtype = dtype
        self.body.to(self.trunk_dtype)
        if dtype == torch.bfloat16 and self.trunk_dtype == torch.float32:
            _halve_thin_trunk(self)
        pyramid = self.fpn.output1, self.fpn.output2, self.fpn.merge1, self.fpn.merge2
        for part in (*pyramid, *self.context[:2], *self.heads[:2]):
            part.to(dtype)

    def forward(self, images: Tensor) -> list[Tensor]:
        first, second, third = self.body(self._pictures(images))
        coarse = self.fpn.output3(third.float())
        middle = self._merge(self.fpn.output2(second.to(self.fine_dtype)), coarse, self.fpn.merge2)
        fine = self._merge(self.fpn.output1(first.to(self.fine_dtype)), middle, self.fpn.merge1)
        results = []
        for feature, context, head in zip((fine, middle, coarse), self.context, self.heads, strict=True):
            result = head(context(feature)).float().permute(0, 2, 3, 1)
            results.append(result.reshape(result.shape[0], -1, self.anchors * 15))
        return results

    @staticmethod
    def _merge(lateral: Tensor, coarser: Tensor, merge: nn.Module) -> Tensor:
        raised = F.interpolate(coarser.to(lateral.dtype), size=lateral.shape[2:], mode="nearest")
        return cast(Tensor, merge(raised.add_(lateral)))


#: Levels of AInnoFace whose part may run in half precision: those of strides 4, 8 and 16.
_FINE_LEVELS = 3


class TwoStepInferenceNetwork(ReadyNetwork):
    """AInnoFace with both steps made one, all levels in one table.

    *dtype* is what the body and the fine levels run in; the coarse levels stay in float32, as RetinaFace's coarsest
    does. *network* is taken apart.
    """

    def __init__(self, network: AInnoFace, dtype: torch.dtype) -> None:
        super().__init__(network.config, dtype)
        stem = cast(nn.Conv2d, network.body["conv1"])
        scale = torch.tensor(network.config.stds, dtype=torch.float64).view(1, 3, 1, 1)
        stem.weight = nn.Parameter((stem.weight.double() / scale).float(), False)
        fold_batch_norm(network)
        self.network = network
        self.coarse_head = deepcopy(network.head)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        pyramid = network.pyramid
        first = [part for level, part in network.first.items() if int(level) < _FINE_LEVELS]
        for part in (network.body, network.head, *first, *pyramid.laterals[:-1], *pyramid.outputs[:-1]):
            part.to(dtype)

    def forward(self, images: Tensor) -> list[Tensor]:
        first, second = self.network.features(self._pictures(images))
        heads: list[TwoStepHead] = [self.network.head] * _FINE_LEVELS
        heads += [self.coarse_head] * (len(second) - _FINE_LEVELS)
        boxes, logits, landmarks = settle(two_steps(heads, first, second, self.config), self.config)
        batch = images.shape[0]
        cells = [logits.view(batch, -1, self.anchors), boxes.reshape(batch, -1, self.anchors * 4)]
        if landmarks is not None:
            cells.append(landmarks.reshape(batch, -1, self.anchors * 10))
        return [torch.cat(cells, dim=2)]


def ready(network: Network, dtype: torch.dtype) -> ReadyNetwork:
    """*network* made ready to run in *dtype*; it is taken apart."""
    if isinstance(network, AInnoFace):
        return TwoStepInferenceNetwork(network, dtype)
    return InferenceNetwork(network, dtype)
