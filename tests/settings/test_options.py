"""Settings on the command line."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from rfapp.errors import SettingsError
from rfapp.settings import Settings, add_arguments, all_settings, from_arguments

ALL = list(all_settings())


def parse(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser, [field.name for field in dataclasses.fields(Settings)])
    return from_arguments(parser.parse_args(words), Settings())


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
