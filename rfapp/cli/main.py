"""``rfapp [COMMAND] …``: finds the command, runs it, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from rfapp import __version__
from rfapp.errors import RfappError, SettingsError, UsageError

#: Exit codes that scripts may rely on.
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "gui": "open the window (this happens, too, when no command is given)",
    "detect": "find the faces in pictures, folders and videos",
    "evaluate": "measure average precision by the protocol of WIDER FACE",
    "data": "check the labelled pictures that training is to learn from",
    "train": "let a network learn from labelled pictures, or go on with that",
    "weights": "list, verify and import the numbers of the networks",
    "export": "write a model for other programs (ONNX, OpenVINO)",
    "bench": "measure how fast faces are found on this computer",
    "doctor": "tell what is installed and which devices and cameras there are",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (without the program's name; default: that of the process)."""
    if getattr(sys, "frozen", False):
        # An installed program is started again for each process that evaluation and training want.
        import multiprocessing

        multiprocessing.freeze_support()
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if not word.startswith("-")), None)
    asks = {"-h", "--help", "--version"}.intersection(words)
    if chosen not in COMMANDS and not (chosen is None and asks):
        # `rfapp clip.mp4` and `rfapp --score 0.5` open the window.
        words.insert(0, "gui")
        chosen = "gui"
    arguments = make_parser(chosen).parse_args(words)
    _log_to_terminal(arguments.debug)
    try:
        result: int = import_module(f"rfapp.cli.{arguments.command}").run(arguments)
        if sys.stdout is not None:  # as in a Windows program without a console
            sys.stdout.flush()  # here, where a reader that has gone is understood, and not at exit
        return result
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`rfapp detect … | head`): nothing left to say, not even at exit.
        sys.stdout = None
        return FAILED
    except RfappError as error:
        if arguments.debug:
            raise
        print(f"rfapp: {error}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, UsageError | SettingsError) else FAILED


def _log_to_terminal(debug: bool) -> None:
    handler = logging.StreamHandler()
    handler.setLevel(logging.DEBUG if debug else logging.ERROR)  # of the handler: a log file may take more
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(name)s: %(message)s", handlers=[handler]
    )


def make_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of the whole command line; of the commands only *chosen* has its options."""
    parser = argparse.ArgumentParser(
        prog="rfapp",
        description="Finds faces in the webcam, in videos and in pictures.",
        epilog="`rfapp COMMAND --help` tells the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rfapp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        if name == chosen:
            import_module(f"rfapp.cli.{name}").add_arguments(command)
            command.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser
