"""The public API: a name that appears or goes away here is a decision, not an accident."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rfapp

PUBLIC = [
    "Detections",
    "FaceDetector",
    "Frame",
    "LivePipeline",
    "RfappError",
    "Settings",
    "Source",
    "Tracker",
    "__version__",
    "aligned_crops",
    "open_source",
    "read_picture",
    "resources",
]


def test_the_list_of_public_names():
    assert sorted(rfapp.__all__) == PUBLIC
    assert dir(rfapp) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_is_there_and_documented(name):
    value = getattr(rfapp, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_other_names_are_no_part_of_it():
    with pytest.raises(AttributeError, match="no attribute 'Mailbox'"):
        rfapp.Mailbox  # noqa: B018


def test_importing_rfapp_loads_nothing_but_itself():
    code = "import sys; before = set(sys.modules); import rfapp; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith("rfapp")] == ["rfapp"]
    assert not {"numpy", "cv2", "torch", "PySide6", "av"}.intersection(loaded)
