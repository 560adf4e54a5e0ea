"""What is given back stays with the process: one heap for all threads, and no page that has to be cleared again."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Threads, one after the other while the ones before wait, allocate what is too small for memory of its own; printed
#: is in how many heaps it lies. A thread's own heap of glibc's begins at a multiple of 64 MB.
CODE = """
import ctypes, sys, threading
from rfapp.engines.memory import share_one_heap
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


#: Blocks as large as what a layer says are taken, written and given back, a hundred times; printed is how many pages
#: the system had to clear for the last fifty.
CHURN = """
import ctypes, resource, sys
from rfapp.engines.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = 4 << 20
for turn in range(100):
    if turn == 50:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [c.malloc(size) for _ in range(8)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        c.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's way with free memory")
def test_freed_memory_is_kept() -> None:
    def cleared(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True, timeout=60
        )
        return int(done.stdout)

    if cleared("give") < 1000:
        pytest.skip("this C library keeps what is freed anyway")
    assert cleared("keep") < 100
