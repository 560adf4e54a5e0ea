"""The command line: one file a command, no logic of its own.

A command's module holds ``add_arguments(parser)`` and ``run(arguments) -> int`` (the exit code). Only the module of
the command that was asked for is imported, so that ``rfapp --help`` answers at once.
"""

from rfapp.cli.main import main

__all__ = ["main"]
