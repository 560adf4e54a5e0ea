"""What is installed on this computer, what of it works, and what to do about the rest.

``rfapp doctor`` prints it, and the window puts it into problem reports. Every part stands alone: one that fails
becomes a line of the result. Nothing heavy is loaded unless the question can't be answered without it.
"""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import rfapp
from rfapp import places
from rfapp.errors import RfappError
from rfapp.settings import DetectorSettings

log = logging.getLogger(__name__)

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result.

    ``level``: a "note" is worth knowing, a "problem" keeps something from working. ``advice`` says what to do.
    """

    section: str
    name: str
    value: str
    level: Level = "ok"
    advice: str = ""


#: Name → the distributions that can bring it; the first is the one that rfapp is made for.
PACKAGES = {
    "numpy": ("numpy",),
    "OpenCV": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "PyAV": ("av",),
    "PySide6": ("PySide6-Essentials",),
    "OpenVINO": ("openvino",),
    "torch": ("torch",),
    "safetensors": ("safetensors",),
    "cv2-enumerate-cameras": ("cv2-enumerate-cameras",),
    "platformdirs": ("platformdirs",),
    "rich": ("rich",),
    "pyvirtualcam": ("pyvirtualcam",),
}

#: What not everyone needs, and who does.
OPTIONAL = {
    "torch": "Training and graphics cards need it.",
    "pyvirtualcam": "Sending to a virtual camera needs it.",
}

#: What makes networks fast, as the kernel calls it.
CPU_FEATURES = (
    "avx",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
)

#: How far the self-test may be off: pixels of the built-in picture, and score.
TOLERANCE_PX, TOLERANCE_SCORE = 1.0, 0.02


def examine(*, selftest: bool = False) -> Iterator[Finding]:
    """Everything, part by part. *selftest*: detect on the built-in picture with every engine, which takes seconds."""
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Versions", versions),
        ("Computer", computer),
        ("Engines", installed_engines),
        ("Cameras", cameras),
        ("Folders", folders),
        ("Weights", models),
    ]
    if selftest:
        parts.append(("Self-test", detections))
    for section, part in parts:
        try:
            yield from part()
        except RfappError as error:
            yield Finding(section, "error", error.message, "problem", error.hint)
        except Exception as error:  # a broken library may raise anything, and the rest must still be told
            log.debug("%s", section, exc_info=True)
            yield Finding(section, "error", f"{type(error).__name__}: {error}", "problem")


# ---------------------------------------------------------------------------------------------- the parts


def versions() -> Iterator[Finding]:
    """Python, rfapp, and the libraries that it stands on, without loading them."""
    from rfapp import engines

    yield Finding("Versions", "rfapp", rfapp.__version__)
    yield Finding("Versions", "Python", f"{platform.python_version()} ({sys.executable})")
    for name, distributions in PACKAGES.items():
        found = {item: version for item in distributions if (version := _version(item)) is not None}
        value = ", ".join(
            version if item == distributions[0] else f"{item} {version}" for item, version in found.items()
        )
        if not found:
            need = OPTIONAL.get(name, "")
            advice = f"{need} {engines.how_to_install(distributions[0]).format(engine=distributions[0])}".strip()
            yield Finding("Versions", name, "not installed", "note" if need else "problem", advice)
        elif len(found) > 1:
            # They all write into one folder: whichever came last has overwritten parts of the other.
            extra = " ".join(item for item in found if item != distributions[0])
            first = distributions[0]
            advice = f"Run “pip uninstall {extra}”, then “pip install --force-reinstall --no-deps {first}”."
            yield Finding("Versions", name, f"{value}: installed twice over", "problem", advice)
        else:
            yield Finding("Versions", name, value)


def computer() -> Iterator[Finding]:
    """System, processor, graphics card, screen."""
    yield Finding("Computer", "system", platform.platform())
    yield Finding("Computer", "processor", f"{_cpu_name()}, {_usable_cores()} of {os.cpu_count()} cores can be used")
    features = _cpu_features()
    if features is not None:
        yield Finding("Computer", "processor features", ", ".join(features) or "none of those that rfapp can use")
    yield _graphics()
    if sys.platform.startswith("linux"):
        names = ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "DISPLAY")
        screen = ", ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))
        yield (
            Finding("Computer", "screen", screen)
            if screen
            else Finding("Computer", "screen", "none", "note", "The window needs a desktop; “rfapp detect” does not.")
        )


def installed_engines() -> Iterator[Finding]:
    """What can run a network."""
    from rfapp import engines

    names = engines.available()
    for name in names:
        yield Finding("Engines", name, "installed, used unless told otherwise" if name == names[0] else "installed")
    if not names:
        yield Finding(
            "Engines", "none", "nothing can run a network", "problem", "Install OpenVINO: “pip install openvino”."
        )


def cameras() -> Iterator[Finding]:
    """The cameras, and whether this user may open them."""
    from rfapp.sources import list_cameras

    found = list_cameras()
    for camera in found:
        # Elsewhere than on Linux a path is no file, and permission is asked for when the camera is opened.
        blocked = camera.path.startswith("/dev/") and not os.access(camera.path, os.R_OK | os.W_OK)
        if blocked:
            advice = "Add yourself to the group “video” (sudo usermod -aG video $USER) and log in again."
            yield Finding("Cameras", camera.name, f"{camera.path} may not be opened", "problem", advice)
        else:
            yield Finding("Cameras", camera.name, camera.path or f"number {camera.number}")
    if not found:
        yield Finding("Cameras", "none", "no camera found", "note", "“rfapp sample” plays the built-in sample.")


def folders() -> Iterator[Finding]:
    """Where settings, imported weights, caches and logs are kept."""
    kinds = {
        "settings": places.config_dir(),
        "data": places.data_dir(),
        "cache": places.cache_dir(),
        "log": places.log_dir(),
    }
    for name, path in kinds.items():
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK):
            yield Finding("Folders", name, str(path))
        else:
            advice = f"Make {nearest} a folder that you may write to."
            yield Finding("Folders", name, f"{path} can't be written to", "problem", advice)


def models() -> Iterator[Finding]:
    """The models that go by a name, each checked against its sha256."""
    from rfapp import weights

    known = weights.known()
    for name, model in known.items():
        try:
            weights.verify(model)
        except RfappError as error:
            yield Finding("Weights", name, error.message, "problem", error.hint)
        else:
            yield Finding("Weights", name, f"{model.path} is whole")
    default = DetectorSettings().model
    if default not in known:
        yield Finding("Weights", default, "the default model is not there", "problem", "Install rfapp again.")


def detections() -> Iterator[Finding]:
    """What every engine finds in the built-in picture, against the answer in the model's manifest."""
    from rfapp import engines, weights
    from rfapp.detector import FaceDetector
    from rfapp.looking import built_in_picture

    model = weights.find(DetectorSettings().model)
    picture = built_in_picture()
    for name in engines.available():
        try:
            with FaceDetector(model, engine=name) as detector:
                size = model.answer.size if model.answer else weights.TRIAL_SIZE
                detector(picture, size=size)  # the first picture pays for what is made once
                began = time.perf_counter()
                faces = detector(picture, size=size)
                milliseconds = (time.perf_counter() - began) * 1000
                threads = (
                    f"{detector.threads} thread{'' if detector.threads == 1 else 's'}, " if detector.threads else ""
                )
                used = f"{detector.device_title}, {detector.precision}, {threads}{milliseconds:.0f} ms a picture"
                notes = detector.notes
                why = _threads(detector)
                if model.answer is not None and len(faces) == 1:
                    faces = _said(model, model.answer, detector) or faces
        except RfappError as error:
            yield Finding("Self-test", name, error.message, "problem", error.hint)
            continue
        wrong = deviation(faces, model.answer)
        if wrong:
            advice = "Install rfapp and this engine again; if that does not help, report it."
            yield Finding("Self-test", name, f"{used}: wrong, {wrong}", "problem", advice)
        else:
            yield Finding("Self-test", name, f"{used}: right", "note" if notes else "ok", " ".join(notes))
        if why:
            yield Finding("Self-test", f"{name} threads", why)
    if not engines.available():
        yield Finding("Self-test", "none", "no engine to test", "problem", "Install OpenVINO: “pip install openvino”.")


