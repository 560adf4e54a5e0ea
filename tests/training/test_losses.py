"""Losses against slow, plain versions, and their gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.models import MOBILENET_025, PriorBox  # noqa: E402
from rfapp.postprocess import decode_boxes as decode_numpy  # noqa: E402
from rfapp.postprocess import decode_landmarks as decode_landmarks_numpy  # noqa: E402
from rfapp.training.boxes import decode_boxes, encode_boxes, encode_landmarks  # noqa: E402
from rfapp.training.losses import MultiBoxLoss, focal_loss, giou_loss, iou_loss, log_iou_loss  # noqa: E402
from rfapp.training.matching import Targets, match  # noqa: E402

VARIANCE = (0.1, 0.2)


def boxes(rng, count):
    low = rng.uniform(0, 0.7, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.05, 0.5, (count, 2))], axis=1)


def iou_parts(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union, union, hull


SLOW = {
    iou_loss: lambda a, b: 1 - iou_parts(a, b)[0],
    log_iou_loss: lambda a, b: -math.log(max(iou_parts(a, b)[0], 1e-6)),
    giou_loss: lambda a, b: 1 - iou_parts(a, b)[0] + (iou_parts(a, b)[2] - iou_parts(a, b)[1]) / iou_parts(a, b)[2],
}


@pytest.mark.parametrize("loss", SLOW, ids=lambda loss: loss.__name__)
def test_overlap_losses_and_their_gradients(loss):
    rng = np.random.default_rng(1)
    mine, faces = boxes(rng, 40), boxes(rng, 40)
    given = torch.tensor(mine, dtype=torch.float32, requires_grad=True)
    values = loss(given, torch.tensor(faces, dtype=torch.float32))
    values.sum().backward()
    step = 1e-6
    for row in range(40):
        assert values[row].item() == pytest.approx(SLOW[loss](mine[row], faces[row]), abs=1e-5)
        for column in range(4):
            up, down = mine[row].copy(), mine[row].copy()
            up[column] += step
            down[column] -= step
            slope = (SLOW[loss](up, faces[row]) - SLOW[loss](down, faces[row])) / (2 * step)
            assert given.grad[row, column].item() == pytest.approx(slope, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("loss", SLOW, ids=lambda loss: loss.__name__)
def test_boxes_without_area_or_contact_stay_finite(loss):
    pairs = [
        ([0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]),
        ([0.2, 0.2, 0.2, 0.6], [0.1, 0.1, 0.5, 0.5]),
        ([0.6, 0.6, 0.2, 0.2], [0.1, 0.1, 0.5, 0.5]),
        ([0.0, 0.0, 0.1, 0.1], [0.8, 0.8, 0.9, 0.9]),
    ]
    given = torch.tensor([pair[0] for pair in pairs], requires_grad=True)
    values = loss(given, torch.tensor([pair[1] for pair in pairs]))
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert torch.isfinite(given.grad).all()


def test_giou_pulls_boxes_together_that_do_not_touch():
    given = torch.tensor([[0.0, 0.0, 0.1, 0.1]], requires_grad=True)
    giou_loss(given, torch.tensor([[0.8, 0.8, 0.9, 0.9]])).sum().backward()
    assert (given.grad[0, 2:] < 0).all()


def test_focal_loss_and_its_gradient():
    rng = np.random.default_rng(2)
    logits = np.concatenate([rng.normal(0, 3, 50), [40.0, -40.0, 40.0, -40.0]])
    labels = np.concatenate([rng.integers(0, 2, 50), [1, 1, 0, 0]])

    def slow(logit, label):
        right = 1 / (1 + math.exp(-logit)) if label else 1 / (1 + math.exp(logit))
        wrong = 1 / (1 + math.exp(logit)) if label else 1 / (1 + math.exp(-logit))
        return -(0.25 if label else 0.75) * wrong**2 * math.log(right)

    given = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    values = focal_loss(given, torch.tensor(labels))
    values.sum().backward()
    for row, (logit, label) in enumerate(zip(logits, labels, strict=True)):
        slope = (slow(logit + 1e-5, label) - slow(logit - 1e-5, label)) / 2e-5
        assert values[row].item() == pytest.approx(slow(logit, label), rel=1e-4, abs=1e-6)
        assert given.grad[row].item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_encoding_is_the_inverse_of_the_detectors_decoding():
    rng = np.random.default_rng(3)
    priors = PriorBox(MOBILENET_025, (96, 128)).array()[::7]
    faces = boxes(rng, len(priors)).astype(np.float32)
    points = rng.uniform(-0.1, 1.1, (len(priors), 10)).astype(np.float32)
    deltas = encode_boxes(torch.from_numpy(faces), torch.from_numpy(priors), VARIANCE)
    assert np.allclose(decode_numpy(deltas.numpy(), priors, VARIANCE), faces, atol=1e-5)
    assert np.allclose(decode_boxes(deltas, torch.from_numpy(priors), VARIANCE).numpy(), faces, atol=1e-5)
    told = encode_landmarks(torch.from_numpy(points), torch.from_numpy(priors), VARIANCE).numpy()
    assert np.allclose(decode_landmarks_numpy(told, priors, VARIANCE).reshape(-1, 10), points, atol=1e-5)


class Case:
    """Three pictures on a small grid: several faces, none, and one that has no landmarks beside one to ignore."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 96)).array())
        count = len(self.priors)
        self.outputs = tuple(
            torch.tensor(rng.normal(0, 1, (3, count, width)), dtype=torch.float32) for width in (4, 2, 10)
        )
        faces = boxes(rng, 6).astype(np.float32)
        self.targets = Targets(
            3,
            torch.tensor([0, 0, 0, 0, 2, 2]),
            torch.from_numpy(faces),
            torch.tensor(rng.uniform(0, 1, (6, 10)), dtype=torch.float32),
            torch.tensor([True, True, False, True, False, False]),
            torch.tensor([False, False, False, False, False, True]),
        )
        self.matches = match(self.priors, self.targets)
        assert len(self.matches) > 6

    def value(self, loss, outputs=None):
        parts = loss(outputs or self.outputs, self.priors, self.matches, self.targets)
        known = float(self.targets.known[self.matches.face].sum())
        return loss.total(parts, len(self.matches), known)


