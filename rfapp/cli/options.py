"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from rfapp import settings


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """``--json`` and ``--quiet``."""
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="say nothing but results and errors")


def add_settings_arguments(parser: argparse.ArgumentParser, groups: Iterable[str] = ("detector",)) -> None:
    """An option for every setting of *groups*."""
    settings.add_arguments(parser, groups)


def settings_from(arguments: argparse.Namespace, defaults: settings.Settings | None = None) -> settings.Settings:
    """*defaults* (rfapp's own, if none are given) with what stands on the command line.

    The window's saved settings do not act here: the same command gives the same result everywhere.
    """
    return settings.from_arguments(arguments, defaults or settings.Settings())
