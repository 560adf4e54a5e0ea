"""Makes the int8 form of a model with NNCF: weights and activations in whole numbers, scaled by what pictures show."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov

from rfapp import weights
from rfapp.engines.openvino_graph import read_network
from rfapp.errors import EngineFailed, EngineMissing, OutputError
from rfapp.frames import ByteImage, FloatArray
from rfapp.models.config import ModelConfig
from rfapp.settings import write_whole
from rfapp.text import mark
from rfapp.weights import Model, manifest
from rfapp.weights.catalogue import check_name, own_folder, sha256_of

#: Layers that stay as they are, as patterns of their names: the coarsest level, where a rounding is a step of pixels
#: for faces of hundreds, …
_KEPT = ("fpn[.]output3.*", "ssh3.*", "head.*")
#: … in AInnoFace the levels of strides 32, 64 and 128, and the numbers that the heads of the others tell …
_KEPT_TWO_STEP = ("coarse.*", "fine.*[.](every|box_deltas|landmark_deltas)")
#: … and of a MobileNet trunk the first stage, where 8 to 64 channels leave int8 no time to win, and the depthwise
#: convolutions, which OpenVINO runs in half precision in any case: in int8 only the numbers would go to and fro.
#: Measured at 640×480 on one core, in parts of the time of all in bfloat16: all of the network in int8 0.90, all but
#: these layers 0.83, all but the trunk 0.86. Average precision (WIDER FACE, 355 pictures, medium) falls by 0.65 with
#: all in int8, by 0.2 without these layers.
_KEPT_THIN = (r"body[.]stage1[.].*", r"body[.]stage\d[.]\d[.]0($|[./].*)")


def quantise(model: Model, pictures: Sequence[ByteImage], name: str, folder: Path | None, *, force: bool) -> Model:
    """Make the int8 form of *model*, call it *name*, and enter it into the manifest of *folder* (default: the user's).

    *pictures*: uint8 BGR, sides multiples of 32, like those that the model is going to be used on; their activations
    tell the ranges. Some hundred are enough. Raises WeightsError, OutputExists where the name is taken and *force* is
    not given, OutputError, EngineMissing where NNCF is not installed, or EngineFailed.
    """
    weights.refuse_int8(model)
    folder = own_folder() if folder is None else folder
    models = manifest.read(folder / manifest.MANIFEST)
    check_name(name, models, folder, (".xml", ".bin"), force=force)
    nncf = _import_nncf()
    network = read_network(ov.Core(), weights.read_onnx(model), model.config, "float32")
    kept = _KEPT + (_KEPT_THIN if model.config.backbone.startswith("mobilenet") else ())
    kept += _KEPT_TWO_STEP if model.config.family == "AInnoFace" else ()
    try:
        # NNCF draws progress bars where results go, and loads parts of itself only now.
        with contextlib.redirect_stdout(io.StringIO()), _without("openvino_telemetry"):
            quantised = nncf.quantize(
                network,
                nncf.Dataset(pictures, lambda picture: _tensor(picture, model.config)),
                # Leaky ReLU goes below zero, but not far: its range need not be symmetric.
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(pictures),
                ignored_scope=nncf.IgnoredScope(patterns=list(kept), validate=False),
            )
    except (RuntimeError, ValueError) as error:
        raise EngineFailed(mark("The model can't be quantised: {reason}."), reason=str(error).rstrip(".")) from error
    made = replace(
        model,
        name=name,
        path=folder / f"{name}.xml",
        title=f"{model.title or model.name}, int8",
        onnx_sha256="",
        onnx_bytes=0,
        ap={},
        shipped=False,
        int8_of=model.sha256 or sha256_of(model.path),
    )
    return _written(made, quantised, models, folder)


def _written(made: Model, network: ov.Model, models: dict[str, Model], folder: Path) -> Model:
    try:
        with tempfile.TemporaryDirectory(prefix="rfapp-int8-") as scratch:
            file = Path(scratch) / made.path.name
            ov.save_model(network, file, compress_to_fp16=False)
            graph, numbers = file.read_bytes(), file.with_suffix(".bin").read_bytes()
        write_whole(made.bin_path, numbers)
        write_whole(made.path, graph)
        made = replace(
            made,
            sha256=sha256_of(made.path),
            bytes=len(graph),
            bin_sha256=sha256_of(made.bin_path),
            bin_bytes=len(numbers),
        )
        manifest.write(folder / manifest.MANIFEST, {**models, made.name: made})
    except OSError as error:
        raise OutputError(
            mark("{path} can't be written: {reason}."), path=made.path, reason=error.strerror or error
        ) from error
    return made


def _tensor(picture: ByteImage, config: ModelConfig) -> FloatArray:
    """*picture* as the network in the ONNX file takes it."""
    planes = picture[..., ::-1] if config.channel_order == "RGB" else picture
    centred = planes.astype(np.float32) - np.array(config.means, np.float32)
    return np.ascontiguousarray(centred.transpose(2, 0, 1)[None])


def _import_nncf() -> ModuleType:
    """NNCF, quiet, and without the library by which it would tell its maker about its use."""
    with _without("openvino_telemetry"):
        try:
            import nncf
        except ImportError as error:
            raise EngineMissing(
                mark("Models are quantised by NNCF, which is not installed."),
                mark("Install it with “pip install nncf”."),
            ) from error
    nncf.set_log_level(logging.ERROR)
    module: Any = nncf
    return module  # type: ignore[no-any-return]


@contextlib.contextmanager
def _without(library: str) -> Iterator[None]:
    """Let *library* look as if it were not installed."""
    loaded = sys.modules.get(library)
    sys.modules[library] = None  # type: ignore[assignment]  # what Python takes for “can't be imported”
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules[library]
        else:
            sys.modules[library] = loaded
