"""Sentences of rooms that know no Qt, in the user's language."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from rfapp.errors import RfappError


def translated(text: str) -> str:
    """A text that was marked with ``rfapp.text.mark``, in the user's language."""
    return QCoreApplication.translate("rfapp", text)


def message_of(error: RfappError) -> str:
    """What went wrong."""
    return translated(error.message_template).format(**error.values)


def hint_of(error: RfappError) -> str:
    """What can be done about it; may be empty."""
    return translated(error.hint_template).format(**error.values) if error.hint_template else ""


def sentence_of(error: RfappError) -> str:
    """Both."""
    return f"{message_of(error)} {hint_of(error)}".strip()
