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


def test_a_part_of_a_part_learns_alone():
    network = make_network(ARCHITECTURES["mobilenet0.25"], "train").train()
    learn_only(network, ("body.stage1",))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(torch.randn(2, 3, 64, 64))
    moved = {name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])}
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert moved
    assert learning
    assert all(name.startswith("body.stage1.") for name in moved | learning)


def test_fixed_batch_norm_keeps_what_it_measured_and_learns_the_rest(plan, changed, tmp_path):
    train(plan, tmp_path / "first")
    first = checkpoints.read(tmp_path / "first" / LAST)
    moved = {}
    for fixed in (True, False):
        recipe = {"steps": 4, "fixed_norm": fixed, "optimiser": "adamw", "learning_rate": 1e-4}
        run = tmp_path / f"second_{fixed}"
        train(changed(plan, init=str(tmp_path / "first" / LAST), recipe=recipe), run)
        second = checkpoints.read(run / LAST)
        moved[fixed] = {name for name, tensor in first.items() if not torch.equal(tensor, second[name])}
    measured = {name for name in first if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert measured <= moved[False]
    assert not measured & moved[True]
    assert moved[True] == moved[False] - measured


def test_fixed_batch_norm_needs_something_to_keep(plan, changed, tmp_path):
    with pytest.raises(UsageError, match="no first weights"):
        train(changed(plan, recipe={"fixed_norm": True}), tmp_path / "run")


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
