"""dev.py: what it asks the system for, what it says, and that it does only what is needed."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from rfapp.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = (ROOT / "dev.py").read_text(encoding="utf-8")


@pytest.fixture
def dev(monkeypatch, tmp_path) -> ModuleType:
    """A fresh dev.py whose .venv is in a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    monkeypatch.setattr(module, "VENV", str(venv))
    monkeypatch.setattr(module, "STATE", str(venv / "dev.json"))
    monkeypatch.setattr(module, "PYTHON", str(venv / "bin" / "python"))
    return module


# ---------------------------------------------------------------------------------------------- the file itself


def test_old_pythons_can_read_it():
    ast.parse(SOURCE, feature_version=(3, 6))


def test_an_old_python_is_told_which_one_is_needed(tmp_path):
    old = f"import sys, runpy; sys.version_info = (3, 8, 1, 'final', 0); runpy.run_path({str(ROOT / 'dev.py')!r})"
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("rfapp needs Python 3.11 or newer")
    assert len(done.stderr.splitlines()) == 1


def test_it_needs_nothing_but_the_standard_library():
    names = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names <= sys.stdlib_module_names


def test_it_knows_which_commands_open_no_window(dev):
    assert set(COMMANDS) - {"gui"} <= set(dev.WINDOWLESS)
    assert "gui" not in dev.WINDOWLESS


def test_without_a_known_command_it_tells_how_to_use_it(dev, capsys):
    assert dev.main(["no"]) == 2
    assert dev.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("python3 dev.py run [ARGS…]") == 2


# ---------------------------------------------------------------------------------------------- the pinned versions


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {name(item.name): item for item in parsed}


def name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]


def test_everything_is_pinned_exactly_and_from_nowhere_in_particular():
    for pin in pins().values():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin
        assert pin.url is None
    assert not re.search(r"^\s*-", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("requirement", wanted(), ids=lambda item: item.name)
def test_the_pins_are_what_pyproject_asks_for(requirement):
    pin = pins()[name(requirement.name)]
    (exact,) = pin.specifier
    assert requirement.specifier.contains(exact.version)


def test_what_the_requirements_require_is_pinned_too():
    known, waiting, seen = pins(), list(wanted()), set()
    while waiting:
        item = waiting.pop()
        if (name(item.name), *item.extras) in seen:
            continue
        seen.add((name(item.name), *item.extras))
        assert name(item.name) in known, f"{item} is not in constraints.txt"
        try:
            more = metadata.requires(item.name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in more:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *item.extras)):
                waiting.append(needed)
    assert len(seen) > len(wanted())


def test_pre_commit_uses_the_pinned_ruff():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert f"rev: v{str(pins()['ruff'].specifier).removeprefix('==')}\n" in text


# ---------------------------------------------------------------------------------------------- the system


@pytest.mark.parametrize(
    ("environment", "window", "groups"),
    [
        ({}, True, ["start"]),
        ({"DISPLAY": ":0"}, True, ["start", "x11"]),
        ({"DISPLAY": ":0"}, False, ["start"]),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, True, ["start", "x11", "wayland"]),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, True, ["start"]),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "xcb"}, True, ["start", "x11"]),
        ({"QT_QPA_PLATFORM": "wayland;xcb"}, True, ["start", "x11", "wayland"]),
    ],
)
def test_which_libraries_are_wanted(dev, monkeypatch, environment, window, groups):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert dev.wanted_libraries(window) == groups