def smooth_l1(difference):
    return 0.5 * difference**2 if abs(difference) < 1 else abs(difference) - 0.5


def slow_multibox(case, negatives, least):
    """Picture by picture and prior by prior, in double precision."""
    deltas, classes, landmarks = (output.double().numpy() for output in case.outputs)
    targets, matches, priors = case.targets, case.matches, case.priors.double().numpy()
    box = cross = points = 0.0
    with_landmarks = 0
    positive = [{} for _ in range(3)]
    for picture, prior, face in zip(matches.picture, matches.prior, matches.face, strict=True):
        positive[int(picture)][int(prior)] = int(face)

    def entropy(picture, prior, label):
        background, face = classes[picture, prior]
        return math.log(math.exp(background) + math.exp(face)) - (face if label else background)

    for picture in range(3):
        for prior, face in positive[picture].items():
            x, y, w, h = priors[prior]
            x1, y1, x2, y2 = targets.boxes[face].double().tolist()
            wanted = [((x1 + x2) / 2 - x) / (0.1 * w), ((y1 + y2) / 2 - y) / (0.1 * h)]
            wanted += [math.log((x2 - x1) / w) / 0.2, math.log((y2 - y1) / h) / 0.2]
            box += sum(smooth_l1(a - b) for a, b in zip(deltas[picture, prior], wanted, strict=True))
            cross += entropy(picture, prior, 1)
            if targets.known[face]:
                with_landmarks += 1
                told = targets.landmarks[face].double().tolist()
                for k in range(10):
                    wanted_point = (told[k] - (x, y)[k % 2]) / (0.1 * (w, h)[k % 2])
                    points += smooth_l1(landmarks[picture, prior, k] - wanted_point)
        losses = [entropy(picture, prior, 0) for prior in range(len(priors)) if matches.background[picture, prior]]
        cross += sum(sorted(losses, reverse=True)[: max(negatives * len(positive[picture]), least)])
    total = sum(map(len, positive))
    parts = box / total, cross / total, points / max(with_landmarks, 1)
    return 2 * parts[0] + parts[1] + parts[2], parts


