"""Where a network is trained, in which precision, and how much of it fits."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")

from rfapp.engines.torch_engine import cpu_has_bfloat16  # noqa: E402
from rfapp.errors import DeviceMissing, SettingsError  # noqa: E402
from rfapp.models import MOBILENET_025, RetinaFace  # noqa: E402
from rfapp.training import devices  # noqa: E402
from rfapp.training.devices import choose, largest_part, worker_count  # noqa: E402
from rfapp.training.world import World  # noqa: E402


def test_a_cpu_trains_in_what_it_multiplies_by_itself(monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    device, precision = choose("cpu", "auto", World())
    assert device.type == "cpu"
    assert (precision.name, precision.mixed, precision.scaled) == ("bfloat16", True, False)
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    assert choose("cpu", "auto", World())[1].name == "float32"


def test_what_can_not_be_is_a_sentence():
    with pytest.raises(SettingsError, match="float16 is for NVIDIA"):
        choose("cpu", "float16", World())
    with pytest.raises(SettingsError, match="can't be trained in int8"):
        choose("cpu", "int8", World())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_no_graphics_card():
    with pytest.raises(DeviceMissing):
        choose("cuda", "auto", World())


def test_workers(monkeypatch):
    assert worker_count(0) == 0
    assert worker_count(5) == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert worker_count(-1) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert worker_count(-1) == 0


@pytest.mark.parametrize(("most", "expected"), [(5, 4), (16, 8), (1, 1), (0, 0)])
def test_how_many_fit_is_tried(monkeypatch, most, expected):
    real = RetinaFace.forward

    def forward(self, inputs):
        if len(inputs) > most:
            raise torch.OutOfMemoryError
        return real(self, inputs)

    monkeypatch.setattr(RetinaFace, "forward", forward)
    network = RetinaFace(MOBILENET_025, "train")
    cpu, precision = choose("cpu", "float32", World())
    assert largest_part(network, 16, 64, cpu, precision) == expected
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU does not multiply bfloat16 by itself")
def test_mixed_precision_trains(plan, changed, tmp_path):
    from rfapp.training.trainer import train

    outcome = train(changed(plan, precision="auto"), tmp_path / "run")
    assert outcome.skipped == 0
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["network"]
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float32}
