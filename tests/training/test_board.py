"""Curves for TensorBoard are those of metrics.jsonl, also after a run was gone on with."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets.runs import RunFolder  # noqa: E402
from rfapp.errors import RfappError  # noqa: E402
from rfapp.training.board import FOLDER  # noqa: E402
from rfapp.training.trainer import train  # noqa: E402


def test_the_curves_are_those_of_the_run(plan, changed, tmp_path, two_discs):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = RunFolder(tmp_path / "run")
    plan = changed(plan, validation=str(two_discs), recipe={"steps": 6, "validations": 2})
    calls = []

    def stop(line):
        calls.append(line)
        if "step 2/6" in line or len(calls) == 3:
            (tmp_path / "run" / "stop").touch()

    train(plan, run.path, say=stop)  # without a board
    train(plan, run.path, tensorboard=True)
    read = accumulator.EventAccumulator(str(run / FOLDER))
    read.Reload()
    steps = [event for event in run.events() if event["event"] == "step"]
    assert len(steps) == 6
    for name in ("loss", "loss_box", "learning_rate", "images_per_s"):
        curve = read.Scalars(f"training/{name}")
        assert [point.step for point in curve] == [event["step"] for event in steps]
        assert [point.value for point in curve] == pytest.approx([event[name] for event in steps], rel=1e-5)
    assert len(read.Scalars("average precision/easy")) == 2


def test_a_missing_package_is_named(plan, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RfappError, match="TensorBoard") as caught:
        train(plan, tmp_path / "run", tensorboard=True)
    assert "pip install tensorboard" in caught.value.hint
