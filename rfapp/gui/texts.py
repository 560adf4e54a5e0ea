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
