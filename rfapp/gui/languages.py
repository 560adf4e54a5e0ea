"""The window's languages.

The catalogues in ``resources/translations`` are TOML: an English text and what it is called in that language. They are
read as they are, not compiled: there is no step between a translator's editor and the window, nothing to be built for
a wheel, an installer or a checkout, and no second tool that has to understand what ``rfapp.text.mark`` marks. An
English text means the same wherever it stands, so that it is looked up without the class that Qt gives along.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator

from rfapp.places import resources

log = logging.getLogger(__name__)

ENGLISH = "en"
#: Beside English; the name of the catalogue, which is also Qt's.
TRANSLATIONS = ("de", "es", "zh_CN")


class Catalogue(QTranslator):
    """The texts of rfapp in one language."""

    def __init__(self, language: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        file = resources() / "translations" / f"{language}.toml"
        texts = tomllib.loads(file.read_text(encoding="utf-8"))
        # What nobody has translated yet stays English.
        self._texts = {text: told for text, told in texts.items() if told}

    def isEmpty(self) -> bool:
        return not self._texts

    def translate(
        self, context: str, text: str, disambiguation: str | None = None, n: int = -1, /
    ) -> str | None:  # None: Qt asks the next one
        return self._texts.get(text)


def of_the_desktop(languages: Sequence[str] | None = None) -> str:
    """The first of the user's languages that there is a catalogue of, else English.

    *languages*: as Qt has them ("de-AT", "zh-Hans-CN"), the most wanted first; default: those of the desktop.
    """
    traditional = False
    for name in QLocale.system().uiLanguages() if languages is None else languages:
        language, _, rest = name.replace("_", "-").partition("-")
        if language == "zh":
            # To readers of traditional characters the simplified ones are another language. A bare "zh" at the end of
            # their list is Qt's shortening of what stands before it.
            traditional = traditional or bool({"Hant", "TW", "HK", "MO"} & set(rest.split("-")))
            if rest.startswith(("Hans", "CN", "SG")) or not traditional:
                return "zh_CN"
        if language in (ENGLISH, *TRANSLATIONS):
            return language
    return ENGLISH


def speak(application: QCoreApplication, wanted: str) -> str:
    """Use the language *wanted* ("auto": the desktop's) for all texts that are made from now on; returns its name."""
    for old in application.findChildren(QTranslator):
        application.removeTranslator(old)
        old.deleteLater()
    language = of_the_desktop() if wanted == "auto" else wanted
    # With "auto" numbers stay as the desktop writes them, in Austria as in Austria.
    QLocale.setDefault(QLocale.system() if wanted == "auto" else QLocale(language))
    if language == ENGLISH:
        return language
    try:
        application.installTranslator(Catalogue(language, application))
    except (OSError, ValueError) as error:
        log.error("the texts of the language %s can't be read: %s", language, error)
        return ENGLISH
    standard = QTranslator(application)  # the buttons of Qt's own dialogs
    if standard.load(f"qtbase_{language}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        application.installTranslator(standard)
    else:
        log.warning("Qt has no texts of its own in the language %s", language)
    return language
