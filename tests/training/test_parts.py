"""Parts that learn alone, while all others stay what they are."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets.runs import LAST  # noqa: E402
from rfapp.errors import UsageError  # noqa: E402
from rfapp.models.config import ARCHITECTURES  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.training.parts import learn_only  # noqa: E402
from rfapp.training.trainer import train  # noqa: E402
from rfapp.weights import checkpoints  # noqa: E402


def test_all_but_the_named_parts_stay(plan, changed, tmp_path):
    train(plan, tmp_path / "first")
    first = checkpoints.read(tmp_path / "first" / LAST)
    again = changed(plan, init=str(tmp_path / "first" / LAST), recipe={"steps": 4, "only": ("LandmarkHead",)})
    train(again, tmp_path / "second")
    second = checkpoints.read(tmp_path / "second" / LAST)
    changes = {name for name, tensor in first.items() if not torch.equal(tensor, second[name])}
    assert changes
    assert all(name.startswith("LandmarkHead.") for name in changes)


def test_batch_norm_of_a_part_that_learns_is_measured_and_no_other():
    network = make_network(ARCHITECTURES["mobilenet0.25"], "train").train()
    learn_only(network, ("ssh1", "ClassHead"))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(torch.randn(2, 3, 64, 64))
    moved = {name.split(".")[0] for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])}
    assert moved == {"ssh1"}
    learning = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {"ssh1", "ClassHead"}


def test_without_names_everything_learns():
    network = make_network(ARCHITECTURES["mobilenet0.25"], "train").train()
    learn_only(network, ())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())


def test_a_part_that_is_missing_is_named_with_those_there_are():
    network = make_network(ARCHITECTURES["mobilenet0.25"], "train")
    with pytest.raises(UsageError, match="has no part “Landmarks”") as told:
        learn_only(network, ("Landmarks",))
    assert "LandmarkHead" in told.value.hint
