"""Batches of augmented pictures, in an order and with chances that only the seed decides.

What a picture looks like depends on the seed, the epoch and its place there, and on nothing else: not on how many
processes load, nor on where a run was interrupted. A run that goes on from step k gets exactly the batches from k on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rfapp.datasets import Sample
from rfapp.engines.memory import keep_freed_memory
from rfapp.errors import EngineFailed, RfappError, SourceEmpty
from rfapp.text import mark
from rfapp.training.augmentation import Augmentation, Example, load
from rfapp.training.matching import Targets

Indices = npt.NDArray[np.int64]
#: A picture of a run: the epoch, its place there, and the index of the sample.
Key = tuple[int, int, int]

#: Batches that each process prepares ahead.
AHEAD = 3
#: A damaged picture is replaced by another one; after so many in a row something else is wrong.
TRIES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``images``: uint8 B×H×W×3, BGR. ``samples``: the index of each picture in the set. ``problems``: a sentence for
    each picture that could not be read and was replaced by another one."""

    images: Tensor
    targets: Targets
    samples: tuple[int, ...]
    problems: tuple[str, ...] = ()

    def pin_memory(self) -> Batch:
        """The same in memory that a graphics card reads from by itself; torch's loader calls this."""
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.samples, self.problems)


class Order:
    """Which pictures make up which step.

    An epoch shows every picture with faces once, shuffled, and among them pictures without faces so that they are the
    share *empty* of all. What does not fill a batch is left out; it is another part in each epoch. Fewer pictures than
    a batch are repeated.
    """

    def __init__(self, samples: Sequence[Sample], *, batch: int, empty: float, seed: int) -> None:
        faces = [not sample.ignore.all() for sample in samples]
        self._faces: Indices = np.flatnonzero(faces)
        self._empty: Indices = np.flatnonzero(~np.array(faces, np.bool_))
        if not len(self._faces):
            raise SourceEmpty(
                mark("There are no faces in the training pictures."), mark("Name labelled pictures with --data.")
            )
        self.batch, self.seed = batch, seed
        self._empty_count = round(len(self._faces) * empty / (1 - empty)) if len(self._empty) else 0
        self._length = len(self._faces) + self._empty_count
        self.steps_per_epoch = max(1, self._length // batch)

    def epoch(self, number: int) -> Indices:
        """The samples of that epoch in their order, as many as its steps take."""
        rng = np.random.default_rng([self.seed, number])
        parts = [self._faces]
        wanted = self._empty_count
        while wanted > 0:  # more may be wanted than there are
            some = rng.permutation(self._empty)[:wanted]
            parts.append(some)
            wanted -= len(some)
        order: Indices = rng.permutation(np.concatenate(parts))
        return np.resize(order, self.steps_per_epoch * self.batch)

    def keys(self, first: int, last: int) -> Iterator[list[Key]]:
        """The pictures of the steps *first* … *last* − 1."""
        epoch, order = -1, self._faces
        for step in range(first, last):
            number, within = divmod(step, self.steps_per_epoch)
            if number != epoch:
                epoch, order = number, self.epoch(number)
            places = range(within * self.batch, (within + 1) * self.batch)
            yield [(epoch, place, int(order[place])) for place in places]


#: An augmented picture, its sample, and what could not be read; or why there is none.
_Item = tuple[Example, int, tuple[str, ...]] | RfappError


class _Pictures(Dataset[_Item]):
    """Augmented examples by their key; this is what a loading process holds."""

    def __init__(self, samples: Sequence[Sample], augmentation: Augmentation, seed: int) -> None:
        self._samples = tuple(samples)
        self._augmentation = augmentation
        self._seed = seed

    def __getitem__(self, key: Key) -> _Item:
        try:
            return self._made(*key)
        except RfappError as error:
            return error  # torch would wrap one that is raised in another process into text

    def _made(self, epoch: int, place: int, index: int) -> tuple[Example, int, tuple[str, ...]]:
        rng = np.random.default_rng([self._seed, epoch, place])
        problems: list[str] = []
        example, index = self._load(index, rng, problems)
        more: list[Example] = []
        if self._augmentation.wants_more(rng):
            others = rng.integers(len(self._samples), size=3)
            more = [self._load(int(other), rng, problems)[0] for other in others]
        return self._augmentation(example, rng, more), index, tuple(problems)

    def _load(self, index: int, rng: np.random.Generator, problems: list[str]) -> tuple[Example, int]:
        for _ in range(TRIES):
            try:
                return load(self._samples[index]), index
            except RfappError as error:
                problems.append(str(error))
                last = error
            index = int(rng.integers(len(self._samples)))
        raise last


def _collate(items: Sequence[_Item]) -> Batch | RfappError:
    """One batch of augmented examples of one size, or the first error."""
    examples: list[tuple[Example, int, tuple[str, ...]]] = []
    for item in items:
        if isinstance(item, RfappError):
            return item
        examples.append(item)
    pictures = [example for example, _, _ in examples]
    size = np.array([pictures[0].width, pictures[0].height], np.float32)
    landmarks = np.concatenate([picture.landmarks for picture in pictures]).reshape(-1, 10)
    counts = [len(picture) for picture in pictures]
    targets = Targets(
        len(pictures),
        torch.from_numpy(np.repeat(np.arange(len(pictures)), counts)),
        torch.from_numpy(np.concatenate([picture.boxes for picture in pictures]) / np.tile(size, 2)),
        torch.from_numpy(landmarks / np.tile(size, 5)),
        torch.from_numpy(np.concatenate([picture.known for picture in pictures])),
        torch.from_numpy(np.concatenate([picture.ignore for picture in pictures])),
    )
    return Batch(
        torch.from_numpy(np.stack([picture.image for picture in pictures])),
        targets,
        tuple(index for _, index, _ in examples),
        tuple(problem for _, _, problems in examples for problem in problems),
    )


@dataclass(frozen=True, slots=True)
class Share:
    """What one process of several takes of each step: part *rank* of *size*, in *parts* batches one after the other."""

    rank: int = 0
    size: int = 1
    parts: int = 1

    def of(self, keys: list[Key]) -> list[list[Key]]:
        """The batches of this process. The pictures of a step must divide evenly."""
        length = len(keys) // (self.size * self.parts)
        mine = keys[self.rank * self.parts * length : (self.rank + 1) * self.parts * length]
        return [mine[part * length : (part + 1) * length] for part in range(self.parts)]


class _Steps:
    """The batches of keys from one step to another, as torch's loader wants them."""

    def __init__(self, order: Order, share: Share, first: int, last: int) -> None:
        self._order, self._share, self._first, self._last = order, share, first, last

    def __iter__(self) -> Iterator[list[Key]]:
        for keys in self._order.keys(self._first, self._last):
            yield from self._share.of(keys)

    def __len__(self) -> int:
        return (self._last - self._first) * self._share.parts


def batches(
    samples: Sequence[Sample],
    order: Order,
    augmentation: Augmentation,
    *,
    first: int,
    last: int,
    share: Share = Share(),
    workers: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches of the steps *first* … *last* − 1 (*share*.parts of them for each), made by *workers* processes
    besides this one; 0: by this one. *pin*: into memory that a graphics card reads from by itself.

    Raises PictureUnreadable or SourceNotFound when many pictures in a row are damaged, EngineFailed when a process
    dies.
    """
    pictures = _Pictures(samples, augmentation, order.seed)
    loader: DataLoader[_Item] = DataLoader(
        pictures,
        batch_sampler=_Steps(order, share, first, last),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin,
        prefetch_factor=AHEAD if workers else None,
        # The same everywhere, and safe beside threads: a forked process may hang on locks that were held.
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_start_worker if workers else None,
    )
    items = iter(loader)
    failure: RfappError | None = None
    try:
        while failure is None:
            try:
                item: Batch | RfappError | None = next(items, None)
            except RuntimeError as error:
                failure = process_ended(error)
                if failure is None:
                    raise
                continue
            if item is None:
                return
            if isinstance(item, RfappError):
                failure = item
            else:
                yield item
    finally:
        # And with it its processes, which an error that someone keeps would keep, too; and torch raises again at any
        # time as long as it waits for a dead one.
        del items
    raise failure


def process_ended(error: RuntimeError) -> EngineFailed | None:
    """What to say when *error* is torch's about a loading process that died, which it may raise anywhere."""
    if "DataLoader worker" not in str(error):
        return None
    return EngineFailed(
        mark("A process that loads pictures ended: {reason}."),
        mark("The same command goes on from the last saving; with fewer --workers less memory is needed."),
        reason=str(error).strip().split("\n", 1)[0].rstrip(". "),
    )


def _start_worker(number: int) -> None:
    """One thread each, and who wants to end the run ends the process that trains: it needs the others until it is done,
    and it ends them. So they stand outside its terminal and its group; a signal meant for them alone still ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        os.setsid()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    keep_freed_memory()  # each picture takes what the one before gave back
