"""What every test stands on: no screen, no trace of the user's own folders, and the reference data if it is there."""

from __future__ import annotations

import faulthandler
import gc
import importlib.abc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sinks.fake_virtual_camera import Device

# Before anything imports Qt, hypothesis or an engine.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

WITHOUT = tuple(name for name in os.environ.get("RFAPP_TEST_WITHOUT", "").split(",") if name)
ROOT = Path(__file__).resolve().parent.parent


class Blocker(importlib.abc.MetaPathFinder):
    """Makes the packages in *names* look as if they were not installed."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r} (blocked for this test)", name=fullname)


if WITHOUT:
    sys.meta_path.insert(0, Blocker(WITHOUT))

collect_ignore = ["gui"] if "PySide6" in WITHOUT else []

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:
    pass
else:
    # The same examples every time: a check that fails must fail again. No limit of time: CI machines are slow.
    settings.register_profile(
        "rfapp", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("rfapp")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.hasplugin("pytest-qt"):
        # The run without Qt reads the same configuration.
        for name in ("qt_api", "qt_log_level_fail", "qt_log_ignore"):
            parser.addini(name, "belongs to pytest-qt")


def pytest_unconfigure() -> None:
    """An end that hangs, in the destructor of some library, is told and is a failure."""
    faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ROOT / "tests" / "gui" in item.path.parents:
            item.add_marker(pytest.mark.gui)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    failed = os.environ.get("RFAPP_FAILED_CHECKS")
    if failed:
        terminalreporter.section("checks before pytest", red=True)
        terminalreporter.line(f"FAILED {failed}")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own folders for settings, data, caches and logs; on Linux so has every process it starts."""
    home = tmp_path_factory.mktemp("home")
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    for kind in ("config", "data", "cache", "log"):  # the variables say nothing to Windows and macOS
        monkeypatch.setattr(f"platformdirs.user_{kind}_path", lambda *_, path=home / kind, **__: path)
    return home


@pytest.fixture(autouse=True)
def threads_are_not_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test has folders of its own, every detector is the first one here, and would measure for a second how
    many threads serve best. Tests of just that are marked ``measures_threads``."""
    if "measures_threads" not in request.keywords:
        monkeypatch.setattr("rfapp.engines.measure_threads", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """The end of Python waits for the processes that multiprocessing started; one that is forgotten hangs it."""
    yield
    if multiprocessing.active_children():
        gc.collect()
        assert not multiprocessing.active_children()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of reference pictures, clips and checkpoints; what needs it is skipped without it."""
    value = os.environ.get("RFAPP_TEST_DATA")
    if not value:
        pytest.skip("RFAPP_TEST_DATA names no folder of reference data")
    path = Path(value)
    assert path.is_dir(), f"RFAPP_TEST_DATA names {path}, which is no folder"
    return path


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``without("torch")`` makes a package look as if it was not installed, for this test."""

    def block(*names: str) -> None:
        for module in [m for m in sys.modules if m.partition(".")[0] in names]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(sys, "meta_path", [Blocker(names), *sys.meta_path])

    return block


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A virtual camera that takes what is sent to it, in place of pyvirtualcam's."""
    made = Device()
    monkeypatch.setitem(sys.modules, "pyvirtualcam", made.module())
    return made
