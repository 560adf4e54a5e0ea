"""Learning rates, decay and the running mean of the weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from rfapp.training.optimising import Buffers, RunningMean, learning_rate, optimiser_for  # noqa: E402
from rfapp.training.recipes import RECIPES, Recipe  # noqa: E402

RECIPE = Recipe(name="test", batch=1, steps=100, learning_rate=0.1, warmup=5)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


def test_a_cosine_behind_a_ramp():
    rates = [learning_rate(RECIPE, step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[5] == 0.1
    assert rates[52] == pytest.approx(0.05 * (1 + math.cos(math.pi * 47 / 95)))
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 1e-4


def test_a_short_run_has_a_short_ramp():
    assert learning_rate(replace(RECIPE, warmup=500), 9, 100) == 0.1


def test_the_published_steps():
    recipe = RECIPES["mobilenet0.25"]["published"]
    total = 250 * 402  # epochs of 12,880 pictures in batches of 32
    rates = [learning_rate(recipe, epoch * 402, total) for epoch in (0, 189, 190, 219, 220, 249)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert learning_rate(recipe, 190 * 402 - 1, total) == pytest.approx(1e-3)


def test_only_weights_decay_unless_the_recipe_says_so():
    groups = optimiser_for(network(), RECIPE).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 5e-4), (3, 0.0)]
    groups = optimiser_for(network(), replace(RECIPE, decay_all=True)).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(4, 5e-4)]
    assert isinstance(optimiser_for(network(), replace(RECIPE, optimiser="adamw")), torch.optim.AdamW)


def test_the_running_mean_by_hand():
    model = network()
    mean = RunningMean(model, 0.9)
    expected = model[0].bias.detach().clone()
    for step in range(1, 101):
        with torch.no_grad():
            model[0].bias.copy_(torch.full((2,), float(step)))
            model[1].running_mean.fill_(float(step))
        mean.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    weights = mean.weights()
    assert torch.allclose(weights["0.bias"], expected)
    assert 85 < weights["1.running_mean"][0] < 95
    assert set(weights) == set(model.state_dict())


def test_without_decay_it_is_the_weights():
    model = network()
    mean = RunningMean(model, 0.0)
    with torch.no_grad():
        model[0].bias.fill_(7.0)
    mean.update()
    assert torch.equal(mean.weights()["0.bias"], torch.full((2,), 7.0))


def test_the_running_mean_is_saved_and_loaded():
    model = network()
    mean = RunningMean(model, 0.5)
    model[0].bias.data.fill_(3.0)
    mean.update()
    other = RunningMean(network(), 0.5)
    other.load_state_dict(mean.state_dict())
    assert torch.equal(other.weights()["0.bias"], mean.weights()["0.bias"])
    given = mean.weights()["0.bias"].clone()
    mean.update()
    assert torch.equal(other.weights()["0.bias"], given)


def test_buffers_are_put_back():
    model = network().train()
    buffers = Buffers(model)
    buffers.keep()
    model(torch.full((1, 1, 4, 4), float("nan")))
    assert model[1].running_mean.isnan().any()
    buffers.restore()
    assert torch.equal(model[1].running_mean, torch.zeros(2))
    assert model[1].num_batches_tracked == 0
