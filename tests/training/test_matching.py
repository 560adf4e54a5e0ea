"""Targets of training against a version that goes through pictures, faces and priors one by one."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.models import MOBILENET_025, PriorBox  # noqa: E402
from rfapp.training.matching import ROUNDING, Matching, Targets, match  # noqa: E402


def targets_of(*pictures):
    """Each picture: a list of (box, ignore)."""
    rows = [(number, box, ignore) for number, faces in enumerate(pictures) for box, ignore in faces]
    count = len(rows)
    return Targets(
        len(pictures),
        torch.tensor([row[0] for row in rows], dtype=torch.int64),
        torch.tensor([row[1] for row in rows], dtype=torch.float32).reshape(count, 4),
        torch.zeros(count, 10),
        torch.zeros(count, dtype=torch.bool),
        torch.tensor([row[2] for row in rows], dtype=torch.bool),
    )


def iou(corner, area, box):
    """In float32, since a face within several priors overlaps them equally but for the last digit."""
    width = max(np.float32(0), min(corner[2], box[2]) - max(corner[0], box[0]))
    height = max(np.float32(0), min(corner[3], box[3]) - max(corner[1], box[1]))
    shared = width * height
    return shared / ((box[2] - box[0]) * (box[3] - box[1]) + area - shared), shared


def nearest(values, corners, box):
    """Of the priors with the greatest overlap that whose centre is nearest to the middle of *box*."""
    best = [p for p, value in enumerate(values) if value >= max(values) * (1 - ROUNDING)]
    middle = (box[:2] + box[2:]) / 2
    return min(best, key=lambda p: float(np.sum(((np.array(corners[p])[:2] + corners[p][2:]) / 2 - middle) ** 2)))


def slowly(priors, faces, rule):
    """One picture. Returns {prior: face} and the set of priors that are background."""
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in priors.numpy()]
    areas = [w * h for _, _, w, h in priors.numpy()]
    faces = [(np.float32(box), ignore) for box, ignore in faces]
    real = [f for f, (box, ignore) in enumerate(faces) if not ignore and box[2] > box[0] and box[3] > box[1]]
    table = {f: [iou(corner, area, faces[f][0])[0] for corner, area in zip(corners, areas, strict=True)] for f in real}
    found, background = {}, set()
    for p in range(len(corners)):
        best = max(real, key=lambda f: table[f][p], default=None)
        if best is None or table[best][p] < rule.negative:
            background.add(p)
        if best is not None and table[best][p] >= rule.positive:
            found[p] = best
    forced = {}
    for f in real:
        small = max(table[f]) < rule.positive
        p = nearest(table[f], corners, faces[f][0]) if small else int(np.argmax(table[f]))
        if table[f][p] >= rule.forced and (p not in forced or table[f][p] > table[forced[p]][p]):
            forced[p] = f
    found |= forced
    for box, ignore in faces:
        if ignore and box[2] > box[0] and box[3] > box[1]:
            values = [iou(corner, area, box) for corner, area in zip(corners, areas, strict=True)]
            least = min(rule.positive, max(value for value, _ in values)) * (1 - 1e-6)
            for p, (value, shared) in enumerate(values):
                if value > 0 and (value >= least or shared / areas[p] >= rule.covered):
                    background.discard(p)
    return found, background - found.keys()


def random_faces(rng, count):
    faces = []
    for _ in range(count):
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.9))) * rng.uniform(0.8, 1.25, 2)
        low = rng.uniform(-0.05, 1.0 - size / 2)
        box = [*low.tolist(), *(low + size).tolist()]
        if rng.random() < 0.15:
            box[2] = box[0]  # no width
        faces.append((box, bool(rng.random() < 0.2)))
    return faces


@pytest.mark.parametrize("rule", [Matching(), Matching(positive=0.5, negative=0.4, forced=0.3), Matching(forced=0.05)])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_one_by_one(seed, rule):
    rng = np.random.default_rng(seed)
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (96, 160)).array())
    pictures = [random_faces(rng, count) for count in (3, 0, 12, 1, 30)]
    matches = match(priors, targets_of(*pictures), rule)
    first = 0
    for number, faces in enumerate(pictures):
        found, background = slowly(priors, faces, rule)
        mine = matches.picture == number
        pairs = zip(matches.prior[mine].tolist(), (matches.face[mine] - first).tolist(), strict=True)
        assert dict(pairs) == found
        assert set(torch.nonzero(matches.background[number])[:, 0].tolist()) == background
        first += len(faces)
    assert len(matches) > 20


def test_an_invalid_face_takes_no_prior():
    # The face of 16 px sits on the first prior. The one of 4 px in the same place overlaps every prior by 1/16 only,
    # and a box without area by nothing: neither may become what that prior is to find, though they come later.
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (32, 32)).array())
    x, y = priors[10, :2].tolist()

    def around(side):
        return [x - side / 64, y - side / 64, x + side / 64, y + side / 64]

    matches = match(priors, targets_of([(around(16), False), (around(4), False), ([x, y, x, y], False)]))
    assert 10 in matches.prior.tolist()
    assert set(matches.face.tolist()) == {0}


def test_the_better_of_two_faces_gets_the_prior_that_is_best_for_both():
    priors = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    good, poor = [0.25, 0.25, 0.75, 0.75], [0.3, 0.3, 0.75, 0.75]
    assert match(priors, targets_of([(good, False), (poor, False)])).face.tolist() == [0]
    assert match(priors, targets_of([(poor, False), (good, False)])).face.tolist() == [1]


def test_a_face_between_forces_its_best_prior():
    # 10 px on a grid of 16 px priors: IoU 100/256 = 0.39; 8 px: 0.25, forced; 6 px: 0.14, too poor.
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 64)).array())
    middle = 0.5625  # the centre of a cell
    for side, expected in ((10, 1), (8, 1), (6, 0)):
        half = side / 128
        box = [middle - half, middle - half, middle + half, middle + half]
        assert len(match(priors, targets_of([(box, False)]))) == expected


def test_a_face_within_several_priors_takes_the_nearest():
    # 5 px within 16 px: whatever lies around it wholly overlaps it by the same 25/256.
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 64)).array())
    rule = Matching(forced=0.05)
    for x, y in ((19, 21), (21, 19), (20.5, 27), (11, 13)):
        box = [(x - 2.5) / 64, (y - 2.5) / 64, (x + 2.5) / 64, (y + 2.5) / 64]
        matches = match(priors, targets_of([(box, False)]), rule)
        apart = (priors[:128:2, :2] * 64 - torch.tensor([x, y])).norm(dim=1)
        assert matches.prior.tolist() == [2 * int(apart.argmin())]
        assert len(match(priors, targets_of([(box, False)]))) == 0  # the published rule teaches that this is none


def test_nothing_in_gives_only_background():
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 64)).array())
    matches = match(priors, targets_of([], []))
    assert len(matches) == 0
    assert matches.background.shape == (2, len(priors))
    assert matches.background.all()


def test_broken_numbers_match_nothing():
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 64)).array())
    broken = [([0.1, 0.1, float("nan"), 0.5], False), ([0.5, 0.5, 0.1, 0.1], False), ([0, 0, float("inf"), 1], True)]
    matches = match(priors, targets_of(broken))
    assert len(matches) == 0
    assert matches.background.all()


def test_priors_in_an_ignored_area_are_neither_face_nor_background():
    priors = torch.from_numpy(PriorBox(MOBILENET_025, (64, 64)).array())
    matches = match(priors, targets_of([([0.0, 0.0, 0.5, 0.5], True)]))
    assert len(matches) == 0
    left = priors[~matches.background[0]]
    assert len(left) > 0
    assert (left[:, :2] <= 0.5).all()
    inside = (priors[:, 0] < 0.4) & (priors[:, 1] < 0.4) & (priors[:, 2] == 0.25)
    assert not matches.background[0][inside].any()


def test_moving_to_a_device_keeps_everything():
    targets = targets_of([([0.1, 0.1, 0.4, 0.4], False)])
    moved = targets.to(torch.device("cpu"))
    assert torch.equal(moved.boxes, targets.boxes)
    assert moved.pictures == 1
