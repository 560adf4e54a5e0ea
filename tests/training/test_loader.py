"""Batches: the same whoever makes them and wherever a run begins; damaged pictures are replaced."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.datasets import Sample  # noqa: E402
from rfapp.errors import PictureUnreadable, SourceEmpty  # noqa: E402
from rfapp.training.augmentation import Augmentation  # noqa: E402
from rfapp.training.loader import Order, Share, batches  # noqa: E402


def sample(path, count):
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(12, 40, (count, 2))], axis=1).astype(np.float32)
    landmarks = np.repeat(boxes[:, None, :2], 5, axis=1) + 6
    known = np.arange(count) % 2 == 0
    landmarks[~known] = 0
    return Sample(path, boxes, landmarks, known, np.zeros(count, np.bool_), np.zeros(count, np.int32))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    made = []
    for number in range(11):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (100, 120, 3), np.uint8))
        made.append(sample(path, number % 4 + 1) if number < 8 else Sample.negative(path))
    return made


ALONE = Share()
MIXED = Augmentation(size=64, mosaic=0.3, anchor_sampling=0.3, least=3)


def all_of(samples, first=0, last=6, workers=0, share=ALONE, seed=3):
    order = Order(samples, batch=4, empty=0.2, seed=seed)
    return list(batches(samples, order, MIXED, first=first, last=last, workers=workers, share=share))


def same(one, other):
    assert one.samples == other.samples
    assert torch.equal(one.images, other.images)
    for name in ("picture", "boxes", "landmarks", "known", "ignore"):
        assert torch.equal(getattr(one.targets, name), getattr(other.targets, name))


def test_a_batch(samples):
    batch = all_of(samples, last=1)[0]
    assert batch.images.shape == (4, 64, 64, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.pictures == 4
    assert batch.targets.picture.tolist() == sorted(batch.targets.picture.tolist())
    assert batch.targets.boxes.dtype == batch.targets.landmarks.dtype == torch.float32
    assert batch.targets.boxes.min() >= 0
    assert batch.targets.boxes.max() <= 1
    assert not batch.problems


def test_going_on_in_the_middle_gives_the_same_batches(samples):
    whole = all_of(samples)
    assert len(whole) == 6
    for one, other in zip(whole[2:], all_of(samples, first=2), strict=True):
        same(one, other)


def test_other_processes_make_the_same_batches(samples):
    for one, other in zip(all_of(samples), all_of(samples, workers=2), strict=True):
        same(one, other)


def test_another_seed_makes_others(samples):
    assert not torch.equal(all_of(samples)[0].images, all_of(samples, seed=4)[0].images)


def test_a_picture_looks_different_in_each_epoch(samples):
    order = Order(samples[:1], batch=1, empty=0, seed=0)
    first, second = batches(samples[:1], order, Augmentation(size=64), first=0, last=2)
    assert not torch.equal(first.images, second.images)


def test_every_face_once_an_epoch_and_the_share_of_empty_pictures(samples):
    order = Order(samples, batch=5, empty=0.2, seed=1)
    assert order.steps_per_epoch == 2  # 8 with faces and 2 of the 3 without
    counts = Counter(order.epoch(0).tolist())
    assert {counts[index] for index in range(8)} == {1}
    assert sum(counts[index] for index in range(8, 11)) == 2
    empty = {index for number in range(20) for index in order.epoch(number).tolist() if index >= 8}
    assert empty == {8, 9, 10}
    many = Order(samples, batch=1, empty=0.6, seed=1).epoch(0)  # 12 are wanted, 3 are there: 4 times each
    assert Counter(many.tolist())[9] == 4


def test_fewer_pictures_than_a_batch_are_repeated(samples):
    order = Order(samples[:3], batch=8, empty=0, seed=1)
    assert order.steps_per_epoch == 1
    assert set(order.epoch(0).tolist()) == {0, 1, 2}
    assert len(order.epoch(0)) == 8


def test_shares_of_a_step_are_the_step(samples):
    order = Order(samples, batch=4, empty=0, seed=1)
    keys = next(order.keys(1, 2))
    shares = [Share(rank, 2, 2).of(keys) for rank in range(2)]
    assert [part for share in shares for part in share] == [keys[0:1], keys[1:2], keys[2:3], keys[3:4]]
    half = all_of(samples, share=Share(1, 2))
    whole = all_of(samples)
    assert torch.equal(half[3].images, whole[3].images[2:])


def test_a_damaged_picture_is_replaced_and_named(samples, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    some = [*samples[:3], sample(broken, 2)]
    order = Order(some, batch=4, empty=0, seed=0)
    batch = next(batches(some, order, Augmentation(size=64), first=0, last=1))
    assert any("broken.png" in problem for problem in batch.problems)
    assert 3 not in batch.samples
    again = next(batches(some, order, Augmentation(size=64), first=0, last=1))
    same(batch, again)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_but_damaged_pictures_is_an_error(tmp_path, workers):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    some = [sample(broken, 1)]
    order = Order(some, batch=1, empty=0, seed=0)
    with pytest.raises(PictureUnreadable, match=r"broken\.png"):
        next(batches(some, order, Augmentation(size=64), first=0, last=1, workers=workers))


def test_pictures_without_any_face_are_an_error(samples):
    with pytest.raises(SourceEmpty):
        Order(samples[8:], batch=1, empty=0.1, seed=0)
