"""Other packages' detectors, measured in turns with ours by ``rfapp bench --against``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil

from rfapp.cli import peer_process
from rfapp.errors import UsageError
from rfapp.text import mark

if TYPE_CHECKING:
    from rfapp.detector import FaceDetector
    from rfapp.frames import ByteImage
    from rfapp.settings import DetectorSettings

NAMES = tuple(peer_process.PEERS)
#: Packages that bring no network, or would fetch it, and the file to name: nothing is fetched in a measurement.
NETWORKS = {
    "yunet": mark("face_detection_yunet_….onnx of OpenCV's models"),
    "uniface": mark("retinaface_mv1_0.25.onnx of its releases"),
    "facexlib": mark("detection_mobilenet0.25_Final.pth or detection_Resnet50_Final.pth of its releases"),
    "batch-face": mark("a checkpoint of RetinaFace with MobileNet ×0.25 (.pth)"),
}


class Peer:
    """The detector of *package*, in a process of its own that runs *python*. Raises UsageError where it can't run.

    The process is halted between its calls: threads of onnxruntime go on turning after a call, waiting for the next
    one, and would take a core from whoever else is measured.
    """

    def __init__(
        self, package: str, python: str, image: ByteImage, settings: DetectorSettings, model: Path | None
    ) -> None:
        import numpy as np

        self.package, self.python = package, python
        self._folder = tempfile.TemporaryDirectory(prefix="rfapp-bench-")
        self._process: subprocess.Popen[str] | None = None
        try:
            picture = Path(self._folder.name) / "picture.npy"
            np.save(picture, image)
            try:
                self._process = subprocess.Popen(
                    [python, peer_process.__file__, package],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                )
            except OSError as error:
                raise self._failure(error.strerror or type(error).__name__) from error
            self.version = str(
                self._ask(
                    picture=str(picture),
                    score=settings.score,
                    nms=settings.nms,
                    model=None if model is None else str(model),
                )["version"]
            )
        except BaseException:
            self.close()
            raise

    def __call__(self) -> tuple[float, int]:
        """One call there: the seconds it took, and how many faces it found."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        try:
            process.resume()
            answer = self._ask()
            process.suspend()
        except psutil.Error as error:
            raise self._failure(mark("its process ended")) from error
        return float(answer["seconds"]), int(answer["faces"])

    def _ask(self, **order: Any) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise self._failure(mark("its process ended")) from error
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, reason: str) -> UsageError:
        return UsageError(
            mark("{package} does not run with {python}: {reason}."),
            mark("Name the Python of an environment where it is installed, with --python."),
            package=self.package,
            python=self.python,
            reason=reason.rstrip("."),
        )

    def close(self) -> None:
        """End the process. Twice is allowed."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check(packages: Sequence[str], python: str | None, models: Mapping[str, Path | None]) -> str:
    """The Python that is to run *packages*; *models*: package → its network's file. Raises UsageError where something
    is missing to run them."""
    for package in packages:
        model = models.get(package)
        if package in NETWORKS and model is None:
            raise UsageError(
                mark("{package} needs the file of its network."),
                mark("Name one ({file}) with --{package}."),
                package=package,
                file=NETWORKS[package],
            )
        if model is not None and not model.is_file():
            raise UsageError(mark("There is no file {path}."), path=model)
    if packages and python is None and getattr(sys, "frozen", False):
        raise UsageError(mark("Another package needs a Python to run it."), mark("Name one with --python."))
    return python or sys.executable


def measure(detector: FaceDetector, peer: Peer, image: ByteImage, repeat: int) -> dict[str, Any]:
    """Whole calls of both, taking turns: milliseconds of each, and the ratio of ours to theirs in the median.

    Each has some calls of its own before the one that counts.
    """
    import numpy as np

    ours: list[float] = []
    theirs: list[float] = []
    faces = 0
    for _ in range(repeat):
        peer_process.settle(partial(detector, image))
        began = time.perf_counter()
        detector(image)
        seconds = time.perf_counter() - began
        other, faces = peer()
        ours.append(seconds)
        theirs.append(other)

    def milliseconds(values: list[float]) -> dict[str, float]:
        median, p95 = np.percentile(values, (50, 95)) * 1e3
        return {"median": round(float(median), 3), "p95": round(float(p95), 3)}

    return {
        "package": peer.package,
        "version": peer.version,
        "faces": faces,
        "ms": milliseconds(theirs),
        "ours_ms": milliseconds(ours),
        "ratio": round(float(np.median(ours) / np.median(theirs)), 3),
    }
