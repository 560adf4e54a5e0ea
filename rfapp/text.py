"""Marks texts that a user reads, so that they can be translated without importing Qt.

Rooms below ``gui/`` must not know Qt, but their sentences end up in the window. They wrap each one in
:func:`mark`; the translation tools collect the marked texts, and ``gui/`` looks them up when it shows them.
"""

from __future__ import annotations


def mark(text: str) -> str:
    """Return *text* unchanged; its only effect is that the translation tools can find it."""
    return text