@pytest.mark.parametrize(
    ("release", "glib"),
    [
        ('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n', "libglib2.0-0"),
        ('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "libglib2.0-0t64"),
        ("ID=ubuntu\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n", "libglib2.0-0"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n", "libglib2.0-0t64"),
        ("ID=linuxmint\nVERSION_CODENAME=virginia\nUBUNTU_CODENAME=jammy\n", "libglib2.0-0"),
        ("ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n", "libglib2.0-0t64"),
    ],
)
def test_packages_have_their_name_in_this_release(dev, monkeypatch, tmp_path, release, glib):
    file = tmp_path / "os-release"
    file.write_text(release)
    monkeypatch.setattr(dev, "open", lambda _path, **options: file.open(**options), raising=False)
    assert dev.debian_name("libglib2.0-0") == glib
    assert dev.debian_name("libgl1") == "libgl1"


@pytest.fixture
def lacking(dev, monkeypatch):
    """A Debian that lacks two libraries; what is run is noted."""
    calls: list[list[str]] = []

    def load(library):
        if library in ("libGL.so.1", "libEGL.so.1"):
            raise OSError(library)

    monkeypatch.setattr(dev.sys, "platform", "linux")
    monkeypatch.setattr(dev.ctypes, "CDLL", load)
    monkeypatch.setattr(dev.shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(dev, "usable_environment", lambda: True)
    monkeypatch.setattr(dev, "quietly", lambda command: (calls.append(command), (0, ""))[1])
    return calls


def test_root_gets_the_packages_installed(dev, monkeypatch, lacking):
    monkeypatch.setattr(dev.os, "geteuid", lambda: 0, raising=False)
    dev.prepare_system(window=False)
    assert lacking == [
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "libgl1", "libegl1"],
    ]


def test_others_get_the_exact_command(dev, monkeypatch, lacking):
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(dev.Stop, match=r"sudo apt-get install libgl1 libegl1$"):
        dev.prepare_system(window=False)
    assert lacking == []


def test_a_python_without_venv_is_part_of_the_same_command(dev, monkeypatch, lacking):
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(dev, "usable_environment", lambda: False)
    monkeypatch.setattr(dev, "can_make_environment", lambda: False)
    monkeypatch.setattr(dev.sys, "executable", "/usr/bin/python3")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(dev.Stop, match=rf"sudo apt-get install python{version}-venv libgl1 libegl1$"):
        dev.prepare_system(window=False)


def test_other_systems_are_told_what_is_missing_and_it_goes_on(dev, monkeypatch, lacking, capsys):
    monkeypatch.setattr(dev.shutil, "which", lambda _command: None)
    dev.prepare_system(window=False)
    assert "libGL.so.1, libEGL.so.1" in capsys.readouterr().err
    assert lacking == []


# ---------------------------------------------------------------------------------------------- the steps


@pytest.fixture
def steps(dev, monkeypatch):
    """What the installation runs: (commands, those of them that fail)."""
    calls: list[str] = []
    failing: set[str] = set()

    def quietly(command):
        line = " ".join(command)
        calls.append(line)
        if " -m venv " in line:
            (Path(dev.VENV) / "bin").mkdir(parents=True, exist_ok=True)
            (Path(dev.VENV) / "bin" / "python").write_text("")
            (Path(dev.VENV) / "pyvenv.cfg").write_text(f"version = {sys.version.split()[0]}\n")
        bad = [word for word in failing if word in line]
        return (1, f"WARNING: Location 'x' is ignored\nERROR: no {bad[0]}") if bad else (0, "")

    monkeypatch.setattr(dev, "quietly", quietly)
    monkeypatch.setattr(dev.sys, "platform", "linux")
    monkeypatch.setattr(dev, "WINDOWS", False)
    monkeypatch.setattr(dev, "has_nvidia", lambda: False)
    return calls, failing


def test_a_second_call_does_nothing(dev, steps):
    calls, _ = steps
    dev.install(tools=True)
    assert len(calls) == 7
    calls.clear()
    dev.install(tools=True)
    dev.install(tools=False)
    assert calls == []


def test_the_tools_come_only_when_asked_for(dev, steps):
    calls, _ = steps
    dev.install(tools=False)
    assert not any("dev]" in line for line in calls)
    assert calls[-2].endswith(f"--editable {ROOT}[torch]")
    calls.clear()
    dev.install(tools=True)
    assert len(calls) == 2
    assert calls[-1].endswith(f"--editable {ROOT}[torch,dev]")


def test_a_failed_step_is_named_and_the_next_call_goes_on_there(dev, steps):
    calls, failing = steps
    failing.add("--editable")
    with pytest.raises(dev.Stop) as stop:
        dev.install(tools=False)
    said = str(stop.value)
    assert "“install rfapp and what it needs”" in said
    assert "ERROR: no --editable" in said
    assert "Location" not in said
    failing.clear()
    calls.clear()
    dev.install(tools=False)
    assert [" -m venv " in line or "torch==" in line for line in calls] == [False] * 3


def test_another_version_of_torch_is_installed_with_what_follows(dev, steps, monkeypatch):
    calls, _ = steps
    dev.install(tools=False)
    calls.clear()
    path, text = dev.constraints()
    monkeypatch.setattr(dev, "constraints", lambda: (path, re.sub(r"torch==\S+", "torch==9.9.9", text)))
    dev.install(tools=False)
    assert "torch==9.9.9+cpu" in calls[0]
    assert len(calls) == 4


def test_a_broken_venv_is_made_again(dev, steps):
    calls, _ = steps
    dev.install(tools=False)
    Path(dev.PYTHON).unlink()
    calls.clear()
    dev.install(tools=False)
    assert " -m venv --clear " in calls[0]


def test_a_damaged_note_is_no_reason_to_stop(dev, steps):
    dev.install(tools=False)
    Path(dev.STATE).write_text("{")
    dev.install(tools=False)
    assert set(json.loads(Path(dev.STATE).read_text())) == {"venv", "torch", "rfapp", "load"}


@pytest.mark.parametrize(
    ("system", "nvidia", "asked"),
    [
        ("linux", False, ["+cpu", f"--index-url https://download.pytorch.org/whl/cpu {'{torch}'}+cpu"]),
        ("linux", True, ["{torch}"]),
        ("win32", False, ["{torch}"]),
        ("win32", True, ["--index-url https://download.pytorch.org/whl/cu130 {torch}", "{torch}"]),
        ("darwin", False, ["{torch}"]),
    ],
)
def test_which_torch_is_asked_for(dev, steps, monkeypatch, system, nvidia, asked):
    calls, failing = steps
    failing.add("torch==")
    monkeypatch.setattr(dev.sys, "platform", system)
    monkeypatch.setattr(dev, "WINDOWS", system == "win32")
    monkeypatch.setattr(dev.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(dev, "has_nvidia", lambda: nvidia)
    with pytest.raises(dev.Stop):
        dev.install_torch()
    torch = str(pins()["torch"])
    assert len(calls) == len(asked)
    for line, end in zip(calls, asked, strict=True):
        assert line.endswith(end.format(torch=torch))
    assert all("cu130" in line or not nvidia or "index-url" not in line for line in calls)


# ---------------------------------------------------------------------------------------------- the commands


def test_checks_all_run_and_the_failed_ones_are_handed_to_pytest(dev, monkeypatch):
    ran: list[tuple[list[str], dict[str, str]]] = []

    def hand_over(command, environment):
        ran.append((command, environment))
        return 1 if "mypy" in command or "ruff" in command else 0

    monkeypatch.setattr(dev, "prepare_system", lambda window: None)
    monkeypatch.setattr(dev, "install", lambda tools: None)
    monkeypatch.setattr(dev, "hand_over", hand_over)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RFAPP_TEST_WITHOUT", "torch")  # from a run around this one
    assert dev.test([]) == 1
    assert len(ran) == 7
    assert ["-m", "mkdocs", "build", "--strict", "--quiet"] in [command[1:] for command, _environment in ran]
    command, environment = ran[-1]
    assert command[1:3] == ["-m", "pytest"]
    assert command[-2:] == ["-m", "gui"]
    assert environment["RFAPP_FAILED_CHECKS"] == "ruff check, ruff format, mypy"
    assert ran[-2][0][-2:] == ["-m", "not gui"]
    assert ran[-2][1]["RFAPP_TEST_WITHOUT"] == "PySide6"
    assert "RFAPP_TEST_WITHOUT" not in environment


def test_arguments_are_for_pytest_alone(dev):
    *others, (name, words) = dev.checks(["tests/settings", "-k", "broken"])
    assert (name, words) == ("pytest", ["-m", "pytest", "tests/settings", "-k", "broken"])
    assert others == dev.checks([])[:-2]


@pytest.mark.skipif(os.name == "nt", reason="signals end a process otherwise on Windows")
def test_the_exit_status_of_the_app_is_ours(dev):
    assert dev.hand_over([sys.executable, "-c", "raise SystemExit(7)"]) == 7
    assert dev.hand_over([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"]) == 128 + 15


@pytest.mark.skipif(os.name == "nt", reason="signals end a process otherwise on Windows")
def test_a_polite_end_reaches_the_app(dev, tmp_path):
    """Who ends dev.py ends the app with it, and the app may still tidy up."""
    app = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        # Many short sleeps: a signal that comes just before a sleep begins is seen only when that one ends.
        "for _ in range(1200):\n"
        "    time.sleep(0.05)\n"
    )
    call = (
        f"import runpy, sys; dev = runpy.run_path({str(ROOT / 'dev.py')!r}); sys.exit(dev['hand_over'](sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", call, sys.executable, "-c", app], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(timeout=20) == 5


def test_the_end_of_the_output_is_kept_and_noise_is_not(dev):
    text = "WARNING: Retrying 1\nWARNING: Retrying 2\n\nWARNING: Location 'x' is ignored\n[notice] new pip\nERROR: no\n"
    assert dev.tail(text) == "    WARNING: Retrying 2\n    ERROR: no"
    assert dev.tail("\n".join(map(str, range(30))), lines=2) == "    28\n    29"
