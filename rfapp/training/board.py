"""The curves of a run for TensorBoard, beside its ``metrics.jsonl``. Needs the package ``tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rfapp.datasets.runs import RunFolder
from rfapp.errors import RfappError
from rfapp.text import mark

#: Where TensorBoard's files lie in the folder of a run.
FOLDER = "tensorboard"
#: Of an event, what is no curve.
_NO_CURVE = ("event", "time_s", "step", "epoch")


class Board:
    """Takes events as they stand in ``metrics.jsonl``, and what the run has told so far first: a run that is gone on
    with has whole curves, also when its first part had no board. Raises RfappError where the package is missing."""

    def __init__(self, run: RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RfappError(
                mark("Curves for TensorBoard need its package, which is not installed."),
                mark("Install it (pip install tensorboard), or leave --tensorboard out."),
            ) from None
        for old in (run / FOLDER).glob("events.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(run / FOLDER), flush_secs=10)
        for event in run.events():
            self.take(event)

    def take(self, event: Mapping[str, Any]) -> None:
        """Add the numbers of an *event* to their curves: losses, the rate and the speed, or average precision."""
        group = {"step": "training", "validation": "average precision"}.get(event["event"])
        if group is not None:
            for name, value in event.items():
                if name not in _NO_CURVE:
                    self._writer.add_scalar(f"{group}/{name}", value, event["step"])

    def close(self) -> None:
        self._writer.close()
