"""The folder of a run, as the trainer writes it and the window reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rfapp.datasets.runs import METRICS, RUN, STOP, Metrics, RunFolder, runs_in
from rfapp.errors import OutputError, SourceUnreadable


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    return run


def step(number, **more):
    return {"event": "step", "step": number, "epoch": 0, "time_s": 0.5, "loss": 3.0, **more}


def test_events_come_back_and_new_ones_one_by_one(run):
    metrics = Metrics(run / METRICS)
    assert metrics.new() == []
    run.append(step(1))
    run.append(step(2))
    assert metrics.new() == [step(1), step(2)]
    assert metrics.new() == []
    run.append(step(3))
    assert metrics.new() == [step(3)]
    assert run.events() == [step(1), step(2), step(3)]


def test_half_a_line_is_left_for_later_and_rubbish_passed_over(run):
    metrics = Metrics(run / METRICS)
    run.append(step(1))
    with (run / METRICS).open("a") as file:
        file.write('null\n[1]\nnonsense\n{"event": "step"}\n{"event": "st')
    assert metrics.new() == [step(1)]
    with (run / METRICS).open("a") as file:
        file.write('ep", "step": 2}\n')
    assert metrics.new() == [{"event": "step", "step": 2}]


def test_what_lies_behind_the_state_is_forgotten(run):
    metrics = Metrics(run / METRICS)
    for number in range(1, 6):
        run.append(step(number))
    run.append({"event": "end", "step": 3, "reason": "stopped"})
    assert len(metrics.new()) == 6
    with (run / METRICS).open("a") as file:
        file.write('{"cut')
    run.forget_after(3)
    assert run.events() == [step(1), step(2), step(3)]
    assert metrics.new() == [step(1), step(2), step(3)]
    assert metrics.restarted
    run.append(step(4))
    assert metrics.new() == [step(4)]
    assert not metrics.restarted


def test_the_lock_holds_in_this_process_and_is_let_go(run):
    assert not run.is_running()
    with run.locked():
        assert run.is_running()
        with pytest.raises(OutputError, match="being trained already"), run.locked():
            pass
    assert not run.is_running()
    with run.locked():
        pass


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_a_killed_trainer_holds_no_lock(run):
    code = (
        "import sys, time; from pathlib import Path; from rfapp.datasets.runs import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"locked\n"
        assert run.is_running()
        assert run.status() == "running"
        trainer.send_signal(signal.SIGKILL)
    assert not run.is_running()
    assert run.status() == "interrupted"


def test_how_it_ended(run):
    run.append(step(1))
    assert run.status() == "interrupted"
    run.append({"event": "end", "step": 1, "reason": "stopped"})
    assert run.status() == "stopped"


def test_stop(run):
    assert not run.asked_to_stop()
    run.stop()
    assert run.asked_to_stop()
    assert (run / STOP).exists()
    run.clear_stop()
    assert not run.asked_to_stop()


def test_the_plan(run):
    assert not run.exists()
    run.write_plan({"seed": 3, "recipe": {"batch": 16}})
    assert run.exists()
    assert run.plan() == {"seed": 3, "recipe": {"batch": 16}}
    (run / RUN).write_text("seed = ")
    with pytest.raises(SourceUnreadable, match="can't be read"):
        run.plan()


def test_runs_are_listed_latest_first(tmp_path):
    assert runs_in(tmp_path / "nothing") == []
    for number, name in enumerate(("a", "b", "c")):
        run = RunFolder(tmp_path / name)
        run.write_plan({"seed": number})
        os.utime(run / RUN, (number, number))
    (tmp_path / "other").mkdir()
    assert [run.path.name for run in runs_in(tmp_path)] == ["c", "b", "a"]
    (tmp_path / "a" / METRICS).write_text("")
    assert runs_in(tmp_path)[0].path.name == "a"
