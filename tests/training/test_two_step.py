"""AInnoFace's targets and losses against plain loops, what its filter does, and whole runs that end as models."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp import FaceDetector  # noqa: E402
from rfapp.cli import main  # noqa: E402
from rfapp.datasets.runs import RunFolder  # noqa: E402
from rfapp.errors import SettingsError  # noqa: E402
from rfapp.models import PriorBox  # noqa: E402
from rfapp.models.ainnoface import Steps, least_logit  # noqa: E402
from rfapp.models.config import AINNOFACE_R18  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.training.boxes import decode_boxes, encode_landmarks, moved_priors  # noqa: E402
from rfapp.training.initial import initial_network  # noqa: E402
from rfapp.training.losses import focal_loss, log_iou_loss  # noqa: E402
from rfapp.training.matching import Matching, Targets, match  # noqa: E402
from rfapp.training.objectives import OneStep, TwoStep, objective_for  # noqa: E402
from rfapp.training.recipes import recipe_for  # noqa: E402
from rfapp.training.trainer import train  # noqa: E402
from rfapp.training.two_step import TwoStepLoss  # noqa: E402
from rfapp.weights import Model, checkpoints, find  # noqa: E402

FIRST, SECOND = Matching(positive=0.7, negative=0.3), Matching(positive=0.5, negative=0.4)
SIZE = 96
PRIORS = PriorBox(AINNOFACE_R18, (SIZE, SIZE)).forward()


def loss_for(config=AINNOFACE_R18):
    return TwoStepLoss(config=config, first=FIRST, second=SECOND)


def faces(seed=0, pictures=3):
    """Boxes near priors of every level, one to ignore, one without landmarks."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.tensor([3, 700, 900, 1400, 1500, 1530, 1540, 1546])
    chosen = PRIORS[rows % len(PRIORS)]
    centre = chosen[:, :2] + (torch.rand(len(rows), 2, generator=generator) - 0.5) * 0.1 * chosen[:, 2:]
    half = chosen[:, 2:] / 2 * (0.9 + 0.2 * torch.rand(len(rows), 2, generator=generator))
    boxes = torch.cat([centre - half, centre + half], dim=1).clamp(0, 1)
    known = torch.ones(len(rows), dtype=torch.bool)
    known[2] = False
    ignore = torch.zeros(len(rows), dtype=torch.bool)
    ignore[1] = True
    picture = torch.arange(len(rows)) % pictures
    return Targets(pictures, picture, boxes, torch.rand(len(rows), 10, generator=generator), known, ignore)


def told(config=AINNOFACE_R18, seed=0, pictures=3):
    """What a network might say: first scores on both sides of the threshold."""
    torch.manual_seed(seed)
    cells = [math.ceil(SIZE / step) ** 2 * 2 for step in config.steps]
    fine, coarse = sum(cells[: config.stc_levels]), sum(cells[len(cells) - config.str_levels :])
    return Steps(
        torch.randn(pictures, sum(cells), 4) * 0.2,
        torch.randn(pictures, sum(cells)) - 2,
        torch.randn(pictures, sum(cells), 10) * 0.3,
        torch.randn(pictures, coarse, 4) * 0.2,
        torch.randn(pictures, fine) * 2 - 4,
    )


