"""Images a second of the training loop against a plain one, taking turns on the same pictures.

The plain loop does what straightforward code does: float32, priors made anew in Python loops at each step, one picture
after the other matched and compared. Both get the same pictures from the same kind of loader. Each runs in a process of
its own, which waits while the other's turn is: ours is set up as ``rfapp train`` is (memory that a step gives back is
kept, threads that wait do not spin for long), and the plain one is to be as Python starts it. From the project's
folder::

    python benchmarks/training_speed.py --data LABELS [--steps 10] [--rounds 3] [--batch 16] [--size 416] [--workers 1]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rfapp.datasets import clean, open_dataset
from rfapp.engines.memory import KEPT_ALL, keep_freed_memory, share_one_heap
from rfapp.models import MOBILENET_025, ModelConfig, PriorBox, RetinaFace
from rfapp.training.boxes import areas, corners_of, encode_boxes, encode_landmarks, intersections
from rfapp.training.cpu_layers import quicken
from rfapp.training.devices import choose
from rfapp.training.loader import Batch, Order, batches
from rfapp.training.losses import MultiBoxLoss
from rfapp.training.matching import match
from rfapp.training.optimising import Buffers, RunningMean, optimiser_for
from rfapp.training.recipes import recipe_for
from rfapp.training.trainer import prepared
from rfapp.training.world import World


def plain_priors(config: ModelConfig, size: int) -> Tensor:
    """Prior by prior."""
    rows = []
    for step, sizes in zip(config.steps, config.min_sizes, strict=True):
        cells = -(-size // step)
        for row in range(cells):
            for column in range(cells):
                for side in sizes:
                    rows.append([(column + 0.5) * step / size, (row + 0.5) * step / size, side / size, side / size])
    return torch.tensor(rows)


def plain_match(priors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """One picture: the face of each prior, and whether it is to find it."""
    corners = corners_of(priors)
    shared = intersections(boxes, corners)
    overlap = shared / (areas(boxes)[:, None] + areas(corners)[None] - shared)
    best, face = overlap.max(dim=0)
    most, prior = overlap.max(dim=1)
    for index in range(len(boxes)):
        if most[index] >= 0.2:
            face[prior[index]] = index
            best[prior[index]] = 2.0
    return face, best >= 0.35


def plain_loss(outputs: tuple[Tensor, Tensor, Tensor], priors: Tensor, batch: Batch, config: ModelConfig) -> Tensor:
    """Picture by picture."""
    deltas, classes, landmarks = outputs
    targets = batch.targets
    total = deltas.new_zeros(())
    positives = 0
    for number in range(targets.pictures):
        mine = (targets.picture == number) & ~targets.ignore
        boxes, points, known = targets.boxes[mine], targets.landmarks[mine], targets.known[mine]
        if not len(boxes):
            continue
        face, positive = plain_match(priors, boxes)
        count = int(positive.sum())
        chosen = face[positive]
        wanted = encode_boxes(boxes[chosen], priors[positive], config.variance)
        total = total + 2 * F.smooth_l1_loss(deltas[number][positive], wanted, reduction="sum")
        entropy = F.cross_entropy(classes[number], positive.long(), reduction="none")
        ranked = torch.where(positive, torch.zeros(()), entropy).sort(descending=True).values
        total = total + entropy[positive].sum() + ranked[: 7 * count].sum()
        has = known[chosen]
        told = encode_landmarks(points[chosen][has], priors[positive][has], config.variance)
        total = total + F.smooth_l1_loss(landmarks[number][positive][has], told, reduction="sum")
        positives += count
    return total / max(1, positives)


def plain_loop(stream: Iterator[Batch], size: int) -> Callable[[], None]:
    network = RetinaFace(MOBILENET_025, "train").train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        batch = next(stream)
        priors = plain_priors(MOBILENET_025, size)
        optimiser.zero_grad()
        loss = plain_loss(network(prepared(batch.images, MOBILENET_025)), priors, batch, MOBILENET_025)
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def our_loop(stream: Iterator[Batch], size: int, precision: str) -> Callable[[], None]:
    """A step of ``rfapp.training.trainer`` without its files."""
    share_one_heap()
    keep_freed_memory(KEPT_ALL)
    device, chosen = choose("cpu", precision, World())
    recipe = replace(recipe_for("quick", "mobilenet0.25"), learning_rate=1e-4)
    network = RetinaFace(MOBILENET_025, "train").train()
    quicken(network)
    optimiser = optimiser_for(network, recipe)
    mean, buffers = RunningMean(network, recipe.ema), Buffers(network)
    priors = PriorBox(MOBILENET_025, (size, size)).forward()
    loss_of = MultiBoxLoss(variance=MOBILENET_025.variance, least_negatives=recipe.least_negatives)

    def step() -> None:
        batch = next(stream)
        found = match(priors, batch.targets)
        optimiser.zero_grad(set_to_none=True)
        buffers.keep()
        with torch.autocast(device.type, chosen.dtype, enabled=chosen.mixed):
            outputs = network(prepared(batch.images, MOBILENET_025))
        sums = loss_of(outputs, priors, found, batch.targets)
        known = float(batch.targets.known[found.face].sum())
        loss, _ = loss_of.total(sums, len(found), known)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        mean.update()

    return step


LOOPS: dict[str, Callable[[Iterator[Batch], int], Callable[[], None]]] = {
    "plain": plain_loop,
    "rfapp, float32": partial(our_loop, precision="float32"),
    "rfapp, auto": partial(our_loop, precision="auto"),
}


def serve(name: str, given: argparse.Namespace, orders: Connection) -> None:
    """Run the loop *name* in this process: as many steps as each order says, answered by the seconds they took."""
    if given.threads:
        torch.set_num_threads(given.threads)
    samples = clean(open_dataset(given.data)).samples
    augmentation = replace(recipe_for("quick", "mobilenet0.25").augmentation, size=given.size)
    order = Order(samples, batch=given.batch, empty=0.0, seed=0)
    step = LOOPS[name](batches(samples, order, augmentation, first=0, last=10**6, workers=given.workers), given.size)
    while count := orders.recv():
        step()  # not counted: pictures lie ready, caches fill
        began = time.perf_counter()
        for _ in range(count):
            step()
        orders.send(time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    for name, default in (("steps", 10), ("rounds", 3), ("batch", 16), ("size", 416), ("workers", 1), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    context = get_context("spawn")
    ends: dict[str, Connection] = {}
    processes = []
    for name in LOOPS:
        if name == "plain":
            os.environ.pop("GOMP_SPINCOUNT", None)
        else:
            os.environ["GOMP_SPINCOUNT"] = "5000"
        ends[name], other = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, given, other)))
        processes[-1].start()
    speeds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for turn in range(given.rounds + 1):
        for name, end in ends.items():
            end.send(given.steps)
            seconds = end.recv()
            if turn:  # in the first turn programs are translated
                speeds[name].append(given.steps * given.batch / seconds)
    for end, process in zip(ends.values(), processes, strict=True):
        end.send(0)
        process.join()
    medians = {name: round(statistics.median(values), 2) for name, values in speeds.items()}
    ratios = {name: round(value / medians["plain"], 2) for name, value in medians.items()}
    print(json.dumps({"images_per_s": medians, "against_plain": ratios}))


if __name__ == "__main__":
    main()
