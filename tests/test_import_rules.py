"""What may be loaded when. The order of the rooms is checked by import-linter (pyproject.toml); this is the rest."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import rfapp

HEAVY = ("torch", "PySide6", "cv2", "av", "openvino", "onnxruntime", "rich", "numpy")


def loaded_by(code: str, *, without: str = "") -> set[str]:
    """The top-level packages that *code* loads in a fresh Python, where the packages *without* can't be imported."""
    block = f"import sys\nfor name in {without.split()!r}: sys.modules[name] = None\n"
    tell = "\nprint('LOADED', *{name.partition('.')[0] for name, module in sys.modules.items() if module is not None})"
    done = subprocess.run(
        [sys.executable, "-c", block + code + tell], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("LOADED")[-1].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["detect", "--help"], ["gui", "--help"]])
def test_help_loads_nothing_heavy(words):
    code = f"from rfapp.cli import main\ntry: main({words!r})\nexcept SystemExit as end: assert end.code == 0, end"
    loaded = loaded_by(code, without="PySide6" if "gui" not in words else "")
    heavy = set(HEAVY) - ({"numpy"} if len(words) > 1 else set())
    assert not heavy.intersection(loaded)


@pytest.mark.parametrize(
    "module",
    [
        "rfapp.settings",
        "rfapp.errors",
        "rfapp.frames",
        "rfapp.weights",
        "rfapp.models.config",
        "rfapp.postprocess",
        "rfapp.engines",
        "rfapp.detector",
        "rfapp.sources",
        "rfapp.sinks",
        "rfapp.runtime",
        "rfapp.diagnosis",
        "rfapp.cli",
    ],
)
def test_rooms_can_be_imported_without_torch_and_qt(module):
    assert not {"torch", "PySide6"}.intersection(loaded_by(f"import {module}", without="torch PySide6"))


CORE = sorted(
    module.name
    for module in pkgutil.walk_packages(rfapp.__path__, "rfapp.", onerror=lambda name: None)
    if not module.name.startswith("rfapp.gui") and module.name not in ("rfapp.__main__", "rfapp.cli.gui")
)


def test_the_rooms_were_found():
    assert {"rfapp.frames", "rfapp.engines.torch_engine", "rfapp.sources.base"} < set(CORE)


def test_every_module_below_the_window_loads_without_qt():
    code = f"from importlib import import_module\nfor name in {CORE!r}: import_module(name)"
    assert "PySide6" not in loaded_by(code, without="PySide6")


def test_a_blocked_package_looks_as_if_it_was_not_installed(without):
    without("rich")
    with pytest.raises(ModuleNotFoundError, match="rich"):
        import_module("rich.console")