@pytest.mark.parametrize(("negatives", "least"), [(7, 0), (7, 20), (1000, 0), (0, 5)])
def test_multibox_loss_is_the_sum_one_by_one(negatives, least):
    case = Case()
    total, parts = case.value(MultiBoxLoss(variance=VARIANCE, negatives=negatives, least_negatives=least))
    expected, slow_parts = slow_multibox(case, negatives, least)
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert [parts.box.item(), parts.classes.item(), parts.landmark.item()] == pytest.approx(slow_parts, rel=1e-5)


@pytest.mark.parametrize("kind", ["smooth_l1", "iou", "giou", "log_iou"])
@pytest.mark.parametrize("classes", ["mined", "focal"])
def test_multibox_gradients_by_finite_differences(kind, classes):
    case = Case(seed=5)
    # Smooth slopes: boxes that touch their faces.
    near = torch.zeros_like(case.outputs[0])
    outputs = [output.clone().requires_grad_() for output in (near, *case.outputs[1:])]
    loss = MultiBoxLoss(variance=VARIANCE, box=kind, classes=classes, least_negatives=10)
    case.value(loss, tuple(outputs))[0].backward()
    rng = np.random.default_rng(0)
    for output in outputs:
        direction = torch.tensor(rng.normal(0, 1, output.shape), dtype=torch.float32)
        step = 2e-3

        def shifted(sign, output=output, direction=direction, step=step):
            moved = tuple(o.detach() + (sign * step * direction if o is output else 0) for o in outputs)
            return case.value(loss, moved)[0].item()

        slope = (shifted(1) - shifted(-1)) / (2 * step)
        assert (output.grad * direction).sum().item() == pytest.approx(slope, rel=2e-2, abs=2e-2)


def test_a_batch_without_faces_teaches_background_only():
    case = Case()
    empty = Targets(
        3, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), torch.zeros(0, 10), torch.zeros(0, dtype=torch.bool),
        torch.zeros(0, dtype=torch.bool),
    )  # fmt: skip
    matches = match(case.priors, empty)
    outputs = tuple(output.clone().requires_grad_() for output in case.outputs)
    loss = MultiBoxLoss(variance=VARIANCE, least_negatives=12)
    total, parts = loss.total(loss(outputs, case.priors, matches, empty), 0, 0)
    total.backward()
    assert parts.box.item() == parts.landmark.item() == 0
    assert total.item() > 0
    assert int((outputs[1].grad.abs().sum(dim=2) > 0).sum()) == 3 * 12
    silent = MultiBoxLoss(variance=VARIANCE)
    assert silent.total(silent(outputs, case.priors, matches, empty), 0, 0)[0].item() == 0


def test_half_precision_is_compared_in_float32():
    case = Case()
    loss = MultiBoxLoss(variance=VARIANCE)
    rounded = tuple(output.bfloat16() for output in case.outputs)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = case.value(loss, rounded)
    assert total.dtype == torch.float32
    exact, _ = case.value(loss, tuple(output.float() for output in rounded))
    assert total.item() == exact.item()


def test_large_scores_do_not_overflow():
    case = Case()
    outputs = case.outputs[0], case.outputs[1] * 1e4, case.outputs[2]
    assert math.isfinite(case.value(MultiBoxLoss(variance=VARIANCE), outputs)[0].item())