def plain_total(steps, targets, config=AINNOFACE_R18):
    """Picture by picture, prior by prior."""
    fine, begin = steps.first_scores.shape[1], len(PRIORS) - steps.first_boxes.shape[1]
    sums = dict.fromkeys(("first_classes", "first_boxes", "classes", "boxes", "landmarks"), 0.0)
    counts = dict.fromkeys(sums, 0)
    variance = config.variance

    def focal(logit, label):
        return float(focal_loss(torch.tensor([float(logit)]), torch.tensor([float(label)])))

    def log_iou(deltas, prior, face):
        return float(log_iou_loss(decode_boxes(deltas[None], prior[None], variance), face[None]))

    for number in range(targets.pictures):
        mine = targets.picture == number
        alone = Targets(
            1, torch.zeros(int(mine.sum()), dtype=torch.int64), targets.boxes[mine], targets.landmarks[mine],
            targets.known[mine], targets.ignore[mine],
        )  # fmt: skip
        first = match(PRIORS, alone, FIRST)
        moved = torch.cat([PRIORS[:begin], moved_priors(steps.first_boxes[number], PRIORS[begin:], variance)])
        second = match(moved, alone, SECOND)
        one = dict(zip(first.prior.tolist(), first.face.tolist(), strict=True))
        two = dict(zip(second.prior.tolist(), second.face.tolist(), strict=True))
        for prior in range(len(PRIORS)):
            if prior < fine and (prior in one or first.background[0, prior]):
                sums["first_classes"] += focal(steps.first_scores[number, prior], prior in one)
                counts["first_classes"] += prior in one
            if prior >= begin and prior in one:
                deltas = steps.first_boxes[number, prior - begin]
                sums["first_boxes"] += log_iou(deltas, PRIORS[prior], alone.boxes[one[prior]])
                counts["first_boxes"] += 1
            passed = prior >= fine or steps.first_scores[number, prior].sigmoid() > 0.01
            if passed and (prior in two or second.background[0, prior]):
                sums["classes"] += focal(steps.scores[number, prior], prior in two)
                counts["classes"] += prior in two
            if prior in two:
                sums["boxes"] += log_iou(steps.boxes[number, prior], moved[prior], alone.boxes[two[prior]])
                counts["boxes"] += 1
                if alone.known[two[prior]]:
                    wanted = encode_landmarks(alone.landmarks[two[prior]][None], moved[prior][None], variance)[0]
                    off = (steps.landmarks[number, prior] - wanted).abs() * 10
                    sums["landmarks"] += float(torch.where(off < 1, off**2 / 2, off - 0.5).sum())
                    counts["landmarks"] += 1
    parts = {name: sums[name] / max(1, counts[name]) for name in sums}
    assert min(counts.values()) > 0
    return sum(parts.values()) - 0.9 * parts["landmarks"], parts


def test_the_loss_is_that_of_plain_loops():
    steps, targets = told(), faces()
    found = match(PRIORS, targets, FIRST)
    sums, counts = loss_for()(steps, PRIORS, found, targets)
    total, parts = loss_for().total(sums, counts)
    expected, each = plain_total(steps, targets)
    for name, value in each.items():
        assert float(getattr(parts, name)) == pytest.approx(value, rel=1e-4), name
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert int(counts.lost) > 0


def test_moved_priors_are_matched_as_if_each_picture_had_its_own():
    targets, steps = faces(), told()
    begin = len(PRIORS) - steps.first_boxes.shape[1]
    moved = moved_priors(steps.first_boxes, PRIORS[begin:], (1.0, 1.0))
    both = match(PRIORS, targets, SECOND, refined=moved)
    for number in range(targets.pictures):
        mine = torch.nonzero(targets.picture == number)[:, 0]
        alone = Targets(
            1, torch.zeros_like(mine), targets.boxes[mine], targets.landmarks[mine], targets.known[mine],
            targets.ignore[mine],
        )  # fmt: skip
        one = match(torch.cat([PRIORS[:begin], moved[number]]), alone, SECOND)
        here = both.picture == number
        assert torch.equal(both.prior[here], one.prior)
        assert torch.equal(both.face[here], mine[one.face])
        assert torch.equal(both.background[number], one.background[0])
    plain = match(PRIORS, targets, SECOND)
    assert not torch.equal(plain.background, both.background)


def test_the_filter_removes_priors_and_changes_the_loss():
    targets = faces()
    results = {}
    for threshold in (0.99, 1 - 1e-12):
        config = replace(AINNOFACE_R18, filter_threshold=threshold)
        steps = told()
        steps.scores.requires_grad_(True)
        loss = loss_for(config)
        sums, counts = loss(steps, PRIORS, match(PRIORS, targets, FIRST), targets)
        total, parts = loss.total(sums, counts)
        torch.autograd.backward(total)
        results[threshold] = int(counts.dropped), parts.classes.item(), steps.scores.grad, parts.boxes.item()
    dropped, classes, gradient, boxes = results[0.99]
    none, unfiltered, whole, same_boxes = results[1 - 1e-12]
    outside = told().first_scores <= least_logit(AINNOFACE_R18)
    assert dropped == int(outside.sum()) > 1000
    assert none == 0
    assert classes != pytest.approx(unfiltered, rel=0.01)
    assert boxes == pytest.approx(same_boxes)
    fine = outside.shape[1]
    assert (gradient[:, :fine][outside] == 0).all()
    assert (whole[:, :fine][outside] != 0).any()
    assert (gradient[:, fine:] != 0).any()


