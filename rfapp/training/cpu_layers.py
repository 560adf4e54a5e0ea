"""Two layers that compute what torch's compute, on processors and in a fraction of the time, for training.

**Batch norm** of pictures whose channels lie side by side (channels-last). In that order torch goes through a picture
pixel by pixel, with a loop of its own for the channels of each, and wastes it where a pixel has fewer of them than a
vector register holds: eight, in the largest layers of a small MobileNet. Statistics are means over all pixels, in
whatever order, so neighbouring pixels can as well pass for more channels: M pixels of C channels are looked at as M/k
rows of k·C columns, by the same functions of torch, and the k results for each channel are put together at the end.
With eight channels, 16 pictures of 208×208 and bfloat16, forward and backward take 8 ms instead of 23 on two cores.
From sixteen channels on there is nothing to be won, because torch reads the numbers once less.

**Depthwise convolutions of stride 2** in bfloat16. oneDNN has no fast way to their gradient by the input: it takes 80
ms for 16 pictures of 208×208 and 16 channels. The gradient of the same convolution with stride 1, by what it would have
given at every pixel, zero at those that stride 2 leaves out, is the same to the last bit, and takes 13 ms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

#: Numbers of half precision and of float32 that processors calculate with at once.
LANES = 16
#: Columns to aim for: enough that what is done for each row costs nothing, few enough that they stay in fast memory.
COLUMNS = 64
#: Of fewer pixels there is no gain.
LEAST_PIXELS = 256


def quicken(network: nn.Module) -> None:
    """Let such layers of *network* compute this way, on processors, from now on. Names, weights and, but for rounding,
    results stay what they are."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = QuickBatchNorm
        elif type(module) is nn.Conv2d and _halving(module):
            module.__class__ = QuickHalving


def _halving(layer: nn.Conv2d) -> bool:
    """Whether it is a depthwise 3×3 convolution that halves width and height."""
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == ((3, 3), (2, 2), (1, 1), (1, 1))
        and layer.padding_mode == "zeros"
        and layer.bias is None
    )