def _threads(detector: rfapp.FaceDetector) -> str:
    """How long a picture was measured to take with each number of threads, and which of them are used, or ""."""
    from rfapp.engines import machine
    from rfapp.runtime.loader import live_threads

    times = machine.measured_times(detector.engine, detector.weights, detector.precision)
    if detector.device != "cpu" or len(times) < 2:
        return ""
    each = ", ".join(f"{seconds * 1000:.1f} ms with {count}" for count, seconds in sorted(times.items()))
    live = live_threads(detector)
    used = f"{detector.threads} used" + ("" if live == detector.threads else f", {live} for moving pictures")
    return f"640×480 took {each}; {used}"


def _said(
    model: rfapp.weights.Model, answer: rfapp.weights.Answer, detector: rfapp.FaceDetector
) -> rfapp.Detections | None:
    """What the engine of *detector* says of the face that *answer* tells of, whichever neighbour NMS leaves."""
    from rfapp import engines
    from rfapp.proving import on_trial

    engine = engines.create(model, detector.engine, detector.device, detector.precision, detector.threads)
    try:
        return on_trial(engine, model, answer)
    finally:
        engine.close()


def deviation(faces: rfapp.Detections, answer: rfapp.weights.Answer | None) -> str:
    """What is wrong with *faces*, found in the built-in picture, when *answer* is right; "" when nothing is."""
    if answer is None:
        return "the model's manifest holds no answer to compare with"
    if len(faces) != 1:
        return f"{len(faces)} faces in a picture of one"
    score = float(abs(faces.scores[0] - answer.score))
    if not score <= TOLERANCE_SCORE:
        return f"the score is off by {score:.3f}"
    box = float(abs(faces.boxes[0] - answer.box).max())
    if not box <= TOLERANCE_PX:
        return f"the box is off by {box:.1f} pixels"
    if answer.landmarks is not None:
        if faces.landmarks is None:
            return "the landmarks are missing"
        points = float(abs(faces.landmarks[0] - answer.landmarks).max())
        if not points <= TOLERANCE_PX:
            return f"the landmarks are off by {points:.1f} pixels"
    return ""


