"""What can run a network here, and the making of engines. Importing this package imports neither torch nor another
engine's library: each is loaded when an engine is created."""

from __future__ import annotations

import ctypes.util
import platform
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rfapp.engines.base import Candidates, Engine
from rfapp.errors import EngineMissing
from rfapp.text import mark
from rfapp.weights.manifest import Model

__all__ = ["Candidates", "Engine", "available", "create", "cuda_driver_present", "preload", "resolve"]

#: Engine → the library that it needs, fastest first.
_LIBRARIES = {"torch": "torch"}


def available() -> tuple[str, ...]:
    """The engines whose library is installed, the one that "auto" means first."""
    return tuple(name for name, library in _LIBRARIES.items() if _installed(library))


def _installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):  # something keeps it from being imported
        return False


def resolve(engine: str = "auto") -> str:
    """The engine that *engine* means on this computer. Raises EngineMissing."""
    installed = available()
    if engine == "auto" and installed:
        return installed[0]
    if engine in installed:
        return engine
    raise EngineMissing(
        mark("The engine {engine} is not installed."),
        mark("Install it with “pip install torch”."),
        engine="torch" if engine == "auto" else engine,
    )


def preload(engine: str = "auto") -> None:
    """Load what must be loaded before Qt is.

    On Windows torch's libraries fail to load once Qt's are in the process (pytorch#166628); elsewhere nothing is
    done, and torch is loaded when a detector needs it. A missing engine is not an error here: creating it says so.
    """
    if sys.platform == "win32" and engine in ("auto", "torch") and (engine == "torch" or available()[:1] == ("torch",)):
        import_torch()


def import_torch() -> None:
    """Load torch. Raises EngineMissing with the loader's reason when it is not there or can't be loaded."""
    try:
        import rfapp.engines.torch_engine  # noqa: F401
    except (ImportError, OSError) as error:
        raise EngineMissing(
            mark("torch can't be loaded: {reason}."), mark("Install it again with “pip install torch”."), reason=error
        ) from error


def create(
    model: Model, engine: str = "auto", device: str = "auto", precision: str = "auto", threads: int = 0
) -> Engine:
    """An engine that runs *model*. *threads*: for a CPU; 0 leaves one core free.

    Raises WeightsError, EngineMissing, DeviceMissing or EngineFailed.
    """
    resolve(engine)
    import_torch()
    from rfapp.engines.torch_engine import TorchEngine

    return TorchEngine(model, device, precision, threads)


@lru_cache(maxsize=1)
def cuda_driver_present() -> bool:
    """Whether an NVIDIA driver is installed; looked for without torch, which takes a second to load."""
    if platform.system() == "Darwin":
        return False
    if platform.system() == "Windows":
        return ctypes.util.find_library("nvcuda") is not None
    return Path("/proc/driver/nvidia/version").exists() or ctypes.util.find_library("cuda") is not None
