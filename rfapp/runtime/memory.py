"""How the C library keeps the memory of a process that runs all day."""

from __future__ import annotations

import contextlib
import ctypes
import sys

#: ``M_ARENA_MAX`` of glibc's ``malloc.h``.
_ARENA_MAX = -8


def share_one_heap() -> None:
    """Let all threads take memory from one heap; to be called before others are started.

    glibc gives each thread a heap of its own (eight for each core). Threads of cameras, films and networks come and go,
    what one of them leaves behind pins its heap, and a process grows by hundreds of megabytes in an hour. Elsewhere
    than on Linux with glibc nothing is done.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(AttributeError, OSError):  # another C library has no mallopt
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
