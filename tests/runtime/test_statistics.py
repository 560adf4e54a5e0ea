"""Rates and delays as the status line shows them."""

import time

import numpy as np
import pytest

from rfapp.frames import Frame
from rfapp.runtime import Spread, Statistics
from rfapp.runtime import statistics as statistics_module


def frame(at: float) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0, at)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(statistics_module.time, "perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize("rate", [0.4, 2.0, 30.0, 120.0])
def test_rates_are_those_of_the_last_moments_however_slow(clock, rate):
    statistics = Statistics()
    for _ in range(max(4, round(4 * rate))):
        clock[0] += 1 / rate
        statistics.frame_captured(frame(clock[0]))
        statistics.frame_detected(frame(clock[0]), 0.01)
    assert statistics.rates() == pytest.approx((rate, rate), rel=0.02)


def test_a_rate_falls_when_nothing_comes_any_more(clock):
    statistics = Statistics()
    for _ in range(60):
        clock[0] += 1 / 30
        statistics.frame_captured(frame(clock[0]))
    clock[0] += 60
    assert statistics.rates()[0] < 0.1


def test_what_passes_before_the_first_detection_is_not_counted(clock):
    statistics = Statistics()
    early = frame(clock[0])
    statistics.frame_captured(early)
    clock[0] += 1
    statistics.frame_detected(early, 0.5)
    assert (statistics.captured, statistics.detected) == (0, 0)
    clock[0] += 1
    late = frame(clock[0])
    statistics.frame_captured(late)
    statistics.frame_detected(late, 0.02)
    clock[0] += 0.03
    statistics.frame_painted(late)
    assert (statistics.captured, statistics.detected, statistics.shown) == (1, 1, 1)
    assert statistics.latency() == Spread(30.0, 30.0)
    assert statistics.detect() == Spread(20.0, 20.0)


def test_a_spread_of_nothing_is_none():
    assert Spread.of_seconds([]) is None
    assert Spread.of_seconds([0.001, 0.002, 0.003]).median == 2.0


def test_the_use_of_the_processor_is_that_of_the_last_second(clock, monkeypatch):
    used = [50.0]
    monkeypatch.setattr(statistics_module.time, "process_time", lambda: used[0])
    monkeypatch.setattr(statistics_module.os, "cpu_count", lambda: 4)
    processor = Statistics().processor
    assert processor.share() is None
    clock[0] += 0.9
    assert processor.share() is None
    clock[0] += 0.6
    used[0] += 3.0  # two of four cores, all the time
    assert processor.share() == pytest.approx(0.5)
    clock[0] += 0.5
    assert processor.share() == pytest.approx(0.5), "half a second is too short to tell"
    clock[0] += 0.5
    assert processor.share() == 0
    clock[0] += 1.0
    used[0] += 4.01  # clocks are not that exact
    assert processor.share() == 1


def test_work_is_seen_and_rest_is_none():
    processor = Statistics().processor
    end = time.perf_counter() + 1.05
    while time.perf_counter() < end:
        pass
    busy = processor.share()
    assert 0 < busy <= 1
    assert busy * processor.cores <= 1.1, "one thread takes one core"
    time.sleep(1.05)
    assert processor.share() < busy / 2
