"""The training loop, from the first line to the last. ``rfapp train`` calls :func:`train`.

A step: pictures come from the loader, their priors are matched, the network and its loss run (in parts, if the batch
does not fit), the gradients change the weights, and the running mean follows. Everything else here is telling, saving
and stopping. The order of pictures and their augmentation depend on the step alone, so that a run that goes on from its
``state.pt`` is the run that it would have been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from rfapp import __version__
from rfapp.datasets.runs import LOG, RunFolder
from rfapp.engines.memory import KEPT_ALL, keep_freed_memory, share_one_heap
from rfapp.errors import EngineFailed, RfappError, UsageError
from rfapp.models.config import LUMA_BGR, ModelConfig
from rfapp.models.networks import Network
from rfapp.text import mark
from rfapp.training.beginning import begun_before, check_batch, check_folder, held, told_of_memory
from rfapp.training.compiling import compiled
from rfapp.training.cpu_layers import quicken
from rfapp.training.devices import Precision, choose, threads_kept, worker_count
from rfapp.training.gathering import Pictures, gather
from rfapp.training.initial import fingerprint, initial_network, unfold
from rfapp.training.keeping import Former
from rfapp.training.loader import Order, Share, batches, process_ended
from rfapp.training.objectives import objective_for
from rfapp.training.optimising import Buffers, RunningMean, learning_rate, optimiser_for
from rfapp.training.parts import fix_norm, learn_only
from rfapp.training.plan import Plan
from rfapp.training.saving import WeightsOfRun, load_state, save_found, save_state
from rfapp.training.stopping import Stopping
from rfapp.training.telling import Meter, Teller
from rfapp.training.validation import average_precision
from rfapp.training.world import World

#: Steps in a row whose loss is no number, after which training ends.
BAD_STEPS = 5
#: Batches over which batch norm is measured in folded weights.
UNFOLDING = 8
#: A run has no more step events than about this.
EVENTS = 5000


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason``: done or stopped. ``best``: the average precision of the best weights, empty without validation."""

    reason: str
    steps: int
    epochs: int
    best: dict[str, float]
    seconds: float
    skipped: int


def prepared(images: Tensor, config: ModelConfig) -> Tensor:
    """uint8 B×H×W×3 BGR → float32 (B, channels, H, W) as the network takes it."""
    if config.channel_order == "GRAY":
        planes = images.float() @ torch.tensor(LUMA_BGR, device=images.device)[:, None]
    else:
        planes = (images.flip(-1) if config.channel_order == "RGB" else images).float()
    means = torch.tensor(config.means[: config.channels], device=images.device)
    return (planes - means).permute(0, 3, 1, 2)


def train(
    plan: Plan,
    folder: Path,
    *,
    say: Callable[[str], None] = lambda line: None,
    save_every_s: float = 60.0,
    tensorboard: bool = False,
) -> Outcome:
    """Train as *plan* says, in *folder*; a run that was begun there with the same plan is gone on with.

    Ends after the last step; or after the current one when the file ``stop`` appears in *folder* or the process is
    interrupted or asked to end: then all is saved. *say* gets lines about what goes on. *tensorboard*: the curves go to
    a folder for TensorBoard, too. Raises RfappError.
    """
    world = World.from_environment()
    run = RunFolder(folder)
    check_folder(run)
    with held(run, world), Stopping(run) as stopping:
        teller = Teller(run, say if world.first else lambda line: None, silent=not world.first, board=tensorboard)
        device, precision = choose(plan.device, plan.precision, world)
        if device.type == "cpu":
            # What the forward pass takes another thread gives back in the backward pass, and the next step takes it
            # again: an eighth of a step on a CPU is otherwise spent on pages that the system has to clear.
            share_one_heap()
            keep_freed_memory(KEPT_ALL)
        world.join(device)
        try:
            return _train(plan, run, world, device, precision, teller, stopping, save_every_s)
        except RfappError as error:
            teller.failed(str(error))
            raise
        except RuntimeError as error:
            ended = process_ended(error)
            if ended is None:
                raise
            teller.failed(str(ended))
            raise ended from error
        finally:
            world.leave()