@pytest.mark.parametrize("off", ["stc_levels", "str_levels"])
def test_either_step_can_be_left_out_and_changes_the_loss(off):
    targets, config = faces(), replace(AINNOFACE_R18, **{off: 0})
    steps = told()
    empty = {
        "stc_levels": steps._replace(first_scores=steps.first_scores[:, :0]),
        "str_levels": steps._replace(first_boxes=steps.first_boxes[:, :0]),
    }[off]
    totals = []
    for given, described in ((steps, AINNOFACE_R18), (empty, config)):
        loss = loss_for(described)
        sums, counts = loss(given, PRIORS, match(PRIORS, targets, FIRST), targets)
        total, parts = loss.total(sums, counts)
        totals.append(total.item())
    assert math.isfinite(totals[1])
    assert totals[1] != pytest.approx(totals[0], rel=0.01)
    assert float(parts.first_classes if off == "stc_levels" else parts.first_boxes) == 0


def test_pictures_without_faces_and_wild_first_steps_stay_finite():
    nothing = Targets(
        2, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), torch.zeros(0, 10), torch.zeros(0, dtype=torch.bool),
        torch.zeros(0, dtype=torch.bool),
    )  # fmt: skip
    for targets, pictures in ((nothing, 2), (faces(), 3)):
        steps = told(pictures=pictures)
        steps = steps._replace(first_boxes=(steps.first_boxes * 500).requires_grad_(True))
        loss = loss_for()
        total, _ = loss.total(*loss(steps, PRIORS, match(PRIORS, targets, FIRST), targets))
        assert total.isfinite()
        torch.autograd.backward(total)
        assert steps.first_boxes.grad is None or steps.first_boxes.grad.isfinite().all()


def test_each_family_has_its_objective():
    recipe = recipe_for("quick", "ainnoface-r18")
    device = torch.device("cpu")
    assert isinstance(objective_for(AINNOFACE_R18, recipe, device), TwoStep)
    resnet = recipe_for("quick", "resnet18")
    from rfapp.models import MOBILENET_025

    assert isinstance(objective_for(MOBILENET_025, resnet, device), OneStep)
    with pytest.raises(SettingsError, match="ainnoface-r18 learns with the focal loss"):
        objective_for(AINNOFACE_R18, resnet, device)


# ------------------------------------------------------------------------------------------------------- first weights


def test_an_imagenet_body_is_frozen_and_chance_is_not(tmp_path):
    from rfapp.models.resnet import ResNet

    torch.save(ResNet(18).state_dict(), tmp_path / "resnet18.pth")
    network = initial_network("ainnoface-r18", str(tmp_path / "resnet18.pth"), focal=True).network
    assert network.frozen
    assert not network.body["conv1"].weight.requires_grad
    assert not network.train().body["layer4"][0].bn1.training
    chance = initial_network("ainnoface-r18", "", focal=True).network
    assert not chance.frozen
    assert chance.body["layer4"][0].bn1.training


# ---------------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture
def small(plan):
    """Four steps of AInnoFace with pictures of 64 px."""
    recipe = recipe_for("quick", "ainnoface-r18")
    augmentation = replace(recipe.augmentation, size=64, scale_range=(0.8, 1.0), anchor_sampling=0.0, least=0.0)
    recipe = replace(recipe, steps=4, batch=4, validations=1, learning_rate=1e-3, augmentation=augmentation)
    return replace(plan, model="ainnoface-r18", recipe=recipe)


def events(folder):
    return [event for event in RunFolder(folder).events() if event["event"] == "step"]


def test_a_stopped_run_goes_on_exactly(small, tmp_path):
    train(small, tmp_path / "whole")
    run = RunFolder(tmp_path / "run")

    def say(line):
        if line.startswith("step 1/"):
            run.stop()

    assert train(small, run.path, say=say).reason == "stopped"
    assert train(small, run.path).reason == "done"
    names = ("loss", "loss_box", "loss_class", "loss_landmark", "loss_first_box", "loss_first_class")
    whole, joined = (
        [[event[name] for name in names] for event in events(path)] for path in (tmp_path / "whole", run.path)
    )
    assert len(whole) == 4
    np.testing.assert_allclose(joined, whole, atol=1e-4)


def test_a_batch_in_parts_is_trained_with(small, changed, tmp_path):
    train(changed(small, accumulate=2, recipe={"steps": 3}), tmp_path / "run")
    assert all(math.isfinite(event["loss"]) for event in events(tmp_path / "run"))


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes")
def test_two_processes_divide_by_what_both_have_found(small, changed, tmp_path, train_both_ways):
    """With the statistics of batch norm kept, two processes compute what one does with the whole batch."""
    first = tmp_path / "first.safetensors"
    torch.manual_seed(0)
    checkpoints.save(Model(name="first", path=first, config=AINNOFACE_R18), make_network(AINNOFACE_R18).state_dict())
    plan = changed(small, init=str(first), recipe={"steps": 3})
    train_both_ways(plan, plan, tmp_path)
    one, two = ([event["loss"] for event in events(tmp_path / name)] for name in ("one", "two"))
    assert len(one) == len(two) == 3
    np.testing.assert_allclose(two, one, atol=1e-3)


