"""The window in every language: nothing is left in English, nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QLabel,
    QPushButton,
    QToolButton,
    QWidget,
)

from rfapp.errors import SettingsError, SourceError
from rfapp.gui.languages import ENGLISH, TRANSLATIONS, Catalogue, of_the_desktop, speak
from rfapp.gui.texts import filled, sentence_of, translated
from rfapp.gui.toolbar import LIVE, MODELS, TRAIN
from rfapp.settings import Settings
from rfapp.sinks.examples import Count, ExampleFolder
from rfapp.text import mark

#: What a combo box needs beside its text, in pixels: the style sheet's margins and its arrow.
COMBO_BOX = 8 + 20 + 2


@pytest.fixture(params=TRANSLATIONS)
def language(request, qapp: QApplication) -> Iterator[str]:
    before = QLocale()
    assert speak(qapp, request.param) == request.param
    yield request.param
    speak(qapp, ENGLISH)
    QLocale.setDefault(before)


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    before = QLocale()
    speak(qapp, "de")
    yield
    speak(qapp, ENGLISH)
    QLocale.setDefault(before)


def said(widget: QWidget) -> list[str]:
    """All that *widget* and what is in it say to eyes and ears."""
    texts = []
    for part in [widget, *widget.findChildren(QWidget)]:
        texts += [part.toolTip(), part.accessibleName(), part.accessibleDescription(), part.windowTitle()]
        if isinstance(part, QLabel | QAbstractButton):
            texts.append(part.text())
        if isinstance(part, QComboBox):
            texts += [part.itemText(row) for row in range(part.count())]
        if isinstance(part, QToolButton | QPushButton) and part.menu() is not None:
            texts += [action.text() for action in part.menu().actions()]
    return [text for text in texts if text]


def test_nothing_in_the_window_is_left_in_english(language, make_window, qtbot):
    catalogue = Catalogue(language)._texts
    english = {text for text, told in catalogue.items() if told != text} - set(catalogue.values())
    window = make_window()
    window.toolbar.picker._show_cameras([])
    for page in (LIVE, TRAIN, MODELS):
        window.show_page(page)
        assert not {text.removeprefix("<p>").removesuffix("</p>") for text in said(window)} & english
    assert window.toolbar.play.accessibleName() == translated("Play or pause (Space)").partition(" (")[0]
    assert "(" not in window.toolbar.play.accessibleName()


@pytest.mark.parametrize("width", [480, 1000])
def test_no_word_is_cut_off(language, make_window, qtbot, width, monkeypatch):
    if language == "zh_CN" and not QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese):
        pytest.skip("there is no font with Chinese characters")
    models = {translated(mark(text)) for text in ("Model", "Network", "First weights")}  # names as long as they are
    monkeypatch.setattr(ExampleFolder, "count", lambda _folder: Count(pictures=888, with_faces=444))
    window = make_window(Settings().changed(tracking_on=True), width=width, height=640)
    for page in (LIVE, TRAIN, MODELS):
        window.show_page(page)
        if page == LIVE:
            window.show_pane(True)
            window.pane.findChild(QToolButton, "fold").setChecked(True)
        qtbot.wait(50)
        for part in window.findChildren(QWidget):
            if not part.isVisible():
                continue
            button = isinstance(part, QPushButton | QCheckBox | QToolButton)
            if button or (isinstance(part, QLabel) and part.text() and not part.wordWrap() and not part.toolTip()):
                assert part.width() >= part.sizeHint().width(), part.text()
                right = part.mapTo(window, part.rect().topRight()).x()
                assert right <= window.width(), f"{part.text()} stands outside of the window"
            if isinstance(part, QComboBox) and part.accessibleName() not in models:
                for row in range(part.count()):
                    needs = part.fontMetrics().horizontalAdvance(part.itemText(row))
                    assert part.width() - COMBO_BOX >= needs, part.itemText(row)


def test_another_language_is_announced_for_the_next_start(make_window):
    window = make_window()
    window.pane.control("view_language").changed.emit("de")
    assert window.stage.banner.isVisible()
    assert "the next time" in window.stage.banner.text


def test_everything_that_takes_the_focus_has_a_name(make_window):
    window = make_window()
    for page in (LIVE, TRAIN, MODELS):
        window.show_page(page)
        for part in window.findChildren(QWidget):
            # What pops up is a window of its own; lists, plots and boxes answer for what is inside of them.
            inner = part.objectName().startswith("qt_") or isinstance(part.parent(), QComboBox | QAbstractScrollArea)
            if part.focusPolicy() & Qt.FocusPolicy.TabFocus and part.window() is window and not inner:
                named = part.accessibleName() or (part.text() if isinstance(part, QAbstractButton) else "")
                assert named, f"{type(part).__name__} on page {page}, in {type(part.parent()).__name__}"


def test_an_error_is_told_with_its_values(german):
    error = SourceError(
        mark("“{path}” can't be read: {reason}."), path="a.mp4", reason=mark("it lacks {name}").format(name="x")
    )
    assert sentence_of(error) == "„a.mp4“ lässt sich nicht lesen: x fehlt."
    assert str(error) == "“a.mp4” can't be read: it lacks x."
    inner = SourceError(mark("“{title}” failed: {error}"), title="Kamera", error=error)
    assert sentence_of(inner) == "Fehler bei „Kamera“: „a.mp4“ lässt sich nicht lesen: x fehlt."
    with pytest.raises(SettingsError) as caught:
        Settings().changed(detector_score=7)
    assert sentence_of(caught.value) == "„Score“ kann nicht 7 sein. Eine Zahl von 0,02 bis 0,99 verwenden."
    with pytest.raises(SettingsError) as caught:
        Settings().changed(detector_nms=7)
    assert sentence_of(caught.value).startswith("„Überlappung“ kann nicht 7 sein."), "labels are texts, too"


def test_values_are_no_templates(german):
    error = SourceError(mark("There is no folder “{path}”."), path="{reason}")
    assert sentence_of(error) == "Es gibt keinen Ordner „{reason}“."
    assert translated("{nobody} knows this") == "{nobody} knows this"


def test_numbers_are_written_as_in_the_language(german):
    assert filled("{rate:.1f}/s · {count}", rate=29.97, count=1000) == "30,0/s · 1000"
    assert filled("{where}", where="192.168.0.1") == "192.168.0.1"


def test_qt_speaks_the_language_as_well(german, qtbot):
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    qtbot.addWidget(box)
    assert box.button(QDialogButtonBox.StandardButton.Cancel).text().replace("&", "") == "Abbrechen"


def test_english_comes_back(german, qapp):
    assert translated(mark("Loading model…")) == "Modell wird geladen…"
    assert speak(qapp, ENGLISH) == ENGLISH
    assert translated(mark("Loading model…")) == "Loading model…"
    assert qapp.translate("QPlatformTheme", "Cancel") == "Cancel"


def test_a_missing_catalogue_leaves_the_window_english(qapp, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("rfapp.gui.languages.resources", lambda: tmp_path)
    assert speak(qapp, "de") == ENGLISH
    assert "de" in caplog.text
    speak(qapp, ENGLISH)
    assert translated(mark("Loading model…")) == "Loading model…"


@pytest.mark.parametrize(
    ("desktop", "language"),
    [
        (["de-AT", "de", "en"], "de"),
        (["es_MX"], "es"),
        (["zh-Hans-CN", "zh-CN"], "zh_CN"),
        (["zh"], "zh_CN"),
        (["zh-Hant-TW", "zh-TW", "zh-Hant", "zh"], "en"),
        (["zh-Hant-HK", "zh-HK", "zh-Hant", "zh", "es-ES"], "es"),
        (["zh-Hant-TW", "zh", "zh-Hans-CN"], "zh_CN"),
        (["fr-FR", "fr", "de-DE"], "de"),
        (["fr-FR"], "en"),
        (["C"], "en"),
        ([], "en"),
    ],
)
def test_the_desktops_language_is_taken(desktop, language):
    assert of_the_desktop(desktop) == language