# ---------------------------------------------------------------------------------------------- the computer


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _graphics() -> Finding:
    """The graphics card that a network can run on, or why there is none."""
    from rfapp import engines

    if sys.platform == "darwin":
        if platform.machine() == "arm64":
            return Finding("Computer", "graphics", "Apple (MPS)")
        return Finding("Computer", "graphics", "none that networks can run on", "note")
    if not engines.cuda_driver_present():
        return Finding("Computer", "graphics", "no NVIDIA driver; networks run on the processor")
    if "torch" not in engines.available():
        return Finding("Computer", "graphics", "NVIDIA driver, but torch is not installed", "note")
    engines.import_torch()
    from rfapp.engines.torch_engine import cuda_problem

    problem = cuda_problem()
    if problem:
        advice = "Install a torch for CUDA, as pytorch.org tells, or a newer driver."
        return Finding("Computer", "graphics", f"NVIDIA, not used: {problem}", "note", advice)
    return Finding("Computer", "graphics", "NVIDIA (CUDA)")


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(*keys: str) -> str | None:
    """The first value of one of *keys* in Linux's description of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() in keys:
            return value.strip()
    return None


def _cpu_name() -> str:
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip() or platform.processor()
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpu_features() -> list[str] | None:
    """Those of CPU_FEATURES that the processor has, or None where the system does not tell."""
    flags = _cpuinfo("flags", "Features")
    return None if flags is None else [feature for feature in CPU_FEATURES if feature in flags.split()]
