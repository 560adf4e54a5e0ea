"""Writes a model for other programs, and lets nothing go that does not say what our own engine says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from rfapp import engines
from rfapp.errors import EngineFailed, OutputError, OutputExists
from rfapp.frames import ByteImage, FloatArray
from rfapp.postprocess import decode_boxes, decode_landmarks, nms, priors_for
from rfapp.text import mark
from rfapp.weights.exporting import Form, export_onnx
from rfapp.weights.manifest import Model

#: How far an exported file may be off: pixels (or the like part of a delta), and score.
_TOLERANCE_PX, _TOLERANCE_DELTA, _TOLERANCE_SCORE = 0.1, 1e-3, 1e-3
#: The score of what a network's own filter dropped is below this, and of so many priors two runs may differ there.
_DROPPED, _TORN = 1e-30, 1e-4


def export(
    model: Model,
    kind: Literal["onnx", "openvino", "torchscript"],
    path: Path,
    form: Form,
    pictures: Sequence[ByteImage],
    *,
    force: bool = False,
) -> float:
    """Write *model* to *path* in the *form* that :class:`rfapp.weights.exporting.Form` describes.

    *kind* "openvino" writes OpenVINO's own form, an .xml file and a .bin file beside it; "torchscript" needs torch. The
    file is run over *pictures* (uint8 BGR of that size, sides multiples of 32) and compared with our own float32 engine
    before it gets its name; the largest difference of a score is returned. Raises OutputError, WeightsError,
    EngineMissing, or EngineFailed when the file says something else.
    """
    engines.import_openvino()
    names = [path, path.with_suffix(".bin")] if kind == "openvino" else [path]
    for name in names:
        if name.exists() and not force:
            raise OutputExists(mark("{path} is there already."), mark("Give --force to replace it."), path=name)
    if kind == "torchscript":
        engines.import_torch()
        from rfapp.weights.torchscript import export_torchscript

        content = export_torchscript(model, form)
    else:
        content = export_onnx(model, form)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rfapp-export-", dir=path.parent) as folder:
            made = [Path(folder) / name.name for name in names]
            _write(kind, content, made[0])
            worst = _compared(model, _runner(kind, made[0]), pictures, form)
            for ready, name in zip(made, names, strict=True):
                os.replace(ready, name)
    except OSError as error:
        raise OutputError(
            mark("{path} can't be written: {reason}."), path=path, reason=error.strerror or error
        ) from error
    return worst


def _write(kind: str, content: bytes, file: Path) -> None:
    if kind != "openvino":
        file.write_bytes(content)
        return
    import openvino as ov

    network = ov.Core().read_model(content, ov.Tensor(ov.Type.u8, ov.Shape([0])))
    ov.save_model(network, file, compress_to_fp16=False)


def _runner(kind: str, file: Path) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """Runs *file*: from pictures as it takes them to its outputs by name."""
    if kind == "torchscript":
        from rfapp.weights.torchscript import run_torchscript

        return partial(run_torchscript, file)
    import openvino as ov

    compiled = ov.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pictures: {output.get_any_name(): np.array(value) for output, value in compiled(pictures).items()}


def _compared(
    model: Model, run: Callable[[FloatArray], dict[str, FloatArray]], pictures: Sequence[ByteImage], form: Form
) -> float:
    engine = engines.create(model, "openvino", "cpu", "float32", threads=1)
    worst = 0.0
    for picture in pictures:
        planes = picture[..., ::-1] if model.config.channel_order == "RGB" else picture
        told = run(np.ascontiguousarray(planes.transpose(2, 0, 1)[None], dtype=np.float32))
        if form.overlap is None:
            told = {name: value[0] for name, value in told.items()}
        ours = _known(engine, picture, model, form)
        limit = _TOLERANCE_PX if form.decode else _TOLERANCE_DELTA
        differences = {
            name: _off(told.get(name), _on_one_side(told.get(name), ours[name]) if name == "scores" else ours[name])
            for name in ours
        }
        limits = {"scores": _TOLERANCE_SCORE}
        if any(not off <= limits.get(name, limit) for name, off in differences.items()):  # NaN is wrong, too
            raise EngineFailed(
                mark("The exported file gives other results than the model: it is off by {off:.3g}."),
                mark("Report it, with the name of the model."),
                off=max(differences.values()),
            )
        worst = max(worst, differences["scores"])
    engine.close()
    return worst


def _known(engine: engines.Engine, picture: ByteImage, model: Model, form: Form) -> dict[str, FloatArray]:
    """What a right file says of *picture*."""
    ours = engine.candidates([picture], 0.0 if form.overlap is None else form.score)[0]
    order = np.argsort(ours.priors)
    boxes, landmarks = ours.boxes[order], None if ours.landmarks is None else ours.landmarks[order]
    if form.decode:
        boxes, landmarks = _in_pixels(boxes, landmarks, ours.priors[order], picture, model)
    scores = ours.scores[order]
    if form.overlap is not None:
        kept = nms(boxes, scores, form.overlap)
        boxes, scores, landmarks = boxes[kept], scores[kept], None if landmarks is None else landmarks[kept]
    known = {"boxes": boxes, "scores": scores}
    return known if landmarks is None else {**known, "landmarks": landmarks}


def _off(told: FloatArray | None, ours: FloatArray) -> float:
    if told is None or told.shape != ours.shape:
        return float("inf")
    return float(np.abs(told - ours).max(initial=0.0))


def _on_one_side(told: FloatArray | None, ours: FloatArray) -> FloatArray:
    """*ours*, but for the few priors that stand on the very threshold of AInnoFace's filter, which a last digit lets
    through here and drops there."""
    if told is None or told.shape != ours.shape:
        return ours
    torn = (told < _DROPPED) != (ours < _DROPPED)
    if torn.sum() > _TORN * torn.size:
        return ours
    return np.where(torn, told, ours)


def _in_pixels(
    boxes: FloatArray,
    landmarks: FloatArray | None,
    rows: npt.NDArray[np.int64],
    picture: ByteImage,
    model: Model,
) -> tuple[FloatArray, FloatArray | None]:
    height, width = picture.shape[:2]
    priors, scale = priors_for(height, width, model.config)[rows], np.array([width, height], np.float32)
    corners: FloatArray = decode_boxes(boxes, priors, model.config.variance) * np.tile(scale, 2)
    if model.config.inclusive:
        corners += np.array([0.5, 0.5, -0.5, -0.5], np.float32)
    if landmarks is None:
        return corners, None
    points = decode_landmarks(landmarks, priors, model.config.variance) * scale
    return corners, points.reshape(-1, 10)
