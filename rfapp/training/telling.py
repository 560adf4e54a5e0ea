"""What a run says: events in ``metrics.jsonl``, lines in ``log.txt`` and for whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import torch
from torch import Tensor

from rfapp.datasets.runs import LOG, RunFolder
from rfapp.text import mark
from rfapp.training.board import Board

#: A line about progress is said this often, in seconds.
EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Means:
    """Means over some steps: ``losses`` by the names that they have in ``metrics.jsonl``, their sum first."""

    losses: dict[str, float]
    images_per_s: float


class Meter:
    """Gathers losses, which go by *names*, on the device until they are wanted."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._losses = torch.zeros(len(names), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
        self._steps = self._pictures = 0
        self._seconds = 0.0

    def add(self, losses: Tensor, pictures: int, seconds: float) -> None:
        """Take in the losses of a step."""
        self._losses += losses.to(self._losses)
        self._steps += 1
        self._pictures += pictures
        self._seconds += seconds

    def take(self) -> Means | None:
        """The means since the last time; None where all steps were skipped."""
        if not self._steps:
            return None
        losses = dict(zip(self._names, (self._losses / self._steps).tolist(), strict=True))
        means = Means(losses, self._pictures / max(self._seconds, 1e-9))
        self._losses.zero_()
        self._steps = self._pictures = 0
        self._seconds = 0.0
        return means

    def state_dict(self) -> dict[str, object]:
        return {
            "losses": self._losses.clone(),
            "steps": self._steps,
            "pictures": self._pictures,
            "seconds": self._seconds,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        losses, steps, pictures, seconds = (state[name] for name in ("losses", "steps", "pictures", "seconds"))
        assert isinstance(losses, Tensor)
        assert isinstance(steps, int)
        assert isinstance(pictures, int)
        assert isinstance(seconds, float)
        self._losses.copy_(losses)
        self._steps, self._pictures, self._seconds = steps, pictures, seconds


class Teller:
    """Writes and says what happens. ``seconds``: of training, over all parts of the run. A *silent* one, of a process
    that is not the first, does nothing. With *board* there are files for TensorBoard, too."""

    def __init__(self, run: RunFolder, say: Callable[[str], None], *, silent: bool, board: bool = False) -> None:
        self._run, self._say, self._silent = run, say, silent
        self._with_board = board and not silent
        self._board: Board | None = None
        self._before = 0.0
        self._began = time.monotonic()
        self._first = self._last = 0
        self._said = float("-inf")
        self._begun = False

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def say(self, line: str) -> None:
        """A line for the log and for whoever watches."""
        if self._silent:
            return
        self._log(line)
        self._say(line)

    def _log(self, line: str) -> None:
        with (self._run / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")

    def go_on(self, step: int, seconds: float) -> None:
        """The run goes on behind *step*, after *seconds* of training."""
        if self._silent:
            return
        self._begun = True
        self._before, self._began = seconds, time.monotonic()
        self._first = step
        self._run.forget_after(step)
        if self._with_board:
            self._board = Board(self._run)
        if step:
            self.say(mark("Going on behind step {step}.").format(step=step))

    def step(self, step: int, epoch: int, total: int, rate: float, means: Means | None) -> None:
        """Means over the steps since the last event."""
        if self._silent or means is None:
            return
        event = {
            **{name: round(value, 6) for name, value in means.losses.items()},
            "learning_rate": float(f"{rate:.6g}"),
            "images_per_s": round(means.images_per_s, 2),
        }
        self._event("step", step, epoch, **event)
        now = time.monotonic()
        if now - self._said >= EVERY_S or step == total:
            self._said = now
            left = (total - step) * (self.seconds - self._before) / max(1, step - self._first)
            loss, *others = means.losses.items()
            parts = ", ".join(f"{name.removeprefix('loss_').replace('_', ' ')} {value:.3f}" for name, value in others)
            self.say(
                f"step {step}/{total}  epoch {epoch}  loss {loss[1]:.3f} ({parts})  rate {rate:.3g}  "
                f"{means.images_per_s:.1f} images/s  {_duration(left)} left"
            )

    def validation(self, step: int, epoch: int, reached: dict[str, float]) -> None:
        """The average precision on the pictures that are held out."""
        if self._silent:
            return
        self._event("validation", step, epoch, **reached)
        levels = ", ".join(f"{level} {value:.2f}" for level, value in reached.items())
        self.say(mark("Validation after step {step}: {levels}").format(step=step, levels=levels))

    def bad_step(self, step: int, loss: float, norm: float, pictures: Sequence[str]) -> None:
        """A step whose loss or gradient is no number was left out."""
        self.say(
            mark("Step {step} was left out: loss {loss:g}, norm of the gradient {norm:g}.").format(
                step=step, loss=loss, norm=norm
            )
        )
        if not self._silent:
            self._log(mark("Its pictures: {names}").format(names=", ".join(pictures)))

    def end(self, step: int, epoch: int, reason: str, message: str = "") -> None:
        """The run has ended: done, stopped or failed."""
        if self._silent:
            return
        more = {"message": message} if message else {}
        self._last = step
        self._event("end", step, epoch, reason=reason, **more)
        line = {
            "done": mark("Done after {time}."),
            "stopped": mark("Stopped after step {step}; the same command goes on."),
            "failed": "{message}",
        }[reason]
        self.say(line.format(time=_duration(self.seconds), step=step, message=message))

    def failed(self, message: str) -> None:
        """The run has ended with an error. Nothing is told of one that had not begun: the folder may be another's."""
        if self._silent or not self._begun:
            return
        events = self._run.events()
        last = events[-1] if events else {"step": 0, "epoch": 0}
        self._event("end", last["step"], last.get("epoch", 0), reason="failed", message=message)
        self._log(message)

    def _event(self, event: str, step: int, epoch: int, **more: object) -> None:
        whole = {"event": event, "time_s": round(self.seconds, 3), "step": step, "epoch": epoch, **more}
        self._run.append(whole)
        if self._board is not None:
            self._board.take(whole)
            if event == "end":
                self._board.close()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
