"""What is said of a setting where it is declared, and which values follow from that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rfapp.errors import SettingsError
from rfapp.text import mark


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the user interface says of one setting, and which values it takes."""

    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[Any, ...] | None = None
    choices_from: str | None = None  # "models": the caller knows them
    words: bool = False  # numbers, and also the words in `choices`
    option: str | None = None  # the command line's name; None: not there
    advanced: bool = False  # folded away in the pane


def setting(default: Any, label: str, help: str, **about: Any) -> Any:
    """A field of a dataclass that is a setting; *about* as in :class:`About`."""
    return field(default=default, metadata={"about": About(label=label, help=help, **about)})


def checked(about: About, default: Any, value: Any) -> Any:
    """*value* in the type of *default*, or SettingsError with a sentence that names the setting and its limits."""
    number: float | None
    if about.words:
        words = tuple(choice for choice in about.choices or () if isinstance(choice, str))
        if value in words:
            return value
        number = _whole(value)
    elif isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise SettingsError(
            mark("“{label}” is either on or off, not {value!r}."),
            mark("Use true or false."),
            label=about.label,
            value=value,
        )
    elif isinstance(default, int):
        number = _whole(value)
    elif isinstance(default, float):
        number = _number(value)
    else:
        if about.choices is not None and value not in about.choices:
            raise SettingsError(
                mark("“{label}” can't be {value!r}."),
                mark("Choose one of: {choices}."),
                label=about.label,
                value=value,
                choices=", ".join(about.choices),
            )
        if not isinstance(value, str) or not value:
            raise SettingsError(mark("“{label}” can't be {value!r}."), label=about.label, value=value)
        return value
    low, high = about.minimum, about.maximum
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        hint = mark("Use a number from {low} to {high}.")
        if about.words:
            hint = mark("Use a number from {low} to {high}, or {words}.")
        raise SettingsError(
            mark("“{label}” can't be {value!r}."),
            hint,
            label=about.label,
            value=value,
            low=low,
            high=high,
            words=", ".join(words) if about.words else "",
        )
    return number


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value) if float(value) == int(value) else None
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(str(value), 10)
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number
