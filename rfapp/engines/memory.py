"""How the C library keeps the memory that a process gives back. All of it is for glibc; others need not be told."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: For programs that run all day beside others.
KEPT = 256 << 20
#: As much as can be told: for programs that train, and need at every step what they needed at the one before.
KEPT_ALL = 2**31 - 1


def share_one_heap() -> None:
    """Let all threads take memory from one heap; to be called before others are started.

    glibc gives each thread a heap of its own (eight for each core). Threads of cameras, films and networks come and go,
    what one of them leaves behind pins its heap, and a process grows by hundreds of megabytes in an hour.
    """
    _tell(_ARENA_MAX, 1)


def keep_freed_memory(most: int = KEPT) -> None:
    """Keep free memory up to *most* bytes in the process, instead of giving each large block back at once.

    torch takes memory for what every layer says, and gives it back a moment later. Of what comes from the system anew
    every page has to be cleared first: 2,400 of them for a picture of 640×480, a third of the whole call.
    """
    _tell(_TRIM_THRESHOLD, most)
    _tell(_MMAP_THRESHOLD, most)


def _tell(setting: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(AttributeError, OSError):  # another C library has no mallopt
            ctypes.CDLL(None).mallopt(setting, value)
