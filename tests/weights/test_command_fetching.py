"""``rfapp weights download`` and ``remove``, from the command line."""

import json
import shutil
from pathlib import Path

import pytest

from rfapp.cli import main
from rfapp.weights import downloads, known
from rfapp.weights.downloads import DOWNLOADS


@pytest.fixture
def fetched(monkeypatch, test_data):
    """Downloads come from the reference data instead of the network."""

    def fetch(item, folder, progress):
        folder.mkdir(parents=True, exist_ok=True)
        progress(item.bytes, item.bytes)
        return Path(shutil.copy(test_data / "checkpoints" / "mobilenet0.25_Final.pth", folder / item.file))

    monkeypatch.setattr(downloads, "fetch", fetch)


def test_without_a_name_it_tells_what_can_be_fetched(capsys):
    assert main(["weights", "download"]) == 0
    told = capsys.readouterr().out
    for name, item in DOWNLOADS.items():
        assert name in told
        assert item.licence in told


def test_fetching_makes_a_model_that_can_be_removed_again(fetched, capsys):
    pytest.importorskip("torch", reason="importing needs torch")
    assert main(["weights", "download", "mobilenet0.25-published", "--json", "--quiet"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["name"] == "mobilenet0.25-published"
    assert answer["config"]["slope"] == 0.1
    path = known()["mobilenet0.25-published"].path
    assert path.exists()
    assert main(["weights", "remove", "mobilenet0.25-published"]) == 0
    assert "mobilenet0.25-published" not in known()
    assert not path.exists()


@pytest.mark.parametrize("words", [["download", "nope"], ["remove", "nope"], ["remove", "mobilenet0.25"]])
def test_what_does_not_work_is_told_in_a_sentence(words, capsys):
    assert main(["weights", *words]) == 1
    told = capsys.readouterr().err
    assert told.startswith("rfapp: ")
    assert "Traceback" not in told
