"""Marks texts that a user reads, so that they can be translated without importing Qt.

Rooms below ``gui/`` must not know Qt, but their sentences end up in the window. They wrap each one in
:func:`mark`; ``resources/translations/update.py`` collects the marked texts, and ``gui/`` looks them up when it shows
them.
"""

from __future__ import annotations

from collections.abc import Mapping


class Text(str):
    """A marked text. It reads as English, and still knows the *template* and *values* that it was made from, so that
    whoever shows it can say it in another language."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, text: str, template: str | None = None, values: Mapping[str, object] | None = None) -> Text:
        made = super().__new__(cls, text)
        made.template = text if template is None else template
        made.values = values or {}
        return made

    def format(self, *unnamed: object, **values: object) -> Text:
        """The text with its values filled in. They have to have names, because other languages order them otherwise."""
        if unnamed:
            raise TypeError("a text for translation takes named values only")
        return Text(str(self).format(**values), self.template, {**self.values, **values})


def mark(text: str) -> Text:
    """*text*, so that the translation tools can find it and the window can translate it."""
    return Text(text)
