"""``rfapp gui [SOURCE]``: the window."""

from __future__ import annotations

import argparse
from pathlib import Path

from rfapp import settings
from rfapp.cli.options import add_settings_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="what to open: a video, a picture, a folder, “sample”, “camera” or “camera:NAME”",
    )
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FILE",
        help="save a picture of the window to FILE, tell in one line of JSON how it went, and end",
    )
    parser.add_argument(
        "--after",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="with --screenshot: how long to wait from the first paint on (default: 5)",
    )
    add_settings_arguments(parser, ("detector", "tracking", "hiding", "view", "source", "recording"))


def run(arguments: argparse.Namespace) -> int:
    from rfapp.gui.app import Start
    from rfapp.gui.app import run as run_window

    return run_window(
        Start(
            source=arguments.source,
            change=lambda saved: settings.from_arguments(arguments, saved),
            screenshot=arguments.screenshot,
            after_s=arguments.after,
        )
    )
