"""Marked texts: read as English, kept as template and values."""

from __future__ import annotations

import pickle

import pytest

from rfapp.text import Text, mark


def test_a_text_keeps_what_it_was_made_of():
    text = mark("{a} of {b}").format(a=1, b=mark("{c} more").format(c=2))
    assert isinstance(text, Text)
    assert text == "1 of 2 more"
    assert text.template == "{a} of {b}"
    assert text.values["b"].template == "{c} more"
    again = pickle.loads(pickle.dumps(text))
    assert (again, again.template, again.values) == (text, text.template, text.values)
    with pytest.raises(TypeError):
        mark("{} faces").format(3)
