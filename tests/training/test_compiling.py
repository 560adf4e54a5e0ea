"""Compiling the network: only when asked for, the same numbers, and a sentence where it can't be done."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rfapp.errors import EngineFailed  # noqa: E402
from rfapp.models import MOBILENET_025  # noqa: E402
from rfapp.training.augmentation import Augmentation  # noqa: E402
from rfapp.training.compiling import compiled  # noqa: E402
from rfapp.training.devices import choose  # noqa: E402
from rfapp.training.plan import Plan  # noqa: E402
from rfapp.training.recipes import recipe_for  # noqa: E402
from rfapp.training.world import World  # noqa: E402

#: What torch says of itself while it compiles.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

SIDE = 64
COMPILER = next((path for name in ("g++", "clang++") if (path := shutil.which(name))), None)


class Small(torch.nn.Module):
    """What a network of faces is to the trainer, in a size that compiles in seconds."""

    config = MOBILENET_025

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(8)

    def forward(self, images):
        found = self.norm(self.convolution(images)).relu().flatten(2).transpose(1, 2)
        return found[..., :4], found[..., 4:6], found[..., 6:]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small().train()


def plan(asked):
    recipe = replace(recipe_for("quick", "mobilenet0.25"), augmentation=Augmentation(size=SIDE), batch=2, steps=10)
    return Plan(data=(Path("label.txt"),), recipe=recipe, compile=asked, precision="float32", device="cpu")


def result(network, asked):
    device, precision = choose("cpu", "float32", World())
    return compiled(network, plan(asked), device, precision, pictures=2, say=lambda line: None)


def test_only_when_asked_for(network):
    assert result(network, False) is network


def test_what_can_not_be_compiled_is_told(network, monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def compiled_module(module, **_):
        def forward(images):
            module(images)  # batch norm has seen them already
            raise TorchDynamoException("InvalidCxxCompiler: No working C++ compiler found in g++.\nmuch more")

        return forward

    monkeypatch.setattr(torch, "compile", compiled_module)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        EngineFailed, match=r"No working C\+\+ compiler found in g\+\+. Leave out “--compile”"
    ) as failure:
        result(network, True)
    assert "\n" not in str(failure.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_installed_app_has_no_compiler(network, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(EngineFailed, match="the installed app has no compiler"):
        result(network, True)


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_same_numbers(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    faster = result(network, True)
    assert faster is not network
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())

    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 60
    told, gradients = [], []
    for each in (network, faster):
        network.load_state_dict(before)
        network.zero_grad(set_to_none=True)
        outputs = each(images)
        torch.autograd.backward([output.square().mean() for output in outputs])
        told.append(outputs)
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*told, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)
