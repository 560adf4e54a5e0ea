"""packaging/installers.py as far as it goes without building: what goes in, and what the packages say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installers():
    path = ROOT / "packaging" / "installers.py"
    spec = importlib.util.spec_from_file_location("rfapp_installers", path)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def names(requirements):
    return {one.partition(">")[0].partition("=")[0].partition("[")[0] for one in requirements}


def test_the_live_edition_has_all_of_the_base_and_nothing_more(installers):
    with open(ROOT / "pyproject.toml", "rb") as file:
        base = names(tomllib.load(file)["project"]["dependencies"])
    live = names(installers.requirements("live"))
    # OpenCV's ordinary wheel brings a second Qt.
    assert live == (base - {"opencv-python"}) | {"opencv-python-headless", "pyinstaller"}


def test_the_full_edition_evaluates_as_well(installers):
    assert names(installers.requirements("full")) - names(installers.requirements("live")) == {"scipy", "matplotlib"}


def test_both_forms_of_opencv_have_one_version(installers, tmp_path):
    pins = installers.pins(tmp_path).read_text().splitlines()
    plain = next(line for line in pins if line.startswith("opencv-python=="))
    assert plain.replace("opencv-python", "opencv-python-headless") in pins


def test_every_pin_that_is_named_exists(installers):
    pins = names((ROOT / "constraints.txt").read_text().splitlines())
    assert {name.lower() for name in names(installers.requirements("full"))} - {"opencv-python-headless"} <= pins


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_what_a_folder_needs_is_told_by_its_libraries(installers, tmp_path, monkeypatch):
    (tmp_path / "libown.so.1").write_bytes(b"\x7fELF")
    (tmp_path / "text").write_bytes(b"no library")
    needed = ["libown.so.1", "libc.so.6", "libglib-2.0.so.0", "libxcb-cursor.so.0"]

    def readelf(*_words, **_options):
        lines = [f" 0x01 (NEEDED)  Shared library: [{name}]" for name in needed] + ["  0x10: Name: GLIBC_2.34"]
        return subprocess.CompletedProcess((), 0, "\n".join(lines))

    monkeypatch.setattr(installers.subprocess, "run", readelf)
    packages = installers.depends(tmp_path)
    assert packages[0] == "libc6 (>= 2.34)"
    assert "libglib2.0-0 | libglib2.0-0t64" in packages
    assert "libxcb-cursor0" in packages
    needed.append("libmystery.so.7")
    with pytest.raises(Exception, match=r"libmystery\.so\.7"):
        installers.depends(tmp_path)


def test_the_programs_own_description_is_sound(installers):
    metainfo = ElementTree.parse(ROOT / "packaging/linux/rfapp.metainfo.xml").getroot()
    assert metainfo.findtext("launchable") == "rfapp.desktop"
    desktop = (ROOT / "packaging/linux/rfapp.desktop").read_text(encoding="utf-8")
    lines = dict(line.split("=", 1) for line in desktop.splitlines() if "=" in line)
    assert lines["Exec"] == "rfapp gui %f"
    assert {"video/mp4", "image/jpeg", "inode/directory"} <= set(lines["MimeType"].split(";"))
    assert all(kind.count("/") == 1 for kind in lines["MimeType"].rstrip(";").split(";"))


def test_an_edition_that_is_not_there_is_a_sentence(installers, capsys):
    assert installers.main(["tiny"]) == 2
    assert "“tiny”" in capsys.readouterr().err
