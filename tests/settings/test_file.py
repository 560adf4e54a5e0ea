"""A settings file never keeps rfapp from starting, and loses nothing."""

from __future__ import annotations

import stat
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfapp.errors import SettingsError
from rfapp.settings import Setting, Settings, all_settings, from_mapping, load, save, to_mapping, write_whole

ALL = list(all_settings())


def any_value(item: Setting) -> st.SearchStrategy[object]:
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
    write_whole(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_settings_are_the_users_own(tmp_path):
    path = tmp_path / "settings.toml"
    save(Settings(), path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
