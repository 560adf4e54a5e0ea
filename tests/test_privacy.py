"""Nothing leaves the computer: the whole program runs where whoever wants to reach a network is ended on the spot.

Python's own connections are watched by an audit hook. What libraries written in other languages do (FFmpeg, OpenVINO,
Qt, torch) no hook sees; on Linux the kernel itself ends a process of ours, and its children, that asks for an internet
socket.
"""

import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from rfapp.places import resources

SEEN = 97
CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # (audit architecture, number of socket(2))
KERNEL = sys.platform == "linux" and platform.machine() in CALLS

CLOSED = f"""
import ctypes, os, socket, struct, sys

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        refuse(event)
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"):
        if arguments[0].family in (socket.AF_INET, socket.AF_INET6):
            refuse(event)

def refuse(event):
    os.write(2, f"the program wanted to reach the network: {{event}}".encode())
    os._exit({SEEN})  # nobody can catch this

def close_the_kernel(architecture, call):
    load, equal, give = 0x20, 0x15, 0x06  # classic BPF: LD+W+ABS, JMP+JEQ+K, RET+K; seccomp(2) tells the offsets
    allow, end = 0x7FFF0000, 0x80000000
    program = [
        (load, 0, 0, 4), (equal, 0, 6, architecture),
        (load, 0, 0, 0), (equal, 0, 4, call),
        (load, 0, 0, 16), (equal, 1, 0, socket.AF_INET), (equal, 0, 1, socket.AF_INET6),
        (give, 0, 0, end), (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((38, 1, 0, 0, 0), (22, 2, head, 0, 0)):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "this system can't forbid calls")

sys.addaudithook(watch)
if {KERNEL}:
    close_the_kernel(*{CALLS.get(platform.machine())})
"""
RFAPP = CLOSED + "from rfapp.cli import main\nsys.exit(main(sys.argv[1:]))"


def closed(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "want",
    [
        "socket.getaddrinfo('example.org', 80)",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=1)",
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept BaseException:\n    pass",
    ],
)
def test_whoever_wants_to_reach_a_network_is_ended(want):
    assert closed(CLOSED + want).returncode in (SEEN, -signal.SIGSYS if KERNEL else SEEN)


@pytest.mark.skipif(not KERNEL, reason="only the Linux kernel can watch what is not Python, and on these processors")
def test_libraries_that_are_not_python_are_watched_too():
    ask = "import av\ntry:\n    av.open('http://127.0.0.1:9/', timeout=1)\nexcept Exception as error:\n    print(error)"
    assert closed(CLOSED + ask).returncode == -signal.SIGSYS
    child = "import subprocess as s; sys.exit(s.call([sys.executable, '-c', 'import socket; socket.socket()']))"
    assert closed(CLOSED + child).returncode == 256 - signal.SIGSYS


def test_detecting_reaches_nothing(tmp_path):
    picture = str(resources() / "astronaut.png")
    done = closed(RFAPP, "detect", picture, "--save-media", str(tmp_path), "--hide", "blur")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["faces"]) == 1


@pytest.mark.gui
def test_the_window_reaches_nothing(tmp_path):
    done = closed(RFAPP, "gui", "sample", "--track", "--screenshot", str(tmp_path / "s.png"), "--after", "8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["faces_last_frame"] == 5


@pytest.mark.parametrize("words", [("doctor", "--selftest"), ("weights", "verify"), ("weights", "download")])
def test_telling_and_testing_reach_nothing(words):
    done = closed(RFAPP, *words)
    assert done.returncode == 0, done.stderr + done.stdout
