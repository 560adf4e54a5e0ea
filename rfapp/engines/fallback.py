"""What runs a network when the engine that ran it has failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runner:
    """Engine, device and precision, in the words of :class:`rfapp.settings.DetectorSettings`, or as an engine tells
    them of itself ("cuda:0")."""

    engine: str
    device: str
    precision: str


def safer(failed: Runner, installed: Sequence[str]) -> tuple[Runner, ...]:
    """What to try after *failed*, the quickest first and the safest last; empty where there is nothing else.

    *installed*: the engines that are there, the one that is best on a CPU first. A device that failed is left for
    the CPU, which can't be lost; on the CPU half and quarter precision are left for float32, which every processor
    computes, and float32 for the other engine.
    """
    if failed.device != "cpu":
        quick = [Runner(name, "cpu", "auto") for name in installed[:1]]
        return (*quick, *(Runner(name, "cpu", "float32") for name in installed))
    own_first = sorted(installed, key=lambda name: name != failed.engine)
    exact = (Runner(name, "cpu", "float32") for name in own_first)
    return tuple(runner for runner in exact if runner != failed)
