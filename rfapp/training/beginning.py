"""What stands before and around the training loop: the folder of the run and its lock, batches that can't be divided,
and what to do about a full graphics card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rfapp.datasets.runs import LAST, LOCK, LOG, STATE, STOP, RunFolder
from rfapp.errors import EngineFailed, OutputExists, UsageError
from rfapp.models.networks import Network
from rfapp.text import mark
from rfapp.training.devices import Precision, largest_part
from rfapp.training.loader import Batch
from rfapp.training.plan import Plan
from rfapp.training.world import World


@contextmanager
def held(run: RunFolder, world: World) -> Iterator[None]:
    """The run's lock, which the first of several processes holds for all."""
    if world.first:
        with run.locked():
            run.clear_stop()
            yield
    else:
        yield


#: What ``run.toml`` knows of the run besides its plan and must not change, in words.
_MADE_OF = {
    "init_sha256": "first weights",
    "former_sha256": "weights to hold on to",
    "pictures": "training pictures",
}


def check_batch(plan: Plan, world: World) -> None:
    if plan.recipe.batch % (plan.accumulate * world.size):
        raise UsageError(
            mark("A batch of {batch} pictures can't be divided among {count} processes in {parts} parts each."),
            mark("Choose another --batch."),
            batch=plan.recipe.batch,
            count=world.size,
            parts=plan.accumulate,
        )


def check_folder(run: RunFolder) -> None:
    """Nothing is written into a folder that holds something else. Raises OutputExists."""
    ours = (LOCK, LOG, STOP)
    if not run.path.exists() or run.exists():
        return
    if not run.path.is_dir() or any(entry.name not in ours for entry in run.path.iterdir()):
        raise OutputExists(
            mark("“{path}” is there already, and it is no training run."),
            mark("Choose another folder."),
            path=run.path,
        )


def begun_before(plan: Plan, run: RunFolder, known: dict[str, Any], world: World) -> bool:
    """Write ``run.toml``, or make sure that the run in the folder is this one: then True. Raises OutputExists."""
    if not (run.exists() and ((run / STATE).exists() or (run / LAST).exists())):
        # Nothing is lost of a run that ended before it had saved anything.
        world.wait()
        if world.first:
            run.write_plan({**plan.to_mapping(), "made": known})
        world.wait()
        return False
    theirs = run.plan()
    difference = plan.differs_from(theirs)
    made = theirs.get("made", {})
    if not difference:
        difference = next((what for key, what in _MADE_OF.items() if made.get(key) != known.get(key)), "")
    if difference:
        raise OutputExists(
            mark("“{path}” holds a run with another {what}."),
            mark("Choose another folder, or give the options that the run was begun with; its run.toml has them."),
            path=run.path,
            what=difference,
        )
    return True


@contextmanager
def told_of_memory(
    plan: Plan, parts: list[Batch], network: Network, device: torch.device, precision: Precision
) -> Iterator[None]:
    """Tell what to do about a graphics card whose memory is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        together = len(parts[0].samples)
        size = plan.recipe.augmentation.size
        fits = largest_part(network, together, size, device, precision)
        if not fits:
            raise EngineFailed(
                mark("The memory of the graphics card is full, even with a single picture of {size} px at a time."),
                mark("Close other programs that use it, or train with smaller pictures."),
                size=size,
            ) from error
        counts = range(2, plan.recipe.batch + 1)
        smaller = (n for n in counts if plan.recipe.batch % n == 0 and plan.recipe.batch // n <= fits)
        raise EngineFailed(
            mark("The memory of the graphics card is full with {count} pictures at a time; {fits} fit."),
            mark("Add “--accumulate {parts}”: the batch stays {batch}, in {parts} parts."),
            count=together,
            fits=fits,
            parts=next(smaller),
            batch=plan.recipe.batch,
        ) from error
