"""What the first weights said is held on to where no label tells otherwise."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets.runs import LAST, RunFolder  # noqa: E402
from rfapp.errors import OutputExists, SettingsError, UsageError  # noqa: E402
from rfapp.models.config import ARCHITECTURES  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.training.boxes import encode_boxes  # noqa: E402
from rfapp.training.keeping import Former, Said, change_of_boxes, change_of_landmarks, change_of_scores  # noqa: E402
from rfapp.training.matching import Matches, Targets  # noqa: E402
from rfapp.training.objectives import objective_for  # noqa: E402
from rfapp.training.recipes import recipe_for  # noqa: E402
from rfapp.training.trainer import train  # noqa: E402


def targets(pictures, of):
    count = len(of)
    return Targets(
        pictures,
        torch.tensor(of, dtype=torch.int64),
        torch.tensor([[0.1, 0.1, 0.5, 0.5]] * count).reshape(count, 4),
        torch.zeros(count, 10),
        torch.zeros(count, dtype=torch.bool),
        torch.zeros(count, dtype=torch.bool),
    )


def matches(picture, prior, shape):
    rows = torch.tensor(picture, dtype=torch.int64), torch.tensor(prior, dtype=torch.int64)
    return Matches(*rows, torch.zeros(len(picture), dtype=torch.int64), torch.ones(shape, dtype=torch.bool))


def test_against_the_definition():
    torch.manual_seed(0)
    now, before = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    got = change_of_scores(now, before, matches([0, 2], [1, 4], (3, 5)), targets(3, [0, 2]))
    wanted = 0.0
    for picture in range(3):
        for prior in range(5):
            if picture == 1 or (picture, prior) in {(0, 1), (2, 4)}:
                continue  # no face in the picture; a prior that has one to find
            p, q = before[picture, prior].double().softmax(0), now[picture, prior].double().softmax(0)
            wanted += float((p * (p.log() - q.log())).sum())
    assert got.item() == pytest.approx(wanted, rel=1e-5)


def test_nothing_changed_costs_nothing_and_pulls_nowhere():
    scores = torch.randn(2, 7, 2, requires_grad=True)
    change = change_of_scores(scores, scores.detach(), matches([], [], (2, 7)), targets(2, [0, 1]))
    assert change.item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(change, scores)
    assert gradient.abs().max() < 1e-6


def test_the_gradient_leads_back():
    before = torch.randn(1, 6, 2)
    now = (before + torch.randn(1, 6, 2)).requires_grad_()
    at = matches([], [], (1, 6)), targets(1, [0])
    change = change_of_scores(now, before, *at)
    (gradient,) = torch.autograd.grad(change, now)
    assert change_of_scores(now - 0.1 * gradient, before, *at) < change


def test_landmarks_without_labels_are_held():
    torch.manual_seed(0)
    now = torch.randn(2, 6, 10, requires_grad=True)
    former = Said(torch.zeros(2, 6, 4), torch.zeros(2, 6, 2), torch.randn(2, 6, 10))
    former.classes[0, 1] = former.classes[1, 4] = former.classes[1, 5] = torch.tensor([-1.0, 1.0])
    former.classes[0, 3] = torch.tensor([1.0, -1.0])  # found by nobody before: there is nothing to be kept
    found = dataclasses.replace(
        matches([0, 0, 1, 1], [1, 3, 4, 5], (2, 6)), face=torch.tensor([0, 0, 1, 2], dtype=torch.int64)
    )
    faces = targets(2, [0, 1, 1])
    faces.known[1] = True
    change = change_of_landmarks(now, former, found, faces)
    wanted = 0.0
    for picture, prior in ((0, 1), (1, 5)):
        for difference in (now[picture, prior] - former.landmarks[picture, prior]).abs().tolist():
            wanted += 0.5 * difference**2 if difference < 1 else difference - 0.5
    assert change.item() == pytest.approx(wanted, rel=1e-5)
    (gradient,) = torch.autograd.grad(change, now)
    assert {tuple(row) for row in gradient.abs().sum(dim=2).nonzero().tolist()} == {(0, 1), (1, 5)}


def test_no_face_has_no_landmarks_to_hold():
    now = torch.randn(1, 6, 10, requires_grad=True)
    change = change_of_landmarks(
        now, Said(torch.zeros(1, 6, 4), torch.zeros(1, 6, 2), now.detach()), matches([], [], (1, 6)), targets(1, [])
    )
    assert change.item() == 0
    assert not torch.autograd.grad(change, now)[0].any()


def test_boxes_of_faces_that_were_found_before_are_held():
    torch.manual_seed(0)
    variance = (0.1, 0.2)
    priors = torch.tensor([[0.3, 0.3, 0.3, 0.3]] * 5)
    now = torch.randn(1, 5, 4, requires_grad=True)
    face, beside = torch.tensor([[0.1, 0.1, 0.5, 0.5]]), torch.tensor([[0.3, 0.1, 0.7, 0.5]])
    near = torch.tensor([[0.1, 0.1, 0.5, 0.4]])
    before = torch.cat([near, beside, near, face, near])
    former = Said(encode_boxes(before, priors, variance)[None], torch.zeros(1, 5, 2), torch.zeros(1, 5, 10))
    former.classes[0, :, 1] = torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0])
    faces = targets(1, [0])
    # One is held; one was another face (a third of the area is shared); one was none; one is held; one is not positive.
    found = matches([0, 0, 0, 0], [0, 1, 2, 3], (1, 5))
    change = change_of_boxes(now, former, priors, found, faces, variance=variance)
    wanted = 0.0
    for prior in (0, 3):
        for difference in (now[0, prior] - former.boxes[0, prior]).abs().tolist():
            wanted += 0.5 * difference**2 if difference < 1 else difference - 0.5
    assert change.item() == pytest.approx(wanted, rel=1e-5)
    (gradient,) = torch.autograd.grad(change, now)
    assert {int(row) for row in gradient.abs().sum(dim=2)[0].nonzero()} == {0, 3}


def test_the_former_network_stays_what_it_was():
    network = make_network(ARCHITECTURES["mobilenet0.25"], "train").train()
    images = torch.randn(2, 3, 64, 64)
    former = Former(network)
    before = former(images)
    assert not any(each.requires_grad for each in before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
        network(images)  # changes the statistics of batch norm
    assert all(torch.equal(*pair) for pair in zip(former(images), before, strict=True))


def test_a_run_that_keeps_changes_less(plan, changed, tmp_path):
    train(plan, tmp_path / "first")
    first = tmp_path / "first" / LAST
    again = changed(plan, init=str(first), recipe={"steps": 10})
    told = {}
    for keep in (0.0, 50.0):
        train(changed(again, recipe={"keep": keep}), tmp_path / f"{keep}")
        told[keep] = [entry for entry in RunFolder(tmp_path / f"{keep}").events() if entry["event"] == "step"]
    assert all("loss_keep" not in entry for entry in told[0.0])
    assert all(entry["loss_keep"] >= 0 for entry in told[50.0])
    assert told[50.0][-1]["loss_class"] > told[0.0][-1]["loss_class"]  # there was something to learn


def test_there_must_be_something_to_keep(plan, changed, tmp_path):
    with pytest.raises(UsageError, match="first weights"):
        train(changed(plan, init="", recipe={"keep": 1.0}), tmp_path / "run")


def test_other_weights_than_the_first_can_be_held_on_to(plan, changed, tmp_path):
    for name, seed in (("first", 0), ("second", 3)):
        train(changed(plan, seed=seed), tmp_path / name)
    first, second = (str(tmp_path / name / LAST) for name in ("first", "second"))
    told = []
    for number, former in enumerate(("", first, second)):
        run = tmp_path / str(number)
        train(changed(plan, init=first, former=former, recipe={"steps": 1, "keep": 1.0}), run)
        told.append(next(each["loss_keep"] for each in RunFolder(run).events() if each["event"] == "step"))
    assert told[0] == told[1] != told[2]


def test_a_run_goes_on_with_the_weights_that_it_held_on_to(plan, changed, tmp_path):
    train(plan, tmp_path / "first")
    train(changed(plan, seed=3), tmp_path / "second")
    begun = changed(plan, former=str(tmp_path / "first" / LAST), recipe={"steps": 2, "keep": 1.0})
    train(begun, tmp_path / "run")
    with pytest.raises(OutputExists, match="former"):
        train(dataclasses.replace(begun, former=str(tmp_path / "second" / LAST)), tmp_path / "run")
    shutil.copyfile(tmp_path / "second" / LAST, tmp_path / "first" / LAST)
    with pytest.raises(OutputExists, match="weights to hold on to"):
        train(begun, tmp_path / "run")


def test_weights_to_hold_on_to_need_a_reason(plan, changed, tmp_path):
    with pytest.raises(UsageError, match="costs nothing"):
        train(changed(plan, former="mobilenet0.25-imported", recipe={"keep": 0.0}), tmp_path / "run")


def test_networks_of_two_steps_cannot():
    recipe = dataclasses.replace(recipe_for("quick", "ainnoface-r18"), keep=1.0)
    with pytest.raises(SettingsError, match="first weights"):
        objective_for(ARCHITECTURES["ainnoface-r18"], recipe, torch.device("cpu"))