class QuickHalving(nn.Conv2d):
    """Float (B, C, H, W) → (B, C, ⌈H/2⌉, ⌈W/2⌉)."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            input, weight = input.to(kind), weight.to(kind)
        if input.device.type != "cpu" or input.dtype != torch.bfloat16:
            return super().forward(input)
        result: Tensor = _Halve.apply(input, weight)  # type: ignore[no-untyped-call]  # torch has no types for it
        return result


class _Halve(torch.autograd.Function):
    """The convolution of :class:`QuickHalving`; weight (C, 1, 3, 3)."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(input, weight)
        return F.conv2d(input, weight, None, stride=2, padding=1, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        input, weight = ctx.saved_tensors
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            spread = torch.zeros_like(input)
            spread[:, :, ::2, ::2] = gradients[0]
            of_input = _gradients(spread, input, weight, stride=1, wanted=(True, False))[0]
        if ctx.needs_input_grad[1]:
            of_weight = _gradients(gradients[0], input, weight, stride=2, wanted=(False, True))[1]
        return of_input, of_weight


def _gradients(
    gradient: Tensor, input: Tensor, weight: Tensor, *, stride: int, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Of a depthwise convolution, by its input and by its weight, as far as *wanted*."""
    of_input, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, input, weight, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], len(weight), [*wanted, False]
    )
    return of_input, of_weight


class QuickBatchNorm(nn.BatchNorm2d):
    """Float (B, C, H, W) → the same shape. What has no gain by it, or is rare, is left to torch."""

    def forward(self, input: Tensor) -> Tensor:
        if not self._gains(input):
            return super().forward(input)
        mean, variance = self.running_mean, self.running_var
        assert mean is not None
        assert variance is not None
        if self.training:
            mean, variance = _statistics(input.detach(), like=mean)
            self._remember(mean, variance, input.numel() // input.shape[1])
        else:  # copies: what is remembered may change before the gradients are wanted
            mean, variance = mean.clone(), variance.clone()
        result: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]  # torch has no types for it
            input, self.weight, self.bias, Known(mean, variance, self.eps, of_batch=self.training)
        )
        return result

    def _gains(self, input: Tensor) -> bool:
        pixels = input.permute(0, 2, 3, 1)
        return (
            input.device.type == "cpu"
            and pixels.is_contiguous()
            and pixels.shape[:3].numel() >= LEAST_PIXELS
            and input.shape[1] < LANES
            and self.affine
            and self.track_running_stats
            and self.momentum is not None
        )

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (pixels / (pixels - 1)), self.momentum)


class Known(NamedTuple):
    """What batch norm goes by; ``of_batch``: mean and variance are those of its input."""

    mean: Tensor
    variance: Tensor
    eps: float
    of_batch: bool


class _Normalise(torch.autograd.Function):
    """(x − mean) / √(variance + eps) · weight + bias. Mean and variance of x have a part in its gradient (Ioffe &
    Szegedy, 2015)."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, known: Known) -> Tensor:
        mean, variance, eps, ctx.of_batch = known
        ctx.eps = eps
        ctx.save_for_backward(input, weight, mean, variance)
        factor = weight * torch.rsqrt(variance + eps)
        return _scaled(input, factor, bias - mean * factor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, variance = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        inverse = torch.rsqrt(variance + ctx.eps)
        factor = weight * inverse
        of_weight = of_bias = None
        if ctx.of_batch or any(ctx.needs_input_grad[1:3]):
            of_weight, of_bias = _sums(gradient, input, mean, variance, ctx.eps)
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        of_input = _scaled(gradient, factor, torch.zeros_like(factor))
        if ctx.of_batch:
            pixels = input.numel() // input.shape[1]
            slope = -factor * inverse * of_weight / pixels
            of_input += _scaled(input, slope, -factor * of_bias / pixels - slope * mean)
        return of_input, of_weight, of_bias, None


def _times(input: Tensor) -> int:
    """How many neighbouring pixels pass for more channels."""
    channels = input.shape[1]
    pixels = input.numel() // channels
    times = 1
    while times * 2 * channels <= COLUMNS and pixels % (times * 2) == 0:
        times *= 2
    return times


def _rows(input: Tensor, times: int) -> Tensor:
    return input.permute(0, 2, 3, 1).reshape(-1, times * input.shape[1])


def _statistics(input: Tensor, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, in the precision of *like*."""
    times = _times(input)
    # Without something to remember in, torch would round the results to the precision of its input.
    memory = like.new_zeros(2, times * input.shape[1])
    means, variances = torch.batch_norm_update_stats(_rows(input, times), memory[0], memory[1], 0.0)
    means, variances = means.view(times, -1), variances.view(times, -1)
    mean = means.mean(dim=0)
    return mean, variances.mean(dim=0) + (means - mean).square().mean(dim=0)


def _scaled(input: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """*input* · *factor* + *shift*, channel by channel, rounded once: batch norm of mean 0 and variance 1."""
    times = _times(input)
    result = torch.empty_like(input, memory_format=torch.channels_last)
    columns = times * input.shape[1]
    zeros, ones = factor.new_zeros(columns), factor.new_ones(columns)
    unused = factor.new_empty(0)
    torch.ops.aten.native_batch_norm.out(  # into a tensor that is no view, for activations change it in place
        _rows(input, times),
        factor.repeat(times),
        shift.repeat(times),
        zeros,
        ones,
        False,
        0.0,
        0.0,
        out=_rows(result, times),
        save_mean=unused,
        save_invstd=unused,
    )
    return result


def _sums(gradient: Tensor, input: Tensor, mean: Tensor, variance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias: those of each channel times the normalised input, summed, and summed alone."""
    times = _times(input)
    none = mean.new_empty(0)
    _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
        _rows(gradient, times),
        _rows(input, times),
        torch.ones_like(mean).repeat(times),
        mean.repeat(times),
        variance.repeat(times),
        none,
        none,
        False,
        eps,
        [False, True, True],
    )
    return of_weight.view(times, -1).sum(dim=0), of_bias.view(times, -1).sum(dim=0)
