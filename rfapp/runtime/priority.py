"""Which thread goes first when there is not enough of the processor for all."""

from __future__ import annotations

import contextlib
import os
import sys
import threading


def give_way(steps: int) -> None:
    """Let other threads go before this one and those that it starts from now on; *steps* as those of ``nice``: 5 behind
    what is watched, 10 behind everything. Only Linux has a priority for each thread that can be set like that;
    elsewhere nothing changes."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            own = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + steps)
