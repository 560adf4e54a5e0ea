"""Small helpers for weights files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rfapp import places


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped weights that a test may damage."""
    folder = tmp_path / "shipped"
    shutil.copytree(places.shipped_weights(), folder)
    monkeypatch.setattr(places, "shipped_weights", lambda: folder)
    return folder
