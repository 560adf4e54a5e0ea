"""Writes a model for other programs, and lets nothing go that does not say what our own engine says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from rfapp import engines
from rfapp.errors import EngineFailed, OutputError, OutputExists
from rfapp.frames import ByteImage, FloatArray
from rfapp.postprocess import decode_boxes, decode_landmarks, priors_for
from rfapp.text import mark
from rfapp.weights.exporting import export_onnx
from rfapp.weights.manifest import Model

#: How far an exported file may be off: pixels (or the like part of a delta), and score.
_TOLERANCE_PX, _TOLERANCE_DELTA, _TOLERANCE_SCORE = 0.1, 1e-3, 1e-3
#: The score of what a network's own filter dropped is below this, and of so many priors two runs may differ there.
_DROPPED, _TORN = 1e-30, 1e-4


def export(
    model: Model,
    kind: Literal["onnx", "openvino"],
    path: Path,
    size: tuple[int, int] | None,
    pictures: Sequence[ByteImage],
    *,
    decode: bool = False,
    force: bool = False,
) -> float:
    """Write *model* to *path* as :func:`rfapp.weights.exporting.export_onnx` describes it.

    *kind* "openvino" writes OpenVINO's own form, an .xml file and a .bin file beside it. *size* is (height, width)
    or None for any. The file is run over *pictures* (uint8 BGR of that size, sides multiples of 32) and compared with
    our own float32 engine before it gets its name; the largest difference of a score is returned. Raises OutputError,
    WeightsError, EngineMissing, or EngineFailed when the file says something else.
    """
    engines.import_openvino()
    import openvino as ov

    names = [path] if kind == "onnx" else [path, path.with_suffix(".bin")]
    for name in names:
        if name.exists() and not force:
            raise OutputExists(mark("{path} is there already."), mark("Give --force to replace it."), path=name)
    content = export_onnx(model, size, decode=decode)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rfapp-export-", dir=path.parent) as folder:
            made = [Path(folder) / name.name for name in names]
            if kind == "onnx":
                made[0].write_bytes(content)
            else:
                network = ov.Core().read_model(content, ov.Tensor(ov.Type.u8, ov.Shape([0])))
                ov.save_model(network, made[0], compress_to_fp16=False)
            worst = _compared(model, made[0], pictures, decode=decode)
            for ready, name in zip(made, names, strict=True):
                os.replace(ready, name)
    except OSError as error:
        raise OutputError(
            mark("{path} can't be written: {reason}."), path=path, reason=error.strerror or error
        ) from error
    return worst


def _compared(model: Model, file: Path, pictures: Sequence[ByteImage], *, decode: bool) -> float:
    import openvino as ov

    compiled = ov.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    engine = engines.create(model, "openvino", "cpu", "float32", threads=1)
    config, worst = model.config, 0.0
    for picture in pictures:
        planes = picture[..., ::-1] if config.channel_order == "RGB" else picture
        tensor = np.ascontiguousarray(planes.transpose(2, 0, 1)[None], dtype=np.float32)
        told = {output.get_any_name(): np.array(value) for output, value in compiled(tensor).items()}
        ours = engine.candidates([picture], 0.0)[0]
        order = np.argsort(ours.priors)
        boxes = ours.boxes[order]
        landmarks = None if ours.landmarks is None else ours.landmarks[order]
        if decode:
            boxes, landmarks = _in_pixels(boxes, landmarks, picture, model)
        limit = _TOLERANCE_PX if decode else _TOLERANCE_DELTA
        scores, known = told["scores"][0], ours.scores[order]
        differences = [
            (_off(scores, _on_one_side(scores, known)), _TOLERANCE_SCORE),
            (_off(told["boxes"][0], boxes), limit),
        ]
        if landmarks is not None:
            differences.append((_off(told["landmarks"][0], landmarks), limit))
        if any(not off <= most for off, most in differences):  # NaN is wrong, too
            raise EngineFailed(
                mark("The exported file gives other results than the model: it is off by {off:.3g}."),
                mark("Report it, with the name of the model."),
                off=max(off for off, _ in differences),
            )
        worst = max(worst, differences[0][0])
    engine.close()
    return worst


def _off(told: FloatArray, ours: FloatArray) -> float:
    return float(np.abs(told - ours).max()) if told.shape == ours.shape else float("inf")


def _on_one_side(told: FloatArray, ours: FloatArray) -> FloatArray:
    """*ours*, but for the few priors that stand on the very threshold of AInnoFace's filter, which a last digit lets
    through here and drops there."""
    if told.shape != ours.shape:
        return ours
    torn = (told < _DROPPED) != (ours < _DROPPED)
    if torn.mean() > _TORN:
        return ours
    return np.where(torn, told, ours)


def _in_pixels(
    boxes: FloatArray, landmarks: FloatArray | None, picture: ByteImage, model: Model
) -> tuple[FloatArray, FloatArray | None]:
    height, width = picture.shape[:2]
    priors, scale = priors_for(height, width, model.config), np.array([width, height], np.float32)
    corners: FloatArray = decode_boxes(boxes, priors, model.config.variance) * np.tile(scale, 2)
    if model.config.inclusive:
        corners += np.array([0.5, 0.5, -0.5, -0.5], np.float32)
    if landmarks is None:
        return corners, None
    points = decode_landmarks(landmarks, priors, model.config.variance) * scale
    return corners, points.reshape(-1, 10)
