"""``rfapp …``: which command is meant, and what an error turns into."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rfapp import __version__
from rfapp.cli.main import COMMANDS, DONE, FAILED, INTERRUPTED, WRONG_USAGE, main
from rfapp.errors import SettingsError, SourceNotFound, UsageError


@pytest.fixture
def commands(monkeypatch):
    """Stand-ins for the commands: they note how they were called, and do what ``act`` says."""
    called = SimpleNamespace(name="", arguments=None, act=lambda: DONE)

    def load(module: str) -> SimpleNamespace:
        name = module.rpartition(".")[2]

        def add_arguments(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("inputs", nargs="*")
            parser.add_argument("--score")

        def run(arguments: argparse.Namespace) -> int:
            called.name, called.arguments = name, arguments
            return called.act()

        return SimpleNamespace(add_arguments=add_arguments, run=run)

    monkeypatch.setattr(sys.modules["rfapp.cli.main"], "import_module", load)
    return called


@pytest.mark.parametrize(
    ("words", "name", "inputs"),
    [
        ([], "gui", []),
        (["clip.mp4"], "gui", ["clip.mp4"]),
        (["--score", "0.5"], "gui", []),
        (["--score", "0.5", "sample"], "gui", ["sample"]),
        (["gui", "detect"], "gui", ["detect"]),
        (["detect", "a.jpg", "gui"], "detect", ["a.jpg", "gui"]),
        (["doctor"], "doctor", []),
    ],
)
def test_which_command_is_meant(commands, words, name, inputs):
    assert main(words) == DONE
    assert (commands.name, commands.arguments.inputs) == (name, inputs)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SourceNotFound("No {x}.", "Look.", x="cat.jpg"), FAILED),
        (UsageError("No {x}.", "Look.", x="cat.jpg"), WRONG_USAGE),
        (SettingsError("No {x}.", "Look.", x="cat.jpg"), WRONG_USAGE),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(commands, capsys, error, code):
    def act() -> int:
        raise error

    commands.act = act
    assert main(["detect"]) == code
    assert capsys.readouterr() == ("", "rfapp: No cat.jpg. Look.\n")


def test_debug_shows_where_it_came_from(commands):
    def act() -> int:
        raise SourceNotFound("No cat.")

    commands.act = act
    with pytest.raises(SourceNotFound):
        main(["detect", "--debug"])


def test_ctrl_c_ends_with_130(commands, capsys):
    def act() -> int:
        raise KeyboardInterrupt

    commands.act = act
    assert main(["detect"]) == INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_wrong_usage_is_2(commands):
    with pytest.raises(SystemExit) as end:
        main(["detect", "--no-such-option"])
    assert end.value.code == WRONG_USAGE


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == DONE
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n    {name} " in text


def test_every_command_has_its_module():
    for name in COMMANDS:
        found = subprocess.run(
            [sys.executable, "-m", "rfapp", name, "--help"], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        assert f"rfapp {name}" in found.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == DONE
    assert capsys.readouterr().out == f"rfapp {__version__}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error(unbuffered):
    code = "import sys; from rfapp.cli import main; sys.exit(main(['doctor']))"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
    assert (process.returncode, said) == (FAILED, "")
