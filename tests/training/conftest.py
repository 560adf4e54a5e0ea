"""A data set that is learned in seconds: bright discs with five dots on dark noise, labelled as RetinaFace does."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.datasets.runs import RunFolder
from rfapp.training.augmentation import Augmentation
from rfapp.training.plan import Plan
from rfapp.training.recipes import Recipe

DOTS = np.array([(-0.4, -0.3), (0.4, -0.3), (0.0, 0.1), (-0.3, 0.5), (0.3, 0.5)])
SIZE = 96


def picture(rng, faces):
    image = rng.integers(0, 60, (SIZE, SIZE, 3), np.uint8)
    lines = []
    for x, y, radius in faces:
        cv2.circle(image, (x, y), radius, (180, 200, 240), -1)
        points = (np.array([x, y]) + DOTS * radius).round().astype(int)
        for point in points:
            cv2.circle(image, point.tolist(), 2, (0, 0, 90), -1)
        marks = " ".join(f"{px} {py} 0.0" for px, py in points)
        lines.append(f"{x - radius} {y - radius} {2 * radius} {2 * radius} {marks} 0.5")
    return image, lines


def make(folder, count, seed):
    (folder / "images").mkdir()
    rng = np.random.default_rng(seed)
    labels = []
    for number in range(count):
        faces = [(int(rng.integers(22, 28)), int(rng.integers(30, 66)), int(rng.integers(13, 21)))]
        if number % 3 == 0:
            faces.append((int(rng.integers(68, 74)), int(rng.integers(30, 66)), int(rng.integers(13, 21))))
        image, lines = picture(rng, faces)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        labels += [f"# {number}.png", *lines]
    (folder / "label.txt").write_text("\n".join(labels) + "\n")
    return folder


@pytest.fixture(scope="session")
def discs(tmp_path_factory) -> Path:
    """Ten pictures with one or two discs each."""
    return make(tmp_path_factory.mktemp("discs"), 10, seed=0)


@pytest.fixture(scope="session")
def two_discs(tmp_path_factory) -> Path:
    """Two more pictures, to validate on."""
    return make(tmp_path_factory.mktemp("two_discs"), 2, seed=1)


TINY = Recipe(
    name="tiny",
    batch=4,
    steps=8,
    learning_rate=0.02,
    clip=20.0,
    ema=0.9,
    validations=2,
    least_negatives=16,
    augmentation=Augmentation(size=64, scales=(0.8, 1.0)),
)


@pytest.fixture
def plan(discs) -> Plan:
    """Eight steps on the CPU in float32, without validation and without other processes."""
    return Plan(data=(discs,), recipe=TINY, validation="none", device="cpu", precision="float32", workers=0)


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


@pytest.fixture
def train_both_ways():
    """``train_both_ways(alone, plan, folder)``: trains *alone* in ``folder/one`` and *plan* by two processes in
    ``folder/two``, all with one thread: another order of sums is another last digit, and a young network makes much of
    that."""

    def both(alone, plan, folder):
        import torch

        from rfapp.training.trainer import train

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            train(alone, folder / "one")
        finally:
            torch.set_num_threads(threads)
        RunFolder(folder / "plan").path.mkdir()
        RunFolder(folder / "plan").write_plan(plan.to_mapping())
        (folder / "both.py").write_text(PROGRAM)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        words = [*torchrun, str(folder / "both.py"), str(folder / "plan"), str(folder / "two")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stderr

    return both


@pytest.fixture
def changed():
    """``changed(plan, seed=3, recipe={"steps": 9})``"""

    def change(plan, recipe=None, **values):
        return replace(plan, recipe=replace(plan.recipe, **(recipe or {})), **values)

    return change
