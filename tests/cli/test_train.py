"""``rfapp train`` as a process: it can be killed or interrupted at any moment, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.cli.main import main  # noqa: E402
from rfapp.datasets.runs import METRICS, STATE, RunFolder  # noqa: E402


@pytest.fixture
def data(test_data):
    return test_data / "wider_train640" / "label.txt"


@pytest.fixture
def eight(tmp_path, data):
    """Eight pictures of WIDER FACE with large faces."""
    blocks = data.read_text().split("# ")[1:]
    large = [b for b in blocks if min(float(row.split()[3]) for row in b.strip().split("\n")[1:]) >= 40][:8]
    (tmp_path / "label.txt").write_text("".join(f"# {block}" for block in large))
    (tmp_path / "images").symlink_to(data.parent / "images")
    return tmp_path / "label.txt"


def words(data, run, *more):
    small = ["--validation", "none", "--steps", "12", "--batch", "4", "--size", "64", "--seed", "5"]
    small += ["--workers", "0", "--device", "cpu", "--precision", "float32", "--save-every", "0"]
    return ["train", "--data", str(data), "--output", str(run), *small, *more]


@pytest.fixture(autouse=True)
def one_thread():
    """Runs that are compared add up their numbers in the same order; other tests leave torch other threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start(data, run, *more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "rfapp", *words(data, run, *more)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_steps(run, count):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if len([event for event in RunFolder(run).events() if event["event"] == "step"]) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("no steps")


def losses(run):
    return {event["step"]: event["loss"] for event in RunFolder(run).events() if event["event"] == "step"}


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_and_gone_on_with_is_unbroken(eight, tmp_path, capsys):
    assert main(words(eight, tmp_path / "whole", "--quiet", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["reason"] == "done"
    assert answer["steps"] == 12
    with start(eight, tmp_path / "run") as trainer:
        wait_for_steps(tmp_path / "run", 4)
        trainer.send_signal(signal.SIGKILL)
    assert (tmp_path / "run" / STATE).exists()
    assert RunFolder(tmp_path / "run").status() == "interrupted"
    assert max(losses(tmp_path / "run")) < 12
    assert main(words(eight, tmp_path / "run", "--quiet")) == 0
    whole, joined = losses(tmp_path / "whole"), losses(tmp_path / "run")
    assert list(joined) == list(whole) == list(range(1, 13))
    assert np.abs(np.array(list(joined.values())) - np.array(list(whole.values()))).max() < 1e-4


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_and_exits_with_0(eight, tmp_path):
    with start(eight, tmp_path / "run", "--steps", "100000") as trainer:
        wait_for_steps(tmp_path / "run", 1)
        trainer.send_signal(signal.SIGINT)
        _, said = trainer.communicate(timeout=60)
    assert trainer.returncode == 0, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert RunFolder(tmp_path / "run").status() == "stopped"
    assert (tmp_path / "run" / STATE).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_loading_process_that_dies_is_a_sentence(eight, tmp_path):
    psutil = pytest.importorskip("psutil")
    with start(eight, tmp_path / "run", "--steps", "100000", "--workers", "1") as trainer:
        wait_for_steps(tmp_path / "run", 1)
        loading = [p for p in psutil.Process(trainer.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        assert len(loading) == 1
        loading[0].kill()
        _, said = trainer.communicate(timeout=60)
    assert trainer.returncode == 1, said
    assert "A process that loads pictures ended" in said
    assert "Traceback" not in said
    assert RunFolder(tmp_path / "run").status() == "failed"


def test_a_run_is_a_model_for_other_commands(eight, tmp_path, capsys):
    assert main(words(eight, tmp_path / "run", "--steps", "2", "--quiet")) == 0
    picture = next((eight.parent / "images").rglob("*.jpg"))
    assert main(["detect", "--model", str(tmp_path / "run"), "--size", "64", "--score", "0.9", str(picture)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["width"] > 0


def test_numbers_of_the_recipe_can_be_others(eight, tmp_path):
    from dataclasses import replace

    from rfapp.training.recipes import Recipe, recipe_for

    more = ["--recipe", "fine-tune", "--steps", "1", "--scales", "0.5,1,1.5", "--no-fixed-norm", "--optimiser", "sgd"]
    more += ["--background", "0.2"]
    assert main(words(eight, tmp_path / "run", *more, "--quiet")) == 0
    usual = recipe_for("fine-tune", "mobilenet0.25")
    shown = replace(usual.augmentation, size=64, scales=(0.5, 1.0, 1.5))
    other = {"fixed_norm": False, "optimiser": "sgd", "background": 0.2}
    expected = replace(usual, steps=1, batch=4, augmentation=shown, **other)
    assert Recipe.from_mapping(RunFolder(tmp_path / "run").plan()["recipe"]) == expected


def test_what_is_wrong_is_one_sentence(eight, tmp_path, capsys):
    assert main(words(eight, tmp_path / "run", "--accumulate", "3")) == 2
    assert "3 equal parts" in capsys.readouterr().err
    assert main(words(tmp_path / "nothing", tmp_path / "run")) == 1
    assert "nothing" in capsys.readouterr().err
    assert main(words(eight, tmp_path / "run", "--recipe", "unheard-of")) == 2
    assert "Known are: published, quick, fine-tune." in capsys.readouterr().err
    assert main(words(eight, tmp_path / "run", "--scales", "0.5,20")) == 2
    assert "between 0.05 and 10.0 short sides, not 20.0" in capsys.readouterr().err
    assert main(words(eight, tmp_path / "run", "--init", "nonsense")) == 1
    assert "nonsense" in capsys.readouterr().err
    assert not (tmp_path / "run" / METRICS).exists()


def test_progress_is_told_in_plain_lines(eight, tmp_path, capsys):
    assert main(words(eight, tmp_path / "run", "--steps", "2")) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "step 2/2  epoch 1  loss" in printed.err
    assert "images/s" in printed.err