def _train(  # noqa: PLR0917
    plan: Plan,
    run: RunFolder,
    world: World,
    device: torch.device,
    precision: Precision,
    teller: Teller,
    stopping: Stopping,
    save_every_s: float,
) -> Outcome:
    # ------------------------------------------------------------------------------------------------- set-up
    recipe = plan.recipe
    check_batch(plan, world)
    pictures = gather(plan, teller.say)
    known = {"rfapp": __version__, "init_sha256": fingerprint(plan.init), "pictures": len(pictures.training)}
    if plan.former:
        known["former_sha256"] = fingerprint(plan.former)
    begun = begun_before(plan, run, known, world)
    state = load_state(run, device) if begun else None

    torch.manual_seed(plan.seed)
    if recipe.keep and not (plan.former or plan.init):
        raise UsageError(
            mark("There are no first weights to be kept."),
            mark("Name some with --init, or set the recipe's “keep” to 0."),
        )
    if recipe.fixed_norm and not plan.init:
        raise UsageError(
            mark("There are no first weights whose batch norm could stay as it is."),
            mark("Name some with --init, or add --no-fixed-norm."),
        )
    if plan.former and not recipe.keep:
        raise UsageError(
            mark("Weights to hold on to are named, but changing them costs nothing."),
            mark("Add “--keep 1”, or leave out --keep-of."),
        )
    initial = initial_network(plan.model, plan.init, focal=recipe.class_loss == "focal")
    network = initial.network.to(device)
    # Where convolutions of this layout are faster: on CPUs a quarter of the time in AInnoFace, nothing in RetinaFace.
    if device.type == "cuda" or network.config.family == "AInnoFace":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    config = network.config
    order = Order(pictures.training, batch=recipe.batch, empty=recipe.empty, seed=plan.seed)
    total = recipe.steps or recipe.epochs * order.steps_per_epoch
    if initial.folded and state is None:
        teller.say(mark("The weights are folded: measuring what batch norm has to know."))
        unfold(network, _some_batches(pictures, order, plan, config, device))

    learn_only(network, recipe.only)
    if recipe.fixed_norm:
        fix_norm(network)
    if device.type == "cpu" and not plan.compile:  # a compiler has ways of its own
        quicken(network)
    former = Former(_former(plan, network)) if recipe.keep else None
    objective = objective_for(config, recipe, device, world, plan.accumulate)
    optimiser = optimiser_for(network, recipe)
    scaler = torch.amp.GradScaler(device.type, enabled=precision.scaled)
    mean = RunningMean(network, recipe.ema)
    buffers = Buffers(network)
    weights = WeightsOfRun(run, config, initial.origin, initial.licence)
    meter = Meter(objective.told, device)
    first, skipped, unvalidated = 0, 0, False
    best: dict[str, float] = {}
    if state is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        mean.load_state_dict(state["mean"])
        meter.load_state_dict(state["meter"])
        torch.set_rng_state(state["random"].cpu())
        first, best, skipped = state["step"], state["best"], state["skipped"]
        unvalidated = state["unvalidated"]
    teller.go_on(first, 0.0 if state is None else state["seconds"])

    def save(step: int) -> None:
        if world.first:
            model_state = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scaler": scaler.state_dict(),
                "mean": mean.state_dict(),
                "meter": meter.state_dict(),
                "random": torch.get_rng_state(),
            }
            weights.save_last(mean.weights())
            place = {"step": step, "best": best, "skipped": skipped, "unvalidated": unvalidated}
            save_state(run, {**model_state, **place, "seconds": teller.seconds})

    def validate(step: int) -> None:
        nonlocal best, unvalidated
        unvalidated = False
        if world.first and pictures.held_out is not None:
            model = weights.save_last(mean.weights())
            with threads_kept():
                reached = average_precision(
                    model, pictures.held_out, device.type, given_up=stopping.asked, show=partial(save_found, run)
                )
                if reached is None:
                    unvalidated = True  # made up for when the run is gone on with
                    return
                teller.validation(step, epoch_of(step), reached)
                if not best or sum(reached.values()) > sum(best.values()):
                    best = reached
                    weights.save_best(mean.weights(), best)

    def epoch_of(step: int) -> int:
        return step // order.steps_per_epoch

    def outcome(reason: str, step: int) -> Outcome:
        return Outcome(reason, step, epoch_of(step), best, teller.seconds, skipped)

    if unvalidated:
        validate(first)
        save(first)
    if first >= total:
        teller.say(mark("The run is finished already."))
        return outcome("done", first)
    workers = worker_count(plan.workers)
    teller.say(
        mark("{pictures} pictures, {steps} steps of {batch}, {device} in {precision}, {workers} loading").format(
            pictures=len(pictures.training),
            steps=total,
            batch=recipe.batch,
            device=device,
            precision=precision.name,
            workers=workers,
        )
    )
    at_once = recipe.batch // (plan.accumulate * world.size)
    faster = compiled(network, plan, device, precision, pictures=at_once, say=teller.say)
    parallel = world.wrap(faster)
    stream = batches(
        pictures.training,
        order,
        recipe.augmentation,
        first=first,
        last=total,
        share=Share(world.rank, world.size, plan.accumulate),
        workers=workers,
        pin=device.type == "cuda",
    )
    event_every = max(1, total // EVENTS)
    bad_in_a_row = 0
    saved_at = time.monotonic()

    # -------------------------------------------------------------------------------------------------- loop
    for step in range(first, total):
        began = time.perf_counter()
        # Pictures and what is to be found in them. The counts are those of the whole step, over all its parts and
        # processes, so that dividing the batch changes nothing.
        parts = [next(stream) for _ in range(plan.accumulate)]
        for problem in (problem for part in parts for problem in part.problems):
            teller.say(mark("Another picture was taken instead: {problem}").format(problem=problem))
        targets = [part.targets.to(device) for part in parts]
        matches = [objective.match(each) for each in targets]
        mine = torch.stack([objective.counts(*pair) for pair in zip(targets, matches, strict=True)]).sum(dim=0)
        counts = world.sum(torch.cat([mine, mine.new_tensor([stopping.asked()])]))
        stop = bool(counts[-1])

        # Loss and gradients.
        rate = learning_rate(recipe, step, total)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        buffers.keep()
        losses = torch.zeros(len(objective.told), device=device)
        with told_of_memory(plan, parts, network, device, precision):
            for number, (part, each, found) in enumerate(zip(parts, targets, matches, strict=True), 1):
                gathering = world.unsynchronised(parallel) if number < len(parts) else _nothing()
                with gathering:
                    images = prepared(part.images.to(device, non_blocking=True), config)
                    with torch.autocast(device.type, precision.dtype, enabled=precision.mixed):
                        outputs = parallel(images)
                        before = None if former is None else former(images)
                    loss, told = objective(outputs, found, each, counts[:-1], before)
                    # Gradients become the mean over the processes, while their losses are shares of one.
                    torch.autograd.backward(scaler.scale(loss * world.size))
                losses += told
        losses = world.sum(losses)

        # The weights change, unless something is no number: then the step leaves no trace.
        scaler.unscale_(optimiser)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip or torch.inf)
        sound = bool(torch.isfinite(losses[0]))
        if sound and (bool(torch.isfinite(norm)) or precision.scaled):
            scaler.step(optimiser)  # which itself skips a step whose scaled gradients overflow
            scaler.update()
            mean.update()
            meter.add(losses, recipe.batch, time.perf_counter() - began)
            bad_in_a_row = 0
        else:
            scaler.update()
            buffers.restore()
            skipped += 1
            bad_in_a_row += 1
            names = [str(pictures.training[index].picture) for part in parts for index in part.samples]
            teller.bad_step(step + 1, losses[0].item(), norm.item(), names)
            if bad_in_a_row >= BAD_STEPS:
                raise EngineFailed(
                    mark("Training ended at step {step}: the loss was no number {count} times in a row."),
                    mark("Lower the learning rate, or choose the precision float32. {log} names the pictures."),
                    step=step + 1,
                    count=bad_in_a_row,
                    log=run / LOG,
                )

        # Telling, validating, saving, stopping.
        done = step + 1
        if done % event_every == 0 or done == total:
            teller.step(done, epoch_of(done), total, rate, meter.take())
        if pictures.held_out is not None and _due(done, total, recipe.validations):
            validate(done)
            stop |= bool(world.sum(torch.tensor([unvalidated], dtype=torch.int64, device=device)))
            save(done)
            saved_at = time.monotonic()
        elif time.monotonic() - saved_at >= save_every_s:
            save(done)
            saved_at = time.monotonic()
        if stop and done < total:
            save(done)
            teller.end(done, epoch_of(done), "stopped")
            return outcome("stopped", done)

    save(total)
    teller.end(total, epoch_of(total), "done")
    return outcome("done", total)


def _former(plan: Plan, network: Network) -> Network:
    """The network that is held on to: that of the plan's ``former`` weights, or *network*, which has its first ones."""
    if not plan.former:
        return network
    return initial_network(plan.model, plan.former).network.to(next(network.parameters()).device)


def _due(done: int, total: int, times: int) -> bool:
    """Whether *times* events, evenly over *total* steps and the last one at the end, have one after *done*."""
    return done * times // total > (done - 1) * times // total


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _some_batches(
    pictures: Pictures, order: Order, plan: Plan, config: ModelConfig, device: torch.device
) -> Iterator[Tensor]:
    last = min(UNFOLDING, plan.recipe.steps or plan.recipe.epochs * order.steps_per_epoch)
    share = Share(parts=plan.accumulate)
    loader = batches(pictures.training, order, plan.recipe.augmentation, first=0, last=last, share=share)
    for batch in loader:
        yield prepared(batch.images.to(device), config)
