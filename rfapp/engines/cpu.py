"""How many threads an engine uses on the CPU: measured once for each kind of network, and remembered."""

from __future__ import annotations

import logging
import os
import platform
import statistics
import time
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import psutil

from rfapp import places
from rfapp.settings import write_whole
from rfapp.weights.manifest import Model

log = logging.getLogger(__name__)

#: A further thread has to save this part of the time, or it is left to others.
_WORTH = 0.10


@lru_cache(maxsize=1)
def cores() -> int:
    """The physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def thread_counts() -> list[int]:
    """The counts worth trying: 1, 2, 4 … and the number of cores."""
    return sorted({cores(), *(2**power for power in range(cores().bit_length()) if 2**power <= cores())})


def threads_for(engine: str, model: Model, precision: str) -> int:
    """The thread count that was measured for this engine, network and precision; until then one core is left free."""
    remembered = _read().get(_key(engine, model, precision))
    if isinstance(remembered, int) and 1 <= remembered <= cores():
        return remembered
    return max(1, cores() - 1)


def remember(engine: str, model: Model, precision: str, threads: int) -> None:
    """Let :func:`threads_for` give *threads* from now on, on this machine."""
    import tomli_w

    values = {**_read(), _key(engine, model, precision): threads}
    try:
        write_whole(_file(), tomli_w.dumps({"threads": values}).encode())
    except OSError as error:
        log.info("the number of threads can't be kept: %s", error)


def fastest(runs: Mapping[int, Callable[[], object]], seconds: float) -> int:
    """Of *runs* (thread count → one run), the count to use: the fewest threads that no more would beat by a tenth.

    They take turns for *seconds*, so that what else the computer does meets all of them alike; medians are compared.
    """
    for run in runs.values():
        run()
    times: dict[int, list[float]] = {count: [] for count in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[min(runs)]) < 3:
        for count, run in runs.items():
            began = time.perf_counter()
            run()
            times[count].append(time.perf_counter() - began)
    best, *more = sorted(runs)
    for count in more:
        if statistics.median(times[count]) < (1 - _WORTH) * statistics.median(times[best]):
            best = count
    return best


def _key(engine: str, model: Model, precision: str) -> str:
    return " ".join((engine, model.config.architecture, precision, platform.node(), f"{cores()} cores"))


def _file() -> Path:
    return places.cache_dir() / "threads.toml"


def _read() -> dict[str, object]:
    try:
        values = tomllib.loads(_file().read_text(encoding="utf-8")).get("threads", {})
        return dict(values) if isinstance(values, dict) else {}
    except (OSError, ValueError):
        return {}
