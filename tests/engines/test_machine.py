"""What is remembered about the processor."""

from __future__ import annotations

import time
import tomllib
from collections import namedtuple
from dataclasses import replace

import pytest
import tomli_w

from rfapp import engines, weights
from rfapp.engines import machine

#: Times with which one, two and four threads are the best.
ONE, TWO, FOUR = {1: 0.01, 2: 0.01}, {1: 0.01, 2: 0.005, 4: 0.005}, {1: 0.01, 2: 0.005, 4: 0.002}


@pytest.fixture
def model():
    return weights.find("mobilenet0.25")


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)


def test_until_measured_one_core_is_left_free(four_cores, model):
    assert machine.measured_times("openvino", model, "float32") == {}
    assert machine.threads_for("openvino", model, "float32") == 3
    assert machine.thread_counts() == [1, 2, 4]


def test_remembered_for_engine_precision_and_machine(four_cores, model, monkeypatch):
    machine.remember_times("openvino", model, "float32", TWO)
    machine.remember_times("openvino", model, "bfloat16", FOUR)
    assert machine.measured_times("openvino", model, "float32") == TWO
    assert machine.threads_for("openvino", model, "float32") == 2
    assert machine.threads_for("openvino", model, "bfloat16") == 4
    assert machine.threads_for("torch", model, "float32") == 3
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert machine.threads_for("openvino", model, "float32") == 3


def test_times_for_now_are_not_written_down(four_cores, model, monkeypatch):
    monkeypatch.setattr(machine, "_for_now", {})
    machine.remember_times("openvino", model, "float32", TWO)
    machine.remember_times("openvino", model, "float32", ONE, for_good=False)
    assert machine.threads_for("openvino", model, "float32") == 1
    machine._for_now.clear()  # the next process
    assert machine.threads_for("openvino", model, "float32") == 2
    machine.remember_times("openvino", model, "float32", ONE, for_good=False)
    machine.remember_times("openvino", model, "float32", FOUR)
    assert machine.threads_for("openvino", model, "float32") == 4


@pytest.mark.measures_threads
@pytest.mark.parametrize(("share", "written"), [(0.1, True), (0.6, False)])
def test_what_a_busy_computer_measured_is_not_written_down(model, monkeypatch, share, written):
    pytest.importorskip("openvino")
    monkeypatch.setattr(machine, "_for_now", {})
    monkeypatch.setattr(machine.Others, "share", lambda self: share)
    engines.measure_threads(model, "openvino", "float32", seconds=0.02)
    times = machine.measured_times("openvino", model, "float32")
    assert list(times) == machine.thread_counts()
    assert min(times.values()) > 0.001
    machine._for_now.clear()
    assert list(machine.measured_times("openvino", model, "float32")) == (list(times) if written else [])


def test_own_work_is_not_that_of_others(monkeypatch):
    """Two seconds of which one processor of two was busy: half of it with us."""
    now = {"clock": 10.0, "user": 100.0, "own": 5.0}
    monkeypatch.setattr("time.perf_counter", lambda: now["clock"])
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    times = namedtuple("times", "user system idle")
    monkeypatch.setattr("psutil.cpu_times", lambda: times(now["user"], 7.0, 0.0))
    monkeypatch.setattr("psutil.Process.cpu_times", lambda self: times(now["own"], 1.0, 0.0))
    others = machine.Others()
    now.update(clock=12.0, user=102.0, own=6.0)
    assert others.share() == pytest.approx(0.25)


def test_proof_is_of_these_numbers_and_this_version(model):
    machine.remember_proof("openvino", "1", model, "bfloat16")
    machine.remember_times("openvino", model, "bfloat16", ONE)  # the one does not forget the other
    assert machine.has_proved("openvino", "1", model, "bfloat16")
    assert not machine.has_proved("openvino", "2", model, "bfloat16")
    assert not machine.has_proved("openvino", "1", replace(model, sha256="0" * 64), "bfloat16")
    unnamed = replace(model, sha256="")
    machine.remember_proof("openvino", "1", unnamed, "bfloat16")
    assert not machine.has_proved("openvino", "1", unnamed, "bfloat16")


@pytest.mark.parametrize("content", ["nonsense [", "times = 3", 'times = {"x" = "y"}', ""])
def test_damaged_memory_is_forgotten(own_folders, four_cores, model, content):
    (own_folders / "cache").mkdir(exist_ok=True)
    (own_folders / "cache" / "machine.toml").write_text(content)
    assert machine.threads_for("openvino", model, "float32") == 3
    machine.remember_times("openvino", model, "float32", ONE)
    assert machine.threads_for("openvino", model, "float32") == 1


@pytest.mark.parametrize("times", [{"64": 0.1}, {"two": 0.1}, {"2": "fast"}, {"2": -1.0}, 2], ids=str)
def test_times_that_can_not_be(own_folders, four_cores, model, times):
    machine.remember_times("openvino", model, "float32", TWO)
    file = own_folders / "cache" / "machine.toml"
    (key,) = tomllib.loads(file.read_text())["times"]
    file.write_text(tomli_w.dumps({"times": {key: times}}))
    assert machine.threads_for("openvino", model, "float32") == 3


def test_memory_that_can_not_be_written(own_folders, model):
    (own_folders / "cache").write_bytes(b"a file where the folder should be")
    machine.remember_times("openvino", model, "float32", ONE)


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [({1: 6, 2: 3, 4: 3}, 2), ({1: 4, 2: 4, 4: 4}, 1), ({1: 8, 2: 4, 4: 2}, 4)]
)
def test_fewest_threads_that_no_more_would_beat_by_a_tenth(milliseconds, expected):
    runs = {count: lambda ms=ms: time.sleep(ms / 1000) for count, ms in milliseconds.items()}
    assert machine.best_of(machine.measure(runs, 0.1)) == expected


@pytest.mark.parametrize(("within", "expected"), [(0.0, 4), (0.003, 4), (0.005, 2), (0.009, 1)])
def test_fewest_threads_that_are_quick_enough(within, expected):
    assert machine.best_of({1: 0.008, 2: 0.004, 4: 0.002}, within) == expected


def test_what_many_threads_lose_after_others_ran_does_not_count():
    last = []

    def run(count: int) -> None:
        cold = last[-1:] != [count]
        last.append(count)
        time.sleep((0.012 if cold else 0.003) if count > 1 else 0.006)

    times = machine.measure({count: lambda count=count: run(count) for count in (1, 2)}, 0.1)
    assert times[2] < 0.005 < times[1]
