"""Every setting describes itself, keeps its limits, and never changes in place."""

from __future__ import annotations

import dataclasses

import pytest

from rfapp.errors import SettingsError
from rfapp.settings import Settings, all_settings

ALL = list(all_settings())
NUMBERS = [item for item in ALL if item.about.minimum is not None]


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.name)
def test_every_setting_describes_itself(item):
    assert item.about.label
    assert item.about.help.endswith(".")
    assert getattr(Settings().changed(**{item.name: item.default}), item.group) == getattr(Settings(), item.group)


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
def test_numbers_take_their_limits_and_nothing_beyond(item):
    kind = type(item.default)
    for good in (item.about.minimum, item.about.maximum):
        changed = Settings().changed(**{item.name: good})
        value = getattr(getattr(changed, item.group), item.key)
        assert value == good
        assert type(value) is kind
    for bad in (item.about.minimum - item.about.step, item.about.maximum + item.about.step, float("nan"), "x", True):
        with pytest.raises(SettingsError, match=item.about.label):
            Settings().changed(**{item.name: bad})


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("detector_size", "original", "original"),
        ("detector_size", "800", 800),
        ("detector_size", 800.0, 800),
        ("detector_score", "0.25", 0.25),
        ("detector_score", 0.5, 0.5),
        ("detector_model", "a/b.pth", "a/b.pth"),
        ("view_mirror", True, True),
    ],
)
def test_values_become_the_settings_own_type(name, value, kept):
    group, _, key = name.partition("_")
    assert getattr(getattr(Settings().changed(**{name: value}), group), key) == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("detector_size", "huge"),
        ("detector_size", 640.5),
        ("detector_size", None),
        ("detector_score", "inf"),
        ("detector_score", []),
        ("detector_engine", "mxnet"),
        ("detector_engine", ["torch"]),
        ("detector_model", ""),
        ("detector_model", 3),
        ("view_mirror", "yes"),
        ("view_mirror", 1),
        ("detector_colour", 1),
    ],
)
def test_what_makes_no_sense_is_refused_with_one_sentence(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings().changed(**{name: value})
    assert "\n" not in str(caught.value)


def test_a_change_leaves_the_snapshot_alone():
    before = Settings()
    after = before.changed(detector_score=0.9, view_mirror=True)
    assert (before.detector.score, before.view.mirror) == (0.6, False)
    assert (after.detector.score, after.view.mirror) == (0.9, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.detector.score = 0.1  # type: ignore[misc]
