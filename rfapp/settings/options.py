"""Settings on the command line: an option for each that has one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from rfapp.settings.snapshot import Settings, all_settings


def add_arguments(parser: argparse.ArgumentParser, groups: Iterable[str]) -> None:
    """Give *parser* an option for every setting of *groups* that has one."""
    for group in groups:
        section = parser.add_argument_group(group)
        for setting in all_settings([group]):
            about = setting.about
            if about.option is None:
                continue
            text = about.help.replace("%", "%%")
            if isinstance(setting.default, bool):
                section.add_argument(
                    about.option, dest=setting.name, action=argparse.BooleanOptionalAction, default=None, help=text
                )
                continue
            if about.words:
                metavar = "PX|" + "|".join(c for c in about.choices or () if isinstance(c, str))
            elif about.choices:
                metavar = "{" + ",".join(map(str, about.choices)) + "}"
            else:
                metavar = {"px": "PX", "s": "SECONDS", "/s": "N", "%": "PERCENT"}.get(
                    about.unit, "NAME" if about.choices_from else "X"
                )
            unit = f" {about.unit}".rstrip().replace("%", "%%")
            shown = f"{text} (default: {setting.default}{unit})"
            section.add_argument(about.option, dest=setting.name, metavar=metavar, default=None, help=shown)


def from_arguments(arguments: argparse.Namespace, base: Settings) -> Settings:
    """*base* with what was given on the command line; SettingsError for a value outside its limits."""
    given = {
        setting.name: value
        for setting in all_settings()
        if (value := getattr(arguments, setting.name, None)) is not None
    }
    return base.changed(**given)
