"""Sentences of rooms that know no Qt, and their numbers, in the user's language."""

from __future__ import annotations

import string
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale

from rfapp.errors import RfappError
from rfapp.text import Text


class _Filler(string.Formatter):
    """Fills templates as ``str.format`` does, with numbers as the user writes them and marked values translated."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, RfappError):
            value = sentence_of(value)
        elif isinstance(value, Text):
            value = translated(value)
        told = format(value, format_spec)
        return told.replace(".", QLocale().decimalPoint()) if isinstance(value, float) else told


_FILLER = _Filler()


def filled(template: str, /, **values: object) -> str:
    """*template*, which is in the user's language already, with its values put in."""
    return _FILLER.vformat(template, (), values)


def clock(seconds: float, *, hours: bool = False) -> str:
    """A time in a video: minutes and seconds, and hours where there are any, or in any case."""
    minutes, rest = divmod(int(seconds), 60)
    whole, minutes = divmod(minutes, 60)
    return f"{whole}:{minutes:02}:{rest:02}" if whole or hours else f"{minutes:02}:{rest:02}"


def number_of_faces(count: int) -> str:
    """So many faces."""
    if count == 0:
        return QCoreApplication.translate("texts", "no face")
    if count == 1:
        return QCoreApplication.translate("texts", "1 face")
    return QCoreApplication.translate("texts", "{count} faces").format(count=count)


def translated(text: str) -> str:
    """A text that was marked with ``rfapp.text.mark``, in the user's language."""
    template, values = (text.template, text.values) if isinstance(text, Text) else (text, {})
    found = QCoreApplication.translate("rfapp", template)
    return filled(found, **values) if values else found


def message_of(error: RfappError) -> str:
    """What went wrong."""
    return _said(error.message_template, error)


def hint_of(error: RfappError) -> str:
    """What can be done about it; may be empty."""
    return _said(error.hint_template, error) if error.hint_template else ""


def sentence_of(error: RfappError) -> str:
    """Both."""
    return f"{message_of(error)} {hint_of(error)}".strip()


def _said(template: str, error: RfappError) -> str:
    return filled(translated(template), **error.values)
