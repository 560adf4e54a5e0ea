"""Two processes that train together compute what one does with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets.runs import RunFolder  # noqa: E402
from rfapp.training.trainer import train  # noqa: E402
from rfapp.training.world import World  # noqa: E402

PROGRAM = """
import sys
from pathlib import Path
from rfapp.datasets.runs import RunFolder
from rfapp.training.plan import Plan
from rfapp.training.trainer import train
import torch
torch.set_num_threads(1)
train(Plan.from_mapping(RunFolder(Path(sys.argv[1])).plan()), Path(sys.argv[2]))
"""


def step_losses(folder):
    return np.array([event["loss"] for event in RunFolder(folder).events() if event["event"] == "step"])


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes")
def test_two_gloo_processes_are_one_with_the_doubled_batch(plan, changed, tmp_path):
    # One process takes the batch in the two parts that the processes take: batch norm sees the same.
    plan = changed(plan, recipe={"steps": 5, "learning_rate": 0.005})
    # All with one thread: another order of sums is another last digit, and a young network makes much of that.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(changed(plan, accumulate=2), tmp_path / "one")
    finally:
        torch.set_num_threads(threads)
    RunFolder(tmp_path / "plan").path.mkdir()
    RunFolder(tmp_path / "plan").write_plan(plan.to_mapping())
    (tmp_path / "both.py").write_text(PROGRAM)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*torchrun, str(tmp_path / "both.py"), str(tmp_path / "plan"), str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
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
