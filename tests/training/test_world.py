"""Two processes that train together compute what one does with the whole batch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets.runs import RunFolder  # noqa: E402
from rfapp.training.world import World  # noqa: E402


def step_losses(folder):
    return np.array([event["loss"] for event in RunFolder(folder).events() if event["event"] == "step"])


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes")
def test_two_gloo_processes_are_one_with_the_doubled_batch(plan, changed, tmp_path, train_both_ways):
    # One process takes the batch in the two parts that the processes take: batch norm sees the same.
    plan = changed(plan, recipe={"steps": 5, "learning_rate": 0.005})
    train_both_ways(changed(plan, accumulate=2), plan, tmp_path)
    one, two = step_losses(tmp_path / "one"), step_losses(tmp_path / "two")
    assert len(one) == len(two) == 5
    assert np.abs(one - two).max() < 1e-3
    assert RunFolder(tmp_path / "two").status() == "done"


def test_alone_nothing_is_asked_of_others(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    world = World.from_environment()
    assert world.first
    network = torch.nn.Linear(1, 1)
    assert world.wrap(network) is network
    assert world.sum(torch.tensor([3])).item() == 3
    world.join(torch.device("cpu"))
    world.wait()
    world.leave()


def test_what_torchrun_says_is_understood(monkeypatch):
    for name, value in {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert World.from_environment() == World(3, 8, 1)
    assert not World.from_environment().first
