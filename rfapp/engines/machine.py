"""What was found out about this computer's processor and is remembered: how many threads serve an engine best, and
which precisions have proved right."""

from __future__ import annotations

import logging
import os
import platform
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
#: Runs that count of each turn when the best number of threads is measured.
_IN_A_TURN = 8
#: What was measured while others had more of the processor than this holds in this process only.
BUSY = 0.25
_for_now: dict[tuple[Path, str], dict[int, float]] = {}


@lru_cache(maxsize=1)
def cores() -> int:
    """The physical cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def thread_counts() -> list[int]:
    """The counts worth trying: 1, 2, 4 … and the number of cores."""
    return sorted({cores(), *(2**power for power in range(cores().bit_length()) if 2**power <= cores())})


def measured_times(engine: str, model: Model, precision: str) -> dict[int, float]:
    """Thread count → seconds, as measured for this engine, kind of network and precision on this machine; {} where
    nothing was."""
    key = _key(engine, model.config.architecture, precision)
    return _for_now.get((_file(), key)) or _times_in(_read("times").get(key))


def threads_for(engine: str, model: Model, precision: str, within: float = 0.0) -> int:
    """The thread count that was measured to be best (:func:`best_of`); until one is known, one core is left free."""
    times = measured_times(engine, model, precision)
    return best_of(times, within) if times else max(1, cores() - 1)


def remember_times(
    engine: str, model: Model, precision: str, times: Mapping[int, float], *, for_good: bool = True
) -> None:
    """Let :func:`measured_times` give *times* from now on, on this machine, or in this process alone."""
    key = _key(engine, model.config.architecture, precision)
    if for_good:
        _for_now.pop((_file(), key), None)
        _write("times", key, {str(count): round(seconds, 6) for count, seconds in times.items()})
    else:
        _for_now[_file(), key] = dict(times)


def has_proved(engine: str, version: str, model: Model, precision: str) -> bool:
    """Whether *precision* gave the right answer with these numbers and this version of the engine here."""
    return bool(model.sha256) and _read("proved").get(_key(engine, version, model.sha256, precision)) is True


def remember_proof(engine: str, version: str, model: Model, precision: str) -> None:
    """Let :func:`has_proved` say yes from now on, on this machine."""
    if model.sha256:
        _write("proved", _key(engine, version, model.sha256, precision), True)


class Others:
    """Tells how busy other processes have kept the processor since this was made."""

    def __init__(self) -> None:
        self._began, self._all, self._own = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        own = psutil.Process().cpu_times()
        # The names that all systems have in common; what Linux counts apart is small.
        everything = psutil.cpu_times()
        return time.perf_counter(), everything.user + everything.system, own.user + own.system

    def share(self) -> float:
        """0 when nothing else ran, 1 when all the processor's time was others'."""
        now, busy, own = self._now()
        seconds = (busy - self._all) - (own - self._own)
        return max(0.0, seconds / ((now - self._began) * (os.cpu_count() or 1)))


def measure(runs: Mapping[int, Callable[[], object]], seconds: float) -> dict[int, float]:
    """How long each of *runs* (thread count → one run) takes, in seconds.

    They take turns for *seconds*, so that what else the computer does meets all of them alike. A turn is several runs,
    of which the first is not counted: it finds threads asleep and memory that others filled, which costs many threads
    twice what it costs one. The quickest tenth of each one's runs counts: what is remembered for long should not hang
    on who else was busy just now.
    """
    times: dict[int, list[float]] = {count: [] for count in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[min(runs)]) < _IN_A_TURN:
        for count, run in runs.items():
            run()
            for _ in range(_IN_A_TURN):
                began = time.perf_counter()
                run()
                times[count].append(time.perf_counter() - began)
    return {count: sorted(each)[len(each) // 10] for count, each in times.items()}


def best_of(times: Mapping[int, float], within: float = 0.0) -> int:
    """Of *times* (thread count → seconds), the count to use: the fewest threads that take no longer than *within*
    seconds, or where none are that quick, the fewest that no more would beat by a tenth."""
    best, *more = sorted(times)
    for count in more:
        if times[best] > within and times[count] < (1 - _WORTH) * times[best]:
            best = count
    return best


def _key(*facts: str) -> str:
    # A home folder may be shared by several computers.
    return " ".join((*facts, platform.node(), f"{cores()} cores"))


def _file() -> Path:
    return places.cache_dir() / "machine.toml"


def _read(table: str) -> dict[str, object]:
    try:
        values = tomllib.loads(_file().read_text(encoding="utf-8")).get(table, {})
        return dict(values) if isinstance(values, dict) else {}
    except (OSError, ValueError):
        return {}


def _times_in(value: object) -> dict[int, float]:
    """Thread counts and seconds out of *value* if that is what it holds, else {}."""
    if not isinstance(value, dict) or not all(
        count.isdecimal() and 1 <= int(count) <= cores() and isinstance(seconds, float) and seconds > 0
        for count, seconds in value.items()
    ):
        return {}
    return {int(count): seconds for count, seconds in value.items()}


def _write(table: str, key: str, value: bool | dict[str, float]) -> None:
    import tomli_w

    tables = {name: _read(name) for name in ("proved", "times")}
    tables[table][key] = value
    try:
        write_whole(_file(), tomli_w.dumps(tables).encode())
    except OSError as error:
        log.info("what was measured can't be kept: %s", error)
