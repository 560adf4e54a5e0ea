"""The one schema: limits, the command line, and a settings file that never keeps rfapp from starting."""

from __future__ import annotations

import argparse
import dataclasses
import stat
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfapp import settings
from rfapp.errors import SettingsError
from rfapp.settings import Settings, all_settings, from_mapping, load, save, to_mapping

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


# ---------------------------------------------------------------------------------------------- the command line


def parse(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser, [field.name for field in dataclasses.fields(Settings)])
    return settings.from_arguments(parser.parse_args(words), Settings())


def test_options_change_what_they_name_and_nothing_else():
    assert parse() == Settings()
    assert parse("--size", "original", "--score", "0.5", "--loop") == Settings().changed(
        detector_size="original", detector_score=0.5, source_loop=True
    )
    assert parse("--no-loop") == Settings()


def test_an_option_beyond_its_limits_names_the_setting():
    with pytest.raises(SettingsError, match="Score"):
        parse("--score", "2")


def test_no_two_settings_share_an_option():
    options = [item.about.option for item in ALL if item.about.option]
    assert len(options) == len(set(options))


def test_help_tells_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for item in ALL:
        if item.about.option and not isinstance(item.default, bool):
            assert item.about.option in text
            assert f"(default: {item.default}" in text


# ---------------------------------------------------------------------------------------------- the settings file


def any_value(item: settings.Setting) -> st.SearchStrategy[object]:
    if isinstance(item.default, bool):
        return st.booleans()
    if item.about.minimum is not None and item.about.maximum is not None:
        if isinstance(item.default, int):
            return st.integers(int(item.about.minimum), int(item.about.maximum))
        return st.floats(item.about.minimum, item.about.maximum)
    if item.about.choices:
        return st.sampled_from(item.about.choices)
    return st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), min_size=1)


@given(st.fixed_dictionaries({}, optional={item.name: any_value(item) for item in ALL}))
def test_whatever_is_saved_is_loaded_again(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "round" / "settings.toml"
    wanted = Settings().changed(**values)
    save(wanted, path)
    assert load(path) == (wanted, [])


def test_the_file_holds_only_what_differs(tmp_path):
    path = tmp_path / "deep" / "settings.toml"
    save(Settings().changed(detector_score=0.7), path)
    assert tomllib.loads(path.read_text()) == {"detector": {"score": 0.7}}
    assert [item.name for item in path.parent.iterdir()] == ["settings.toml"]
    assert to_mapping(Settings()) == {}


def test_no_file_gives_the_defaults(tmp_path):
    assert load(tmp_path / "none.toml") == (Settings(), [])


@pytest.mark.parametrize("content", [b"score = = 1", b"\xff\xfe\x00", b"[detector\n"], ids=["syntax", "bytes", "cut"])
def test_a_broken_file_is_kept_aside_and_named(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    loaded, (problem,) = load(path)
    assert loaded == Settings()
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("settings.broken-")
    assert aside.read_bytes() == content
    assert str(aside) in str(problem)


def test_a_folder_in_its_place_is_said(tmp_path):
    path = tmp_path / "settings.toml"
    path.mkdir()
    loaded, problems = load(path)
    assert loaded == Settings()
    assert len(problems) == 1


def test_a_single_bad_value_costs_only_itself():
    loaded, problems = from_mapping(
        {"detector": {"score": 7, "nms": 0.3, "unheard": 1}, "view": "text", "future": {"x": 1}}
    )
    assert loaded == Settings().changed(detector_nms=0.3)
    assert len(problems) == 1
    assert "Score" in str(problems[0])


NAMES = st.sampled_from(["detector", "view", "source", "score", "size", "mirror", "engine"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.dictionaries(NAMES, PLAIN | st.lists(PLAIN) | st.dictionaries(NAMES, PLAIN | st.lists(PLAIN))))
def test_no_content_makes_loading_fail(data):
    loaded, problems = from_mapping(data)
    assert isinstance(loaded, Settings)
    assert all(isinstance(problem, SettingsError) and str(problem) for problem in problems)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "settings.toml"
    settings.write_whole(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        settings.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_settings_are_the_users_own(tmp_path):
    path = tmp_path / "settings.toml"
    save(Settings(), path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
