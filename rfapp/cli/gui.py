"""``rfapp gui [SOURCE]``: the window."""

from __future__ import annotations

import argparse
from pathlib import Path

from rfapp import settings
from rfapp.cli.options import add_settings_arguments
from rfapp.errors import OutputExists, UsageError
from rfapp.text import mark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="what to open: a video, a picture, a folder, “sample”, “camera”, “camera:NAME”, “screen” or an address; "
        "several are played one after the other",
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
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="record SOURCE from the start to the video FILE (MP4), and its faces beside it as .jsonl",
    )
    parser.add_argument(
        "--virtual-camera",
        action="store_true",
        help="send what is played to a virtual camera from the start, for other programs to take as their camera",
    )
    add_settings_arguments(parser, ("detector", "tracking", "hiding", "view", "source", "live", "recording"))


def run(arguments: argparse.Namespace) -> int:
    from rfapp.gui.app import Start
    from rfapp.gui.app import run as run_window

    _check_recording(arguments)
    return run_window(
        Start(
            sources=tuple(arguments.source),
            change=lambda saved: settings.from_arguments(arguments, saved),
            screenshot=arguments.screenshot,
            after_s=arguments.after,
            record=arguments.record,
            virtual_camera=arguments.virtual_camera,
        )
    )


def _check_recording(arguments: argparse.Namespace) -> None:
    path: Path | None = arguments.record
    if path is None:
        return
    if not arguments.source:
        raise UsageError(mark("--record needs something to record."), mark("Name a camera, a stream or a video."))
    for file in (path, path.with_suffix(".jsonl")):
        if file.exists():
            raise OutputExists(mark("“{path}” is there already."), mark("Name another file."), path=str(file))
