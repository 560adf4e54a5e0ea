#!/usr/bin/env python3
"""rfapp from a fresh clone, with nothing but Python 3.11 or newer.

    python3 dev.py run [ARGS…]     install what is missing into .venv, then start rfapp with ARGS
    python3 dev.py test [ARGS…]    install what is missing, then run every check that CI runs (ARGS go to pytest)
    python3 dev.py package [live|full]…    build the installers of this system into dist/

What was done is remembered in .venv, so that the second call starts at once; a step that failed is named, and the
same command goes on from there. Everything said here goes to standard error: standard output belongs to rfapp.

Only the standard library is used, and only syntax that Python 3.6 can read, because an old Python must get as far
as the sentence that says which one is needed.
"""

import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

OLDEST = (3, 11)


def newer_python() -> str:
    """The command of a Python on this computer that is new enough, or an empty text."""
    for minor in range(OLDEST[1] + 6, OLDEST[1] - 1, -1):
        name = f"python3.{minor}"
        if shutil.which(name):
            call = subprocess.Popen([name, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            call.communicate()
            if call.returncode == 0:  # version managers keep stand-ins that only say what could be installed
                return name
    return ""


if sys.version_info < OLDEST:  # before anything that an old Python can't evaluate
    sys.exit(
        f"rfapp needs Python 3.11 or newer; this is Python {platform.python_version()}. "
        + (f"Run: {newer_python()} dev.py {' '.join(sys.argv[1:])}" if newer_python() else "Get it from python.org.")
    )

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STATE = os.path.join(VENV, "dev.json")
WINDOWS = os.name == "nt"
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if WINDOWS else os.path.join(VENV, "bin", "python")

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_INDEX = "https://download.pytorch.org/whl/cu130"  # the CUDA version that PyPI's Linux wheels of torch carry

#: Commands of rfapp that open no window, and so need no library of the desktop.
WINDOWLESS = ("detect", "evaluate", "data", "train", "export", "weights", "bench", "doctor")

#: What Qt and OpenCV load from the system, as (library, Debian package). A package that brought in another one of
#: the list is named for it.
LIBRARIES = {
    "start": (
        ("libglib-2.0.so.0", "libglib2.0-0"),
        ("libgthread-2.0.so.0", "libglib2.0-0"),
        ("libGL.so.1", "libgl1"),
        ("libEGL.so.1", "libegl1"),
        ("libX11.so.6", "libx11-6"),
        ("libxkbcommon.so.0", "libxkbcommon0"),
        ("libfontconfig.so.1", "libfontconfig1"),
        ("libfreetype.so.6", "libfreetype6"),
        ("libdbus-1.so.3", "libdbus-1-3"),
    ),
    "x11": (
        ("libxcb-cursor.so.0", "libxcb-cursor0"),
        ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
        ("libxcb-icccm.so.4", "libxcb-icccm4"),
        ("libxcb-keysyms.so.1", "libxcb-keysyms1"),
        ("libxcb-shape.so.0", "libxcb-shape0"),
        ("libxcb-util.so.1", "libxcb-util1"),
        ("libxcb-image.so.0", "libxcb-image0"),
        ("libxcb-render-util.so.0", "libxcb-render-util0"),
        ("libxcb-randr.so.0", "libxcb-randr0"),
        ("libxcb-sync.so.1", "libxcb-sync1"),
        ("libxcb-xfixes.so.0", "libxcb-xfixes0"),
        ("libxcb-xkb.so.1", "libxcb-xkb1"),
        ("libX11-xcb.so.1", "libx11-xcb1"),
    ),
    "wayland": (
        ("libwayland-cursor.so.0", "libwayland-cursor0"),
        ("libwayland-client.so.0", "libwayland-client0"),
    ),
}

#: Where these packages have another name: since Debian 13 and Ubuntu 24.04 (the 64-bit time_t change).
RENAMED = {"libglib2.0-0": "libglib2.0-0t64"}


class Stop(Exception):
    """It can't go on; the text is one sentence that says why and what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------- running other programs


def tail(text: str, lines: int = 15) -> str:
    """The last *lines* of what a program said, without what tells nothing about why it failed."""
    noise = ("WARNING: Location '", "WARNING: Running pip as", "[notice]")
    kept: list[str] = []
    for line in text.splitlines():
        if "WARNING: Retrying" in line and kept and "WARNING: Retrying" in kept[-1]:
            kept.pop()  # the last try tells as much as all of them
        if line.strip() and not line.lstrip().startswith(noise):
            kept.append(line.rstrip())
    return "\n".join("    " + line for line in kept[-lines:])


def quietly(command: list[str]) -> tuple[int, str]:
    """Run *command* without showing its output; returns (exit status, output). Ctrl-C ends it, too."""
    environment = dict(
        os.environ,
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        PIP_ROOT_USER_ACTION="ignore",
        PIP_USER="0",  # a pip configured for --user refuses to install into a .venv
        DEBIAN_FRONTEND="noninteractive",
        PYTHONUTF8="1",
    )
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            return 127, str(error)
        began = time.monotonic()
        try:
            while True:
                try:
                    child.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    if sys.stderr.isatty():
                        passed = time.monotonic() - began
                        print("\b" * 8 + f"{passed:6.0f} s", end="", file=sys.stderr, flush=True)
        except BaseException:
            child.kill()
            child.wait()
            raise
        output.seek(0)
        return child.returncode, output.read().decode("utf-8", "replace")


def step(title: str, *attempts: list[list[str]], hint: str = "") -> None:
    """Run the commands of the first of *attempts* that succeeds; Stop, with the end of the output, when none does."""
    began = time.monotonic()
    room, back = (" " * 8, "\b" * 8) if sys.stderr.isatty() else ("", "")
    print(f"dev.py: {title} …{room}", end="", file=sys.stderr, flush=True)
    said = ""
    for commands in attempts:
        for command in commands:
            status, said = quietly(command)
            if status:
                break
        else:
            say(f"{back}{time.monotonic() - began:6.1f} s")
            return
    say(" failed")
    raise Stop(
        f"The step “{title}” failed:\n{tail(said)}\n"
        + (hint + "\n" if hint else "")
        + "Run the same command again when that is mended: it goes on from this step."
    )


def hand_over(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run *command* in our place and return its exit status. It gets every Ctrl-C and every polite end itself."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # an end that was asked for while the process was still being made

    def pass_on(number: int, _frame: object) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    before = {}
    if not WINDOWS:
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, pass_on)
    try:
        # A process of its own, not os.exec: rfapp measures its start from the beginning of its process.
        child = subprocess.Popen(command, env=environment)
        for number in early:
            child.send_signal(number)
        # Only now: a child inherits what its parent ignores. The terminal tells both of us.
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status


# ------------------------------------------------------------------------------------------- the system's libraries


def wanted_libraries(window: bool) -> list[str]:
    """The groups of LIBRARIES that Qt needs here; *window*: a window is going to be opened."""
    groups = ["start"]
    chosen = os.environ.get("QT_QPA_PLATFORM", "")
    if window:
        if "xcb" in chosen or (not chosen and os.environ.get("DISPLAY")):
            groups.append("x11")
        if "wayland" in chosen or (not chosen and os.environ.get("WAYLAND_DISPLAY")):
            groups.append("wayland")
    return groups


def missing_libraries(groups: list[str]) -> list[tuple[str, str]]:
    """The (library, Debian package) of *groups* that this system can't load."""
    missing = []
    for group in groups:
        for library, package in LIBRARIES[group]:
            try:
                ctypes.CDLL(library)
            except OSError:
                missing.append((library, package))
    return missing


def debian_name(package: str) -> str:
    """What *package* is called in this release of Debian or Ubuntu."""
    new = RENAMED.get(package)
    if new is None:
        return package
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            facts = dict(line.rstrip().replace('"', "").split("=", 1) for line in file if "=" in line)
    except OSError:
        return package
    # Derivatives name the Ubuntu release they stand on; only its year counts.
    old = {"bookworm", "bullseye", "buster", "jammy", "focal", "lunar", "mantic", "kinetic", "virginia", "faye"}
    names = {facts.get("UBUNTU_CODENAME"), facts.get("DEBIAN_CODENAME"), facts.get("VERSION_CODENAME")}
    return package if names & old else new


def prepare_system(window: bool) -> None:
    """See that the system has what pip can't bring: the libraries that Qt loads, and a Python that can make .venv."""
    if not sys.platform.startswith("linux"):
        return
    missing = missing_libraries(wanted_libraries(window))
    packages = [debian_name(package) for _library, package in missing]
    lacks_venv = not usable_environment() and not can_make_environment()
    if lacks_venv and sys.executable.startswith("/usr/bin/"):
        packages.insert(0, f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    packages = list(dict.fromkeys(packages))
    if packages and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        if os.geteuid() != 0:
            wants = ["libraries that Qt needs"] * bool(missing) + ["Python's venv module"] * lacks_venv
            raise Stop(
                f"This system lacks {' and '.join(wants)}; install them with this command, "
                f"then run dev.py again:\n    sudo apt-get install {' '.join(packages)}"
            )
        step(f"install system packages {' '.join(packages)}", [["apt-get", "update"], install])
        importlib.invalidate_caches()
    elif missing:
        lacking = ", ".join(library for library, _package in missing)
        say(
            f"dev.py: Qt needs libraries that this system seems to lack ({lacking}); "
            "if the window does not open, install the packages that hold them."
        )


# ------------------------------------------------------------------------------------------- .venv


def can_make_environment() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def usable_environment() -> bool:
    """Is there a .venv of this very Python that works?"""
    try:
        with open(os.path.join(VENV, "pyvenv.cfg"), encoding="utf-8") as file:
            facts = dict(line.strip().split(" = ", 1) for line in file if " = " in line)
    except OSError:
        return False
    same = facts.get("version", "").split(".")[:2] == [str(number) for number in sys.version_info[:2]]
    return same and os.path.exists(PYTHON)


def make_environment() -> None:
    if not can_make_environment():
        raise Stop(
            f"This Python ({sys.executable}) can't make virtual environments: its modules venv or ensurepip are "
            "missing. Install them with your system's package manager (often called python3-venv), or use a Python "
            "from python.org."
        )
    step("make .venv", [[sys.executable, "-m", "venv", "--clear", VENV]])


def pip(*arguments: str) -> list[str]:
    return [PYTHON, "-m", "pip", "install", "--quiet", *arguments]


def has_nvidia() -> bool:
    """Is the driver of an NVIDIA card installed?"""
    try:
        ctypes.CDLL("nvcuda.dll" if WINDOWS else "libcuda.so.1")
    except OSError:
        return False
    return True


def constraints() -> tuple[str, str]:
    path = os.path.join(ROOT, "constraints.txt")
    with open(path, encoding="utf-8") as file:
        return path, file.read()


def install_torch() -> None:
    """PyTorch in the form that this computer can use: without an NVIDIA driver nobody gets gigabytes of CUDA."""
    path, text = constraints()
    wish = next(line for line in text.splitlines() if line.startswith("torch=="))
    # What torch needs besides comes with the next step: PyTorch's own index lacks the pinned versions.
    plain = pip("--no-deps", wish)
    if sys.platform == "darwin":
        if platform.machine() == "x86_64":
            raise Stop("PyTorch has no version for Macs with Intel processors any more, so that rfapp can't run here.")
        step("install PyTorch", [plain])
    elif has_nvidia():
        if WINDOWS:
            step("install PyTorch with CUDA", [pip("--no-deps", "--index-url", CUDA_INDEX, wish)], [plain])
        else:
            step("install PyTorch with CUDA (some gigabytes)", [pip("--constraint", path, wish)])
    elif WINDOWS:
        step("install PyTorch for the processor", [plain])  # PyPI's wheels for Windows have no CUDA
    else:
        cpu = wish + "+cpu"
        step(
            "install PyTorch for the processor",
            [pip("--no-deps", cpu)],  # a mirror or folder in the user's own pip configuration
            [pip("--no-deps", "--index-url", CPU_INDEX, cpu)],
            hint=f"{cpu} comes from {CPU_INDEX}, or from any index or folder that your pip is configured to look in.",
        )


def install_rfapp(extras: str = "torch") -> None:
    """The package with *extras*. torch is one of them always: training needs it, and graphics cards do."""
    path, _text = constraints()
    step(
        "install the development tools" if "dev" in extras else "install rfapp and what it needs",
        [
            pip("--constraint", path, "hatchling"),
            pip("--constraint", path, "--no-build-isolation", "--editable", f"{ROOT}[{extras}]"),
        ],
    )


def check_libraries() -> None:
    step("see that Qt and OpenCV load", [[PYTHON, "-c", "import PySide6.QtWidgets, cv2"]])


def install(tools: bool) -> None:
    """Bring .venv up to date; *tools*: with what the checks need. Does nothing when nothing has changed."""
    try:
        with open(STATE, encoding="utf-8") as file:
            done = json.load(file)
    except (OSError, ValueError):
        done = {}
    if not usable_environment():
        done = {}
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        project = file.read()
    _path, pins = constraints()
    torch = [line for line in pins.splitlines() if line.startswith("torch==")]
    steps: list[tuple[str, Callable[[], None], list[str]]] = [
        ("venv", make_environment, [f"{sys.version_info[0]}.{sys.version_info[1]}"]),
        ("torch", install_torch, torch),
        ("rfapp", install_rfapp, [ROOT, project, pins]),
        ("load", check_libraries, []),
    ]
    if tools:
        steps.append(("tools", lambda: install_rfapp("torch,dev"), []))
    key = ""
    for name, work, inputs in steps:
        # Each key holds the ones before: what stood on something that changed is done again.
        key = hashlib.sha256("\0".join([key, name, *inputs]).encode()).hexdigest()
        if done.get(name) == key:
            continue
        work()
        done[name] = key
        with open(STATE, "w", encoding="utf-8") as file:
            json.dump(done, file, indent=1)


# ------------------------------------------------------------------------------------------- the commands


def run(arguments: list[str]) -> int:
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    window = word not in WINDOWLESS and not {"-h", "--help", "--version"}.intersection(arguments)
    prepare_system(window)
    install(tools=False)
    return hand_over([PYTHON, "-m", "rfapp", *arguments])


def checks(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """The (name, arguments of Python) of every check, in their order; the last one is a run of pytest."""
    pytest = ["-m", "pytest"]
    spread = ["-q", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
    tests = [
        ("tests without Qt", [*pytest, *spread, "-p", "no:pytest-qt", "-m", "not gui"]),
        ("tests with Qt", [*pytest, *spread, "-m", "gui"]),
    ]
    return [
        ("ruff check", ["-m", "ruff", "check", "."]),
        ("ruff format", ["-m", "ruff", "format", "--check", "."]),
        ("mypy", ["-m", "mypy"]),
        ("import rules", ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"]),
        ("documentation", ["-m", "mkdocs", "build", "--strict", "--quiet"]),
        *([("pytest", [*pytest, *arguments])] if arguments else tests),
    ]


def test(arguments: list[str]) -> int:
    prepare_system(window=False)
    install(tools=True)
    os.chdir(ROOT)
    ours = ("RFAPP_TEST_WITHOUT", "RFAPP_FAILED_CHECKS")
    environment = {variable: value for variable, value in os.environ.items() if variable not in ours}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    # Several tests run at a time: a thread that has nothing to do is to leave its core to them.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    failed: list[str] = []
    todo = checks(arguments)
    for number, (name, words) in enumerate(todo, 1):
        say(f"dev.py: {name}")
        extra = {"RFAPP_TEST_WITHOUT": "PySide6"} if name == "tests without Qt" else {}
        if name == "documentation":
            extra["NO_MKDOCS_2_WARNING"] = "1"  # advertising of the theme; the version is pinned
        if failed and number == len(todo):
            extra["RFAPP_FAILED_CHECKS"] = ", ".join(failed)  # tests/conftest.py names them above its summary
        status = hand_over([PYTHON, *words], dict(environment, **extra))
        if status == 130:
            return status
        if status:
            failed.append(name)
    return 1 if failed else 0


def package(arguments: list[str]) -> int:
    if not can_make_environment():
        make_environment()  # says why it can't
    return hand_over([sys.executable, os.path.join(ROOT, "packaging", "installers.py"), *arguments])


def main(words: list[str]) -> int:
    commands = {"run": run, "test": test, "package": package}
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    say(__doc__.strip())
    return 0 if words in (["-h"], ["--help"]) else 2


if __name__ == "__main__":
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(errors="replace")  # a Windows console may lack the characters “ ” …
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        say(f"dev.py: {stop}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("")
        sys.exit(130)
