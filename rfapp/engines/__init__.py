"""What can run a network here, and the making of engines. Importing this package imports neither torch nor another
engine's library: each is loaded when an engine is created."""

from __future__ import annotations

import ctypes.util
import platform
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rfapp.engines import machine
from rfapp.engines.base import Candidates, Engine
from rfapp.errors import EngineMissing, UsageError
from rfapp.text import mark
from rfapp.weights import Model, int8_form

__all__ = [
    "Candidates",
    "Engine",
    "available",
    "create",
    "cuda_driver_present",
    "import_openvino",
    "import_torch",
    "measure_threads",
    "preload",
    "resolve",
]

#: Engine → the library that it needs, the one that "auto" means on a CPU first.
_LIBRARIES = {"openvino": "openvino", "torch": "torch"}


def available() -> tuple[str, ...]:
    """The engines whose library is installed, the one that "auto" means on a CPU first."""
    return tuple(name for name, library in _LIBRARIES.items() if _installed(library))


def _installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):  # something keeps it from being imported
        return False


def resolve(engine: str = "auto", device: str = "auto") -> str:
    """The engine that *engine* means on this computer for *device*. Raises EngineMissing.

    Graphics cards are torch's; CPUs are OpenVINO's where it is installed.
    """
    installed = available()
    if engine == "auto" and installed:
        return "torch" if "torch" in installed and _on_graphics(device) else installed[0]
    if engine in installed:
        return engine
    missing = "openvino" if engine == "auto" else engine
    raise EngineMissing(
        mark("The engine {engine} is not installed."),
        how_to_install(missing),
        engine=missing,
    )


def how_to_install(library: str) -> str:
    """The template of what to do about a *library* that is missing; an installed program has no pip."""
    if not getattr(sys, "frozen", False):
        return mark("Install it with “pip install {engine}”.")
    if library == "torch":
        return mark("Install the full edition, “rfapp”, in place of “rfapp-live”.")
    if library == "pyvirtualcam":  # under the GPL 2 alone, which does not go with all else that is installed
        return mark("The installers may not carry it: run rfapp with Python, and install it there.")
    return mark("Install rfapp again.")


def _on_graphics(device: str) -> bool:
    if device == "auto":
        return cuda_driver_present() or platform.system() == "Darwin"
    return device != "cpu"


def preload(engine: str = "auto", device: str = "auto") -> None:
    """Load what must be loaded before Qt is.

    On Windows torch's libraries fail to load once Qt's are in the process (pytorch#166628); elsewhere nothing is
    done, and torch is loaded when a detector needs it. A missing engine is not an error here: creating it says so.
    """
    if sys.platform == "win32" and engine in ("auto", "torch"):
        try:
            chosen = resolve(engine, device)
        except EngineMissing:
            return
        if chosen == "torch":
            import_torch()


def import_torch() -> None:
    """Load torch. Raises EngineMissing when it is not there, or with the loader's reason when it can't be loaded."""
    _load(resolve("torch"))


def _load(engine: str) -> Callable[[Model, str, str, int], Engine]:
    try:
        if engine == "torch":
            from rfapp.engines.torch_engine import TorchEngine

            return TorchEngine
        import_openvino()
        from rfapp.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine
    except (ImportError, OSError) as error:
        raise EngineMissing(
            mark("{engine} can't be loaded: {reason}."),
            how_to_install(engine),
            engine=engine,
            reason=error,
        ) from error


def import_openvino() -> None:
    """Load OpenVINO without the tools that convert models of other libraries.

    Its package loads them along with ``openvino_telemetry``, which we want nowhere near; without them it also loads
    in a quarter of the time. Whoever needs ``openvino.convert_model`` in the same process imports openvino first, or
    takes it from ``openvino.tools.ovc``.
    """
    tools = "openvino.tools.ovc"
    if "openvino" in sys.modules or tools in sys.modules:
        return
    sys.modules[tools] = None  # type: ignore[assignment]  # what Python takes for “can't be imported”
    try:
        import openvino  # noqa: F401
    finally:
        del sys.modules[tools]


def create(
    model: Model, engine: str = "auto", device: str = "auto", precision: str = "auto", threads: int = 0
) -> Engine:
    """An engine that runs *model*. *threads*: for a CPU; 0 takes what was measured, or leaves one core free.

    int8 has to be asked for, by that precision or by the name of a model that is an int8 form: auto never takes it.
    Raises WeightsError, EngineMissing, DeviceMissing, EngineFailed, or UsageError for int8 elsewhere than on the CPU.
    """
    if precision == "int8" or model.int8_of:
        model, engine = int8_form(model), _int8_engine(engine, device)
    chosen = resolve(engine, device)
    notes: list[str] = []
    if chosen == "torch" and engine == "auto" and device == "auto" and "openvino" in available():
        # A card that torch can't use is no reason to run on the CPU with torch.
        import_torch()
        from rfapp.engines.torch_engine import choose_device

        found, problems = choose_device("auto")
        if found.type == "cpu":
            chosen, notes = "openvino", problems
    made = _load(chosen)(model, device, precision, threads)
    made.notes = (*notes, *made.notes)
    return made


def _int8_engine(engine: str, device: str) -> str:
    if engine not in ("auto", "openvino") or device not in ("auto", "cpu"):
        raise UsageError(
            mark("int8 runs with the engine openvino on the CPU, not with the engine {engine} on the device {device}."),
            mark("Choose engine and device auto, or another precision."),
            engine=engine,
            device=device,
        )
    return "openvino"


def measure_threads(model: Model, engine: str = "auto", precision: str = "auto", seconds: float = 0.4) -> None:
    """Measure how fast *engine* runs *model* on the CPU with 1, 2, 4 … threads, at 640×480, and remember it.

    From then on :func:`create` takes the best number where none is given. It holds in this process only when others
    kept the processor busy meanwhile, which makes few threads look good. Raises as :func:`create` does.
    """
    runners = [create(model, engine, "cpu", precision, count) for count in machine.thread_counts()]
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for runner in runners:
        runner.expect((480, 640))
    others = machine.Others()
    times = machine.measure({runner.threads: partial(runner.candidates, [picture], 0.9) for runner in runners}, seconds)
    machine.remember_times(runners[0].name, model, runners[0].precision, times, for_good=others.share() <= machine.BUSY)
    for runner in runners:
        runner.close()


@lru_cache(maxsize=1)
def cuda_driver_present() -> bool:
    """Whether an NVIDIA driver is installed; looked for without torch, which takes a second to load."""
    if platform.system() == "Darwin":
        return False
    if platform.system() == "Windows":
        return ctypes.util.find_library("nvcuda") is not None
    return Path("/proc/driver/nvidia/version").exists() or ctypes.util.find_library("cuda") is not None
