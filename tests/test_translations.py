"""Every text of the window is there in every language, and no translation outlives its text."""

from __future__ import annotations

import ast
import importlib.util
from types import ModuleType

import pytest

from rfapp.places import resources
from rfapp.settings import all_settings
from tests.conftest import ROOT


def load() -> ModuleType:
    path = ROOT / "resources" / "translations" / "update.py"
    spec = importlib.util.spec_from_file_location("translations_update", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


update = load()


def test_every_text_is_translated_and_every_translation_has_a_text():
    assert update.problems() == [], "python resources/translations/update.py puts the catalogues in step"


def test_the_catalogues_stand_in_the_order_of_the_code():
    texts = list(update.texts())
    for language in update.LANGUAGES:
        assert list(update.catalogue(language)) == texts, "python resources/translations/update.py"


def test_the_installers_carry_qts_own_texts():
    (line,) = (x for x in (ROOT / "packaging/rfapp.spec").read_text().splitlines() if x.startswith("QT_LANGUAGES"))
    assert ast.literal_eval(line.partition("=")[2].strip()) == update.LANGUAGES


def test_the_setting_offers_what_there_are_catalogues_of():
    (setting,) = (s for s in all_settings(["view"]) if s.key == "language")
    files = {path.stem for path in (resources() / "translations").glob("*.toml")}
    assert set(setting.about.choices) - {"auto", "en"} == files == set(update.LANGUAGES)


@pytest.mark.parametrize(
    ("text", "translation", "fault"),
    [
        ("Stop", "", "is not translated"),
        ("Stop", " ", "is not translated"),
        ("{count} faces", "Gesichter", "placeholders"),
        ("{count} faces", "{zahl} Gesichter", "placeholders"),
        ("{age:.1f} s", "{age:.2f} s", "placeholders"),
        ("not {value!r}", "nicht {value}", "placeholders"),
        ("%n faces", "n Gesichter", "placeholders"),
        ("<b>one</b>", "<b>eins", "tags"),
        ("Labels (*.txt);;All files (*)", "Labels (*.txt)", "file patterns"),
        ("Name it with --output.", "Mit --ausgabe nennen.", "options"),
        ("&Stop", "Anhalten", "keyboard mnemonics"),
        ("one\ntwo", "eins zwei", "lines"),
        (" over", "über", "spaces at its ends"),
        ("It is gone.", "Es ist weg", "end"),
        ("Opening…", "Öffnen", "end"),
        ("Full screen (F)", "Vollbild (V)", "keys in brackets"),
        ("Full screen (F)", "全屏（F）", "keys in brackets"),
        ("Play (Space)", "Abspielen", "keys in brackets"),
    ],
)
def test_a_translation_that_differs_where_it_must_not_is_found(text, translation, fault):
    assert any(fault in found for found in update.faults(text, translation))


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("{a} of {b}.", "{b} 中的 {a}。"),
        ("Settings (Ctrl+,)", "Einstellungen (Strg+,)"),
        ("Play (Space)", "Abspielen (Leertaste)"),
        ("What?", "什么？"),
    ],
)
def test_what_languages_do_differently_is_no_fault(text, translation):
    assert update.faults(text, translation) == []


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A small program with a catalogue of one language."""
    (tmp_path / "rfapp" / "gui").mkdir(parents=True)
    (tmp_path / "rfapp" / "cli").mkdir()
    monkeypatch.setattr(update, "ROOT", tmp_path)
    monkeypatch.setattr(update, "HERE", tmp_path)
    monkeypatch.setattr(update, "LANGUAGES", ("de",))

    def write(gui: str = "", room: str = "", cli: str = "") -> None:
        (tmp_path / "rfapp" / "gui" / "window.py").write_text(gui, encoding="utf-8")
        (tmp_path / "rfapp" / "room.py").write_text(room, encoding="utf-8")
        (tmp_path / "rfapp" / "cli" / "main.py").write_text(cli, encoding="utf-8")

    return write


def test_texts_are_found_where_the_window_can_show_them(program):
    program(
        gui='self.tr("one")\nQObject.tr(it, "two")\nQCoreApplication.translate("Saver", "th" "ree")',
        room='raise SourceError(mark("four {path}"), mark("one"), path=path)',
        cli='mark("five")',
    )
    assert update.texts() == {
        "one": "gui/window.py",
        "two": "gui/window.py",
        "three": "gui/window.py",
        "four {path}": "room.py",
    }


def test_a_text_that_nobody_can_translate_is_found(program):
    program(
        gui='QLabel("Raw words")\nlabel.setText(f"{count} raw faces")\nQPushButton(toolTip="Raw tip")\n'
        'self.tr(f"{count} faces")\nQLabel("640 × 480")\nQLabel("rfapp", objectName="title")\nQLabel(self.tr("good"))',
        room="mark(text)",
    )
    found = update.untranslatable()
    assert len(found) == 5
    for place, word in zip(found, ("Raw words", " raw faces", "Raw tip", "tr()", "mark()"), strict=True):
        assert word in place


def test_updating_adds_what_is_new_and_drops_what_is_gone(program, tmp_path):
    program(gui='self.tr("Save the picture")\nself.tr("Quit \\"now\\"")')
    (tmp_path / "de.toml").write_text(
        '"Quit \\"now\\"" = "„Sofort“ beenden"\n"Save a picture" = "Bild speichern"\n"Gone" = "Weg"\n', encoding="utf-8"
    )
    told = "\n".join(update.problems())
    assert "“Save the picture” (gui/window.py) is missing" in told
    assert "“Gone” stands nowhere in the code any more" in told
    update.write("de", update.texts())
    assert update.catalogue("de") == {"Save the picture": "", 'Quit "now"': "„Sofort“ beenden"}
    assert '# was: "Save a picture" = "Bild speichern"' in (tmp_path / "de.toml").read_text(encoding="utf-8")
    assert update.problems() == ["de: the translation of “Save the picture” is not translated"]
