"""Errors say what is wrong and what to do, survive a process boundary, and are drawn in the module's tree."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from rfapp import errors
from rfapp.errors import PictureUnreadable, RfappError, SourceNotFound

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, RfappError)]


def test_message_and_hint_are_filled_in():
    error = SourceNotFound("There is no {thing}.", "Look for {thing} elsewhere.", thing="cat.jpg")
    assert error.message == "There is no cat.jpg."
    assert error.hint == "Look for cat.jpg elsewhere."
    assert str(error) == "There is no cat.jpg. Look for cat.jpg elsewhere."
    assert error.message_template == "There is no {thing}."


def test_without_a_hint_the_sentence_ends_with_the_message():
    assert str(RfappError("Over.")) == "Over."


def test_values_may_hold_braces():
    assert str(RfappError("No {path}.", path="{0}/{x}.jpg")) == "No {0}/{x}.jpg."


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_goes_through_pickle(kind):
    error = pickle.loads(pickle.dumps(kind("No {name}.", "Try {other}.", name="a", other="b")))
    assert type(error) is kind
    assert str(error) == "No a. Try b."
    assert error.values == {"name": "a", "other": "b"}


def test_only_what_lets_the_rest_go_on_is_not_fatal():
    assert [kind.__name__ for kind in CLASSES if not kind.fatal] == [PictureUnreadable.__name__]


def test_the_drawn_tree_is_the_real_one():
    drawn: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"( {4}[│├└─ ]*)([A-Z]\w+) {2,}\S", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        while above and above[-1][0] >= depth:
            above.pop()
        drawn[name] = above[-1][1] if above else None
        above.append((depth, name))
    real = {kind.__name__: None if kind is RfappError else kind.__bases__[0].__name__ for kind in CLASSES}
    assert drawn == real
