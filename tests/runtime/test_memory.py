"""One heap for all threads: what threads that have ended leave behind does not pin a heap of each."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Threads, one after the other while the ones before wait, allocate what is too small for memory of its own; printed
#: is in how many heaps it lies. A thread's own heap of glibc's begins at a multiple of 64 MB.
CODE = """
import ctypes, sys, threading
from rfapp.runtime.memory import share_one_heap
if sys.argv[1] == "one":
    share_one_heap()
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
places, end = [], threading.Event()
def take():
    places.append(malloc(1000) >> 26)
    end.wait()
threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
end.set()
print(len(set(places)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heaps")
def test_threads_share_a_heap() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    if heaps("many") == 1:
        pytest.skip("this C library has one heap anyway")
    assert heaps("one") == 1