@pytest.fixture
def learned(discs, tmp_path_factory):
    """A run that has learned the discs: its folder."""
    from rfapp.training.plan import Plan

    recipe = recipe_for("quick", "ainnoface-r18")
    augmentation = replace(
        recipe.augmentation, size=96, scale_range=(0.45, 0.6), anchor_sampling=0.0, least=0.0, colours=False
    )  # discs of 50 to 80 px: some for the coarse levels, some for the fine ones
    recipe = replace(recipe, steps=40, batch=4, learning_rate=2e-3, augmentation=augmentation)
    folder = tmp_path_factory.mktemp("runs") / "learned"
    plan = Plan(
        data=(discs,), recipe=recipe, validation="none", model="ainnoface-r18", device="cpu", precision="float32",
        workers=0,
    )  # fmt: skip
    train(plan, folder)
    return folder


def check_that_both_steps_learned(learned):
    steps = events(learned)
    for name in ("loss", "loss_first_class", "loss_first_box", "loss_class", "loss_box"):
        values = [event[name] for event in steps]
        assert np.mean(values[:10]) > 0, name
        assert np.mean(values[-10:]) < 0.7 * np.mean(values[:10]), name


def test_both_steps_learn_and_the_folder_is_a_model_for_every_command(learned, discs, tmp_path, capsys):
    """One test, because one run serves both: as two they may go to different processes, and each would train."""
    check_that_both_steps_learned(learned)
    model = find(learned)
    assert model.config == AINNOFACE_R18
    assert model.title.startswith("AInnoFace")
    image = cv2.imread(str(discs / "images" / "0.png"))
    found = {}
    for engine in ("torch", "openvino"):
        with FaceDetector(learned, engine=engine, device="cpu", precision="float32", size=192, score=0.2) as detector:
            found[engine] = detector(image)
    assert len(found["torch"]) == len(found["openvino"]) > 0
    np.testing.assert_allclose(found["torch"].boxes, found["openvino"].boxes, atol=0.1)
    np.testing.assert_allclose(found["torch"].landmarks, found["openvino"].landmarks, atol=0.1)
    np.testing.assert_allclose(found["torch"].scores, found["openvino"].scores, atol=1e-3)
    common = ["--model", str(learned), "--quiet"]
    alike = ["--size", "192", "--precision", "float32"]
    picture = str(discs / "images" / "0.png")
    assert main(["detect", picture, *common, *alike, "--score", "0.2"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert len(line["faces"]) == len(found["torch"])
    assert len(line["faces"][0]["landmarks"]) == 5
    assert (
        main(["export", "onnx", *common, "--size", "192x192", "--with-decode", "--output", str(tmp_path / "a.onnx")])
        == 0
    )
    assert main(["export", "openvino", *common, "--dynamic", "--output", str(tmp_path / "a.xml")]) == 0
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    planes = cv2.resize(image, (192, 192))[..., ::-1].transpose(2, 0, 1)[None]
    boxes, scores = session.run(["boxes", "scores"], {"pictures": np.ascontiguousarray(planes, np.float32)})
    best = int(scores[0].argmax())
    np.testing.assert_allclose(boxes[0, best] / 2, found["torch"].boxes[0], atol=0.1)
    np.testing.assert_allclose(scores[0, best], found["torch"].scores[0], atol=1e-3)
    truth = tmp_path / "truth.jsonl"
    assert main(["evaluate", "wider", "--ground-truth", str(_ground_truth(discs, truth)), *common, *alike, "--json",
                 "--pictures", str(discs / "images"), "--processes", "1"]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["hard"] > 20


def _ground_truth(discs, path):
    """The discs as `rfapp evaluate wider` takes them."""
    lines = []
    for block in (discs / "label.txt").read_text().split("# ")[1:]:
        name, *rows = block.strip().splitlines()
        boxes = [[int(value) for value in row.split()[:4]] for row in rows]
        every = list(range(len(boxes)))
        lines.append(json.dumps({"event": "discs", "file": name, "boxes": boxes, "easy": every, "medium": every,
                                 "hard": every}))  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path
