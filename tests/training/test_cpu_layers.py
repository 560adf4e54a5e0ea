"""Layers that are faster on processors say what torch's say, forward and backward."""

import copy

import pytest
import torch
from torch import nn

from rfapp.models import MOBILENET_025, RetinaFace
from rfapp.training.cpu_layers import QuickBatchNorm, QuickHalving, quicken

#: Pictures, channels, height and width: many, few and an odd number of channels and pixels; few pixels.
SHAPES = [(4, 8, 20, 20), (3, 5, 7, 13), (1, 15, 31, 17), (2, 1, 104, 52), (2, 64, 16, 16), (2, 8, 4, 4)]


def laid(*shape, kind=torch.float32, seed=0):
    """Noise in *shape*, its channels side by side."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (3 * noise + 2).to(kind).contiguous(memory_format=torch.channels_last)


def norm(channels, *, training, kind=torch.float32):
    random = torch.Generator().manual_seed(7)
    layer = nn.BatchNorm2d(channels).to(kind).train(training)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean):
            tensor.copy_(torch.randn(channels, generator=random))
        layer.running_var.copy_(torch.rand(channels, generator=random) + 0.5)
    return layer


def outcome(layer, images, gradient):
    """All that changes: output, gradients, and what the layer remembers."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    said = layer(images)
    said.backward(gradient)
    return [said, images.grad, *(p.grad for p in layer.parameters()), *layer.buffers()]


def error(found, true):
    """The largest difference, over the largest number."""
    return max(
        ((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-9)).item()
        for a, b in zip(found, true, strict=True)
        if b is not None
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_batch_norm(shape, training, kind, most):
    images, gradient = laid(*shape, kind=kind), laid(*shape, kind=kind, seed=1)
    weights = torch.float64 if kind is torch.float64 else torch.float32
    true = outcome(norm(shape[1], training=training, kind=torch.float64), images.double(), gradient.double())
    layer = norm(shape[1], training=training, kind=weights)
    quicken(layer)
    found = outcome(layer, images, gradient)
    assert error(found, true) < most
    assert found[0].dtype == found[1].dtype == kind
    assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_of_other_layouts_is_torchs():
    images, gradient = (laid(4, 8, 20, 20, seed=seed).contiguous() for seed in (0, 1))
    layer, other = norm(8, training=True), norm(8, training=True)
    quicken(layer)
    for a, b in zip(outcome(layer, images, gradient), outcome(other, images, gradient), strict=True):
        assert torch.equal(a, b)


def test_gradients_of_batch_norm_by_differences():
    layer = norm(3, training=True, kind=torch.float64)
    quicken(layer)
    images = laid(2, 3, 12, 12, kind=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, w, b: torch.func.functional_call(layer, {"weight": w, "bias": b}, x),
        (images, layer.weight, layer.bias),
        fast_mode=True,
    )


def test_an_activation_may_change_the_result_in_place():
    layers = [nn.Sequential(norm(8, training=True), nn.LeakyReLU(0.1, inplace=True)) for _ in range(2)]
    quicken(layers[0])
    images, gradient = laid(4, 8, 20, 20), laid(4, 8, 20, 20, seed=1)
    found, true = (outcome(layer, images, gradient) for layer in layers)
    assert error(found, true) < 1e-5


@pytest.mark.parametrize("size", [(20, 20), (13, 8), (1, 7)])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_depthwise_halving_is_the_same_to_the_last_bit(size, order):
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False)
    quick = copy.deepcopy(layer)
    quicken(quick)
    assert type(quick) is QuickHalving
    images = laid(2, 16, *size).contiguous(memory_format=order)
    gradient = laid(2, 16, *(-(-side // 2) for side in size), kind=torch.bfloat16, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        found, true = outcome(quick, images, gradient), outcome(layer, images, gradient)
    assert found[0].dtype is torch.bfloat16
    for a, b in zip(found, true, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_depthwise_halving_in_float32_is_torchs():
    layer = nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False)
    quick = copy.deepcopy(layer)
    quicken(quick)
    images, gradient = laid(2, 16, 20, 20), laid(2, 16, 10, 10, seed=1)
    for a, b in zip(outcome(quick, images, gradient), outcome(layer, images, gradient), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False),
        nn.Conv2d(16, 16, 3, 2, 1, bias=False),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16),
        nn.Conv2d(16, 32, 3, 2, 1, groups=16, bias=False),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False, padding_mode="reflect"),
    ],
)
def test_other_convolutions_stay(layer):
    quicken(layer)
    assert type(layer) is nn.Conv2d


def test_a_whole_network():
    """Four layers of a MobileNet halve; the state dict, and what the network says, stay the same."""
    torch.manual_seed(0)
    network = RetinaFace(MOBILENET_025, "train").train().double()  # many layers make much of roundings
    quick = copy.deepcopy(network)
    quicken(quick)
    kinds = [type(module) for module in quick.modules()]
    assert kinds.count(QuickHalving) == 4
    assert kinds.count(QuickBatchNorm) == sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    images = torch.rand(2, 96, 128, 3).double().permute(0, 3, 1, 2) * 255 - 120
    results = []
    for each in (network, quick):
        said = each(images)
        sum(output.square().mean() for output in said).backward()
        results.append([*said, *(parameter.grad for parameter in each.parameters()), *each.buffers()])
    assert list(quick.state_dict()) == list(network.state_dict())
    assert error(*results[::-1]) < 1e-9
