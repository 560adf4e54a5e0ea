"""Whole runs on a data set of discs: they learn, go on exactly, stop, survive bad steps, and leave a model."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp import FaceDetector  # noqa: E402
from rfapp.datasets.runs import BEST, LAST, LOG, METRICS, STATE, RunFolder  # noqa: E402
from rfapp.errors import EngineFailed, OutputError, OutputExists, RfappError, SourceUnreadable, UsageError  # noqa: E402
from rfapp.models import RetinaFace  # noqa: E402
from rfapp.training import trainer  # noqa: E402
from rfapp.training.losses import MultiBoxLoss, Sums  # noqa: E402
from rfapp.training.trainer import _due, prepared, train  # noqa: E402
from rfapp.weights import find  # noqa: E402


def curve(folder, event="step"):
    return [entry for entry in RunFolder(folder).events() if entry["event"] == event]


def losses(folder):
    names = ("loss", "loss_box", "loss_class", "loss_landmark")
    return np.array([[entry[name] for name in names] for entry in curve(folder)])


def state_of(folder):
    return torch.load(folder / STATE, weights_only=True)


class Killed(BaseException):
    """Ends the trainer as abruptly as the death of its process."""


@pytest.fixture
def killed_after(monkeypatch):
    """``killed_after(5)``: the next run dies in the middle of its step 6."""

    def arm(steps):
        real = trainer.learning_rate

        def rate(recipe, step, total):
            if step >= steps:
                raise Killed
            return real(recipe, step, total)

        monkeypatch.setattr(trainer, "learning_rate", rate)
        return lambda: monkeypatch.setattr(trainer, "learning_rate", real)

    return arm


def test_it_learns_and_the_folder_is_a_model(plan, changed, tmp_path, discs):
    said = []
    outcome = train(changed(plan, recipe={"steps": 100}), tmp_path / "run", say=said.append)
    assert outcome.reason == "done"
    assert outcome.steps == 100
    total = losses(tmp_path / "run")[:, 0]
    assert len(total) == 100
    assert total[-10:].mean() < 0.35 * total[:5].mean()
    assert any("step 100/100" in line for line in said)
    assert curve(tmp_path / "run", "end")[0]["reason"] == "done"
    assert RunFolder(tmp_path / "run").status() == "done"
    image = cv2.imread(str(discs / "images" / "1.png"))
    with FaceDetector(tmp_path / "run", size=64, score=0.3, device="cpu", precision="float32") as detector:
        faces = detector(image)
    label = (discs / "label.txt").read_text().split("# 1.png\n")[1].split("#")[0].split()
    x, y, w, h = map(float, label[:4])
    assert len(faces) > 0
    centre = (faces.boxes[0, :2] + faces.boxes[0, 2:]) / 2
    assert np.abs(centre - [x + w / 2, y + h / 2]).max() < 10


@pytest.mark.parametrize("save_every_s", [0.0, 1e9])
def test_a_run_that_died_goes_on_as_if_it_had_not(plan, changed, tmp_path, killed_after, save_every_s):
    plan = changed(plan, recipe={"ema": 0.9, "warmup": 3})
    train(plan, tmp_path / "whole")
    revive = killed_after(5)
    with pytest.raises(Killed):
        train(plan, tmp_path / "run", save_every_s=save_every_s)
    assert (tmp_path / "run" / STATE).exists() == (save_every_s == 0)
    assert RunFolder(tmp_path / "run").status() == "interrupted"
    revive()
    train(plan, tmp_path / "run")
    assert [entry["step"] for entry in curve(tmp_path / "run")] == list(range(1, 9))
    assert np.abs(losses(tmp_path / "run") - losses(tmp_path / "whole")).max() < 1e-4
    whole, joined = state_of(tmp_path / "whole"), state_of(tmp_path / "run")
    for name, tensor in whole["mean"]["mean"].items():
        assert torch.allclose(tensor, joined["mean"]["mean"][name], atol=1e-5)
    times = [entry["time_s"] for entry in curve(tmp_path / "run")]
    assert times == sorted(times)


def test_the_stop_file_ends_it_and_the_same_call_goes_on(plan, tmp_path):
    run = RunFolder(tmp_path / "run")

    def say(line):
        if line.startswith("step 1/"):
            run.stop()

    assert train(plan, run.path, say=say).reason == "stopped"
    assert run.status() == "stopped"
    assert 1 <= run.events()[-1]["step"] <= 3
    assert train(plan, run.path).reason == "done"
    assert [entry["step"] for entry in curve(run.path)] == list(range(1, 9))
    assert [entry["reason"] for entry in curve(run.path, "end")] == ["done"]
    assert not run.asked_to_stop()
    train(plan, tmp_path / "whole")
    assert np.abs(losses(run.path) - losses(tmp_path / "whole")).max() < 1e-4


def test_a_finished_run_is_left_alone(plan, tmp_path):
    train(plan, tmp_path / "run")
    before = (tmp_path / "run" / STATE).stat().st_mtime_ns
    said = []
    assert train(plan, tmp_path / "run", say=said.append).reason == "done"
    assert "The run is finished already." in said
    assert (tmp_path / "run" / STATE).stat().st_mtime_ns == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_and_ends_in_order(plan, tmp_path):
    def say(line):
        if line.startswith("step 1/"):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert train(plan, tmp_path / "run", say=say).reason == "stopped"
    assert (tmp_path / "run" / STATE).exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_plan_is_refused_in_words(plan, changed, tmp_path):
    train(plan, tmp_path / "run")
    with pytest.raises(OutputExists, match="another seed"):
        train(changed(plan, seed=1), tmp_path / "run")
    with pytest.raises(OutputExists, match="another learning rate"):
        train(changed(plan, recipe={"learning_rate": 0.01}), tmp_path / "run")
    assert RunFolder(tmp_path / "run").status() == "done"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "picture.jpg").touch()
    with pytest.raises(OutputExists, match="no training run"):
        train(plan, tmp_path / "other")
    assert [entry.name for entry in (tmp_path / "other").iterdir()] == ["picture.jpg"]
    with pytest.raises(OutputExists, match="no training run"):
        train(plan, tmp_path / "other" / "picture.jpg")


def test_other_pictures_are_noticed(plan, changed, tmp_path, discs):
    stop = RunFolder(tmp_path / "run")
    train(plan, stop.path)
    values = stop.plan()
    values["made"]["pictures"] += 1
    stop.write_plan(values)
    with pytest.raises(OutputExists, match="training pictures"):
        train(plan, stop.path)


def test_two_trainers_in_one_folder_are_one_too_many(plan, tmp_path):
    with RunFolder(tmp_path / "run").locked(), pytest.raises(OutputError, match="being trained already"):
        train(plan, tmp_path / "run")


def test_a_damaged_state_is_a_sentence(plan, tmp_path):
    train(plan, tmp_path / "run")
    (tmp_path / "run" / STATE).write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(SourceUnreadable, match="damaged"):
        train(plan, tmp_path / "run")


# ------------------------------------------------------------------------------------------------------ validation


def test_validation_keeps_the_best(plan, changed, tmp_path, two_discs, monkeypatch):
    reached = iter([{"easy": 10.0, "medium": 10.0, "hard": 10.0}, {"easy": 5.0, "medium": 5.0, "hard": 5.0}])
    seen = []

    def measured(model, held, device, **_):
        seen.append((model.path.name, len(held)))
        return next(reached)

    monkeypatch.setattr(trainer, "average_precision", measured)
    outcome = train(changed(plan, validation=str(two_discs)), tmp_path / "run")
    assert seen == [(LAST, 2), (LAST, 2)]
    assert outcome.best == {"easy": 10.0, "medium": 10.0, "hard": 10.0}
    events = curve(tmp_path / "run", "validation")
    assert [(event["step"], event["easy"]) for event in events] == [(4, 10.0), (8, 5.0)]
    model = find(tmp_path / "run")
    assert model.path.name == BEST
    assert model.ap["easy"] == 10.0
    assert (tmp_path / "run" / BEST).read_bytes() != (tmp_path / "run" / LAST).read_bytes()


def test_validation_is_really_measured(plan, changed, tmp_path, two_discs):
    outcome = train(changed(plan, validation=str(two_discs), recipe={"steps": 40, "validations": 1}), tmp_path / "run")
    assert set(outcome.best) == {"easy", "medium", "hard"}
    assert all(0 <= value <= 100 for value in outcome.best.values())
    shown = sorted(file.name for file in (tmp_path / "run").glob("found-*.jpg"))
    assert shown == ["found-0.jpg", "found-1.jpg"]


def test_validation_leaves_the_threads_as_they_were(plan, changed, tmp_path, two_discs, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)  # a detector by itself would choose another number
    seen = []
    real = trainer.learning_rate
    monkeypatch.setattr(trainer, "learning_rate", lambda *given: seen.append(torch.get_num_threads()) or real(*given))
    try:
        train(changed(plan, validation=str(two_discs), recipe={"steps": 4}), tmp_path / "run")
    finally:
        torch.set_num_threads(before)
    assert seen == [before + 1] * 4


def test_a_stop_in_the_middle_of_validation_is_made_up_for(plan, changed, tmp_path, two_discs, monkeypatch):
    plan = changed(plan, validation=str(two_discs))
    run = RunFolder(tmp_path / "run")
    real = trainer.average_precision

    def stopped(model, held, device, **more):
        run.stop()
        return real(model, held, device, **more)

    monkeypatch.setattr(trainer, "average_precision", stopped)
    assert train(plan, run.path).reason == "stopped"
    assert curve(run.path, "validation") == []
    monkeypatch.setattr(trainer, "average_precision", real)
    assert train(plan, run.path).reason == "done"
    assert [event["step"] for event in curve(run.path, "validation")] == [4, 8]


@pytest.mark.parametrize(("total", "times"), [(100, 10), (7, 3), (3, 10), (10, 0)])
def test_validations_are_even_and_the_last_is_at_the_end(total, times):
    due = [done for done in range(1, total + 1) if _due(done, total, times)]
    assert len(due) == min(times, total)
    assert not times or due[-1] == total
    gaps = np.diff([0, *due])
    assert not times or gaps.max() - gaps.min() <= 1


def test_folded_weights_are_unfolded_once_and_begin_where_they_were(plan, changed, tmp_path, killed_after):
    said = []
    plan = changed(plan, init="mobilenet0.25-imported", recipe={"steps": 6, "learning_rate": 1e-3, "warmup": 0})
    train(plan, tmp_path / "whole", say=said.append)
    assert any("folded" in line for line in said)
    assert find(tmp_path / "whole").folded is False
    assert "MIT" in find(tmp_path / "whole").licence
    chance = train_losses_from_chance(plan, changed, tmp_path)
    assert losses(tmp_path / "whole")[0, 1] < 0.5 * chance[0, 1]  # boxes: it knows what a face is
    revive = killed_after(4)
    with pytest.raises(Killed):
        train(plan, tmp_path / "run", save_every_s=0.0)
    revive()
    train(plan, tmp_path / "run")
    assert np.abs(losses(tmp_path / "run") - losses(tmp_path / "whole")).max() < 1e-4


def train_losses_from_chance(plan, changed, tmp_path):
    train(changed(plan, init=""), tmp_path / "chance")
    return losses(tmp_path / "chance")


@pytest.mark.parametrize(
    "recipe",
    [
        {"class_loss": "focal", "box_loss": "giou"},
        {"box_loss": "log_iou", "optimiser": "adamw", "learning_rate": 1e-3},
        {"box_loss": "iou", "schedule": "step", "milestones": (0.5,)},
    ],
    ids=lambda recipe: recipe["box_loss"],
)
def test_other_losses_and_optimisers_learn_too(plan, changed, tmp_path, recipe):
    train(changed(plan, recipe={"steps": 40, **recipe}), tmp_path / "run")
    total = losses(tmp_path / "run")[:, 0]
    assert np.isfinite(total).all()
    assert total[-5:].mean() < 0.8 * total[:3].mean()


def test_resnet_trains_as_well(plan, changed, tmp_path):
    train(changed(plan, model="resnet18", recipe={"steps": 2}), tmp_path / "run")
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert find(tmp_path / "run").config.architecture == "resnet18"


# --------------------------------------------------------------------------------------------------- what goes wrong


def broken_loss(monkeypatch, when):
    """The loss is no number in the calls whose count (from 1) *when* accepts; batch norm is poisoned, too."""
    real = MultiBoxLoss.__call__
    calls = []

    def loss(self, *arguments):
        calls.append(None)
        sums = real(self, *arguments)
        return Sums(sums.box * float("nan"), sums.classes, sums.landmark) if when(len(calls)) else sums

    monkeypatch.setattr(MultiBoxLoss, "__call__", loss)


def test_a_step_whose_loss_is_no_number_leaves_no_trace_but_its_name(plan, tmp_path, monkeypatch):
    broken_loss(monkeypatch, lambda call: call == 3)
    said = []
    outcome = train(plan, tmp_path / "run", say=said.append)
    assert outcome.reason == "done"
    assert outcome.skipped == 1
    assert [entry["step"] for entry in curve(tmp_path / "run")] == [1, 2, 4, 5, 6, 7, 8]
    assert any("Step 3 was left out" in line for line in said)
    assert ".png" in (tmp_path / "run" / LOG).read_text().split("Its pictures:")[1].splitlines()[0]
    for tensor in state_of(tmp_path / "run")["network"].values():
        assert torch.isfinite(tensor).all()


def test_batch_norm_forgets_a_bad_step(plan, changed, tmp_path, monkeypatch):
    plan = changed(plan, recipe={"steps": 1, "warmup": 0})
    broken_loss(monkeypatch, lambda call: True)
    train(plan, tmp_path / "run")
    state = state_of(tmp_path / "run")["network"]
    assert torch.equal(state["body.stage1.0.1.running_mean"], torch.zeros(8))
    assert state["body.stage1.0.1.num_batches_tracked"] == 0


def test_too_many_bad_steps_end_it_with_a_sentence(plan, tmp_path, monkeypatch):
    broken_loss(monkeypatch, lambda call: call > 2)
    with pytest.raises(EngineFailed, match="no number 5 times in a row"):
        train(plan, tmp_path / "run")
    end = curve(tmp_path / "run", "end")[0]
    assert end["reason"] == "failed"
    assert "no number" in end["message"]
    assert RunFolder(tmp_path / "run").status() == "failed"


def test_full_memory_tells_what_fits(plan, changed, tmp_path, monkeypatch):
    real = RetinaFace.forward

    def forward(self, inputs):
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, inputs)

    monkeypatch.setattr(RetinaFace, "forward", forward)
    with pytest.raises(EngineFailed, match=r"4 pictures at a time; 2 fit. Add “--accumulate 2”"):
        train(plan, tmp_path / "run")
    assert train(changed(plan, accumulate=2), tmp_path / "run").reason == "done"


def test_full_memory_with_a_single_picture(plan, tmp_path, monkeypatch):
    def forward(self, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(RetinaFace, "forward", forward)
    with pytest.raises(EngineFailed, match="even with a single picture of 64 px"):
        train(plan, tmp_path / "run")


def test_a_batch_that_can_not_be_divided(plan, changed):
    with pytest.raises(UsageError, match="3 equal parts"):
        changed(plan, accumulate=3)


def test_pictures_that_are_not_there(plan, changed, tmp_path):
    with pytest.raises(RfappError, match="nowhere"):
        train(changed(plan, data=(tmp_path / "nowhere",)), tmp_path / "run")
    assert not (tmp_path / "run" / METRICS).exists()


# ------------------------------------------------------------------------------------------------------- the numbers


def test_pictures_as_the_network_takes_them(plan):
    from rfapp.models import MOBILENET_025

    images = torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8)
    means = np.array(MOBILENET_025.means)
    assert prepared(images, MOBILENET_025)[0, :, 0, 0].tolist() == ([1, 2, 3] - means).tolist()
    red_first = dataclasses.replace(MOBILENET_025, channel_order="RGB", means=(0.0, 1.0, 2.0))
    assert prepared(images, red_first)[0, :, 0, 0].tolist() == [3, 1, -1]


def test_parts_of_a_batch_sum_to_the_whole(plan, changed, tmp_path, monkeypatch):
    # Batch norm in eval mode: its statistics are the only thing that dividing a batch may change.
    monkeypatch.setattr(RetinaFace, "train", lambda self, mode=True: torch.nn.Module.train(self, False))
    plan = changed(plan, recipe={"steps": 4, "learning_rate": 1e-3})
    train(plan, tmp_path / "whole")
    train(changed(plan, accumulate=4), tmp_path / "parts")
    assert np.abs(losses(tmp_path / "whole") - losses(tmp_path / "parts")).max() < 1e-3


def test_metrics_have_what_is_documented(plan, tmp_path):
    train(plan, tmp_path / "run")
    lines = (tmp_path / "run" / METRICS).read_text().splitlines()
    first = json.loads(lines[0])
    assert set(first) == {
        "event", "time_s", "step", "epoch", "loss", "loss_box", "loss_class", "loss_landmark", "learning_rate",
        "images_per_s",
    }  # fmt: skip
    assert first["loss"] == pytest.approx(
        2 * first["loss_box"] + first["loss_class"] + first["loss_landmark"], abs=1e-4
    )
