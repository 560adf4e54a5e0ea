"""The page of models, clicked: use, verify, measure, import, download, remove."""

import hashlib
import shutil
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from rfapp.errors import WeightsError
from rfapp.gui import models_page
from rfapp.gui.models_page import ModelsPage
from rfapp.gui.toolbar import MODELS
from rfapp.models.config import AINNOFACE_R18
from rfapp.places import shipped_weights
from rfapp.weights import known
from rfapp.weights.downloads import Download
from rfapp.weights.removing import remove_model


@pytest.fixture
def page(qtbot, theme):
    page = ModelsPage(theme)
    page.resize(900, 600)
    qtbot.addWidget(page)
    page.show()
    return page


def names(page) -> list[str]:
    return [page.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(page.list.count())]


def choose(page, name) -> None:
    page.list.setCurrentRow(names(page).index(name))


def said(page) -> str:
    return page.tasks.text()


def test_it_lists_what_is_known_and_tells_licence_and_origin(page):
    assert names(page) == list(known())
    choose(page, "mobilenet0.25")
    assert "MIT" in page._facts["licence"].text()
    assert page._facts["origin"].text()
    assert not page.remove_button.isEnabled(), "what comes with rfapp stays"


def test_a_model_is_used_at_a_click(make_window, qtbot):
    window = make_window()
    window.show_page(MODELS)
    choose(window.pages.models, "mobilenet0.25-imported")
    qtbot.mouseClick(window.pages.models.use_button, Qt.MouseButton.LeftButton)
    assert window.pipeline.settings.detector.model == "mobilenet0.25-imported"
    assert window.pages.models.use_button.text() == "In use"


def test_verifying_tells_that_the_file_is_whole(page, qtbot):
    choose(page, "mobilenet0.25")
    qtbot.mouseClick(page.verify_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "is whole" in said(page))


def test_speed_is_measured_here(page, qtbot):
    choose(page, "mobilenet0.25")
    qtbot.mouseClick(page.measure_button, Qt.MouseButton.LeftButton)
    assert not page.use_button.isEnabled()
    qtbot.waitUntil(lambda: " ms a picture" in page._facts["speed"].text(), timeout=60_000)
    assert page.use_button.isEnabled()


def test_a_file_that_is_no_checkpoint_is_told_and_nothing_is_lost(page, qtbot, tmp_path):
    path = tmp_path / "rubbish.pth"
    path.write_bytes(b"this is no checkpoint")
    before = names(page)
    page.import_file(path)
    qtbot.waitUntil(lambda: "rubbish.pth" in said(page) and page.import_button.isEnabled(), timeout=30_000)
    assert names(page) == before


def test_an_imported_model_appears_can_be_used_and_removed(page, qtbot, tmp_path):
    path = tmp_path / "mine.safetensors"
    shutil.copy(shipped_weights() / "mobilenet0.25.safetensors", path)
    before = set(names(page))
    page.import_file(path)
    qtbot.waitUntil(lambda: "is ready" in said(page) or "rubbish" in said(page), timeout=60_000)
    new = (set(names(page)) - before).pop()
    choose(page, new)
    assert page.remove_button.isEnabled()
    file = known()[new].path
    page.remove(new)
    qtbot.waitUntil(lambda: "is gone" in said(page))
    assert new not in names(page)
    assert not file.exists()


def test_what_comes_with_rfapp_can_not_be_removed():
    with pytest.raises(WeightsError, match="comes with rfapp"):
        remove_model("mobilenet0.25")


def test_a_download_that_fails_is_told(page, qtbot, tmp_path):
    item = Download("net", "http://127.0.0.1:9/net.pth", 10, hashlib.sha256(b"").hexdigest(), "Net", "")
    page.download(item, tmp_path)
    qtbot.waitUntil(lambda: "can't be fetched" in said(page), timeout=30_000)
    assert page.download_button.isEnabled()


def test_networks_that_are_not_live_are_marked(page, monkeypatch):
    """As if one had been trained and imported: in the list, among its facts, and where a model is chosen."""
    models = known()
    trained = replace(next(iter(models.values())), name="mine", config=AINNOFACE_R18)
    monkeypatch.setattr(models_page, "known", lambda: {**models, "mine": trained})
    monkeypatch.setattr(models_page, "float_models", lambda: ("mobilenet0.25", "mine"))
    page.refresh()
    choose(page, "mine")
    assert page.list.currentItem().text() == "mine (accurate, not live)"
    assert page._facts["network"].text() == "ainnoface-r18: accurate, not live"
    choices = (("mobilenet0.25", "mobilenet0.25"), ("mine (accurate, not live)", "mine"))
    assert models_page.model_choices() == choices


def test_what_has_to_be_trained_first_is_said(page):
    texts = [label.text() for label in page.findChildren(QLabel)]
    assert any("ainnoface-r18" in text and "train one first" in text for text in texts)
