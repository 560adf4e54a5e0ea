"""``rfapp detect``: the faces in pictures, folders and videos, as lines of text and as annotated copies."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rfapp.cli.detect_report import report_of
from rfapp.cli.options import add_output_arguments, add_settings_arguments, settings_from
from rfapp.errors import OutputExists, UsageError
from rfapp.text import mark

if TYPE_CHECKING:
    from rfapp.sinks.lines import LineSink
    from rfapp.sources.inputs import Input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", nargs="+", metavar="INPUT", help="a picture, a video, a folder, or a pattern")
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv", "label"),
        help="the form of the results (default: jsonl; csv for a file named .csv); label: RetinaFace's label.txt, to "
        "train with once it was looked through",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write the results to FILE (default, and with “-”: print them)"
    )
    parser.add_argument(
        "--save-media",
        metavar="DIR",
        type=Path,
        help="write annotated pictures and videos into DIR (with --hide: with hidden faces)",
    )
    parser.add_argument(
        "--crops",
        metavar="DIR",
        type=Path,
        help="cut the faces out into DIR: upright, 112×112 px; with --track in a folder for each face",
    )
    parser.add_argument("--force", action="store_true", help="replace results that are there already")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where an earlier run with the same --output was interrupted; what failed is not tried again",
    )
    add_output_arguments(parser)
    add_settings_arguments(parser, ("detector", "tracking", "hiding"))


def run(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        if not arguments.debug:
            stack.enter_context(quiet_libraries())
        return _run(arguments, stack)


def _run(arguments: argparse.Namespace, stack: ExitStack) -> int:
    from rfapp.cli.main import DONE, FAILED, INTERRUPTED
    from rfapp.detector import FaceDetector
    from rfapp.runtime.batch import Batch, Count
    from rfapp.runtime.copies import check_free, media_paths
    from rfapp.sources.inputs import find_inputs

    began = time.monotonic()
    settings = settings_from(arguments)
    if arguments.output == Path("-"):
        arguments.output = None
    output: Path | None = arguments.output
    folder: Path | None = arguments.save_media
    _check_usage(arguments)
    crops: Path | None = arguments.crops
    inputs = find_inputs(arguments.input, leave_out=[path for path in (folder, crops) if path])
    files = [item for item in inputs if item.error is None]
    if arguments.format == "label":
        _check_pictures(files)
    media = media_paths(files, folder) if folder else {}
    if output is not None:
        check_free([output], files, replace=True)  # existing results are looked at when they are opened
    check_free(list(media.values()), files, replace=arguments.force or arguments.resume)

    cut_out = None
    if crops is not None:
        _check_crops(crops, replace=arguments.force or arguments.resume)
        names = media_paths(files, crops)
        cut_out = crops, {name: str(path.relative_to(crops)) for name, path in names.items()}
    lines, done = _open_results(arguments, stack)
    waiting = [item for item in inputs if item.name not in done]
    report = stack.enter_context(report_of(len(waiting), quiet=arguments.quiet))
    if done:
        report.say(f"{len(inputs) - len(waiting)} of {len(inputs)} inputs are done already.")
    code = DONE
    count = Count()
    if waiting:
        with FaceDetector.from_settings(settings.detector) as detector:
            for note in detector.notes:
                report.say(note)
            batch = Batch(
                waiting, detector, lines, media, settings, crops=cut_out, on_frame=report.frame, on_end=report.end
            )
            count = batch.count
            try:
                batch.run()
            except KeyboardInterrupt:
                code = INTERRUPTED
    if code == DONE and count.failed:
        code = FAILED
    seconds = time.monotonic() - began
    report.close(count, seconds, interrupted=code == INTERRUPTED, people=settings.tracking.on)
    if arguments.json:
        summary = {
            "inputs": count.inputs,
            "frames": count.frames,
            "faces": count.faces,
            "failed": count.failed,
            "seconds": round(seconds, 3),
            **({"people": count.people} if settings.tracking.on else {}),
        }
        print(json.dumps(summary), flush=True)
    return code


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.resume and arguments.output is None:
        raise UsageError(mark("--resume needs the file of the results."), mark("Name it with --output FILE."))
    if arguments.resume and arguments.force:
        raise UsageError(mark("--resume goes on with what is there, --force replaces it."), mark("Use one of the two."))
    for option in ("--save-media", "--crops"):
        path: Path | None = getattr(arguments, option.strip("-").replace("-", "_"))
        if path is not None and path.exists() and not path.is_dir():
            raise UsageError(
                mark("“{path}” is a file, not a folder."),
                mark("Name a folder with {option}."),
                path=str(path),
                option=option,
            )


def _check_pictures(files: list[Input]) -> None:
    for item in files:
        if not item.picture:
            raise UsageError(
                mark("“{path}” is a video, and labels name pictures."),
                mark("Use --format jsonl or csv, or take pictures out of the video first."),
                path=str(item.path),
            )
        if "\n" in item.name:
            raise UsageError(
                mark("The name of “{path}” has a line end, which labels can't hold."),
                mark("Give it another name, or use --format jsonl."),
                path=str(item.path),
            )


def _check_crops(folder: Path, *, replace: bool) -> None:
    if not replace and folder.is_dir() and any(folder.iterdir()):
        raise OutputExists(
            mark("There is something in the folder “{path}” already."),
            mark("Name an empty one, or use --force to add to it."),
            path=str(folder),
        )


def _open_results(arguments: argparse.Namespace, stack: ExitStack) -> tuple[LineSink, set[str]]:
    """Where results go, and the sources that an earlier run has done."""
    from rfapp.sinks.lines import cut_back, line_sink
    from rfapp.sinks.pictures import cannot_write
    from rfapp.sources import is_picture

    path: Path | None = arguments.output
    form = arguments.format or ("csv" if path is not None and path.suffix.lower() == ".csv" else "jsonl")
    if path is None:
        stdout: Any = sys.stdout
        return stack.enter_context(line_sink(form, _Bytes(stdout))), set()
    done: set[str] = set()
    if path.is_dir():
        raise UsageError(mark("“{path}” is a folder, not a file."), mark("Name a file with --output."), path=str(path))
    if path.exists():
        if arguments.resume:
            done = cut_back(path, form, is_picture)
        elif not arguments.force:
            raise OutputExists(
                mark("“{path}” is there already."),
                mark("Use --force to replace it, or --resume to go on with it."),
                path=str(path),
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(path.open("ab" if arguments.resume else "wb"))
    except OSError as error:
        raise cannot_write(path, error) from None
    continued = file.tell() > 0
    return stack.enter_context(line_sink(form, file, continued=continued)), done


class _Bytes:
    """The bytes behind a text stream such as standard output, in step with what is printed to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.flush()
        self._stream.buffer.write(data)

    def flush(self) -> None:
        self._stream.buffer.flush()


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep away what the libraries for JPEG and PNG print to the process's standard error by themselves.

    A damaged file has its own sentence. Python's own ``sys.stderr`` goes on reaching whoever reads it.
    """
    try:
        own = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        own = -1
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error, as in a program without a console
        yield
        return
    stderr = sys.stderr
    if own == 2:
        stderr.flush()
        ours = open(kept, "w", encoding=stderr.encoding, errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        _speak_through(ours, instead_of=stderr)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        if own == 2:
            ours.flush()
            _speak_through(stderr, instead_of=ours)
        os.close(kept)


def _speak_through(stream: TextIO, *, instead_of: TextIO) -> None:
    """Make *stream* Python's standard error, also for what is logged."""
    sys.stderr = stream
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
            handler.setStream(stream)
