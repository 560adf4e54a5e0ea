"""Finds a model by name, by file or by the folder of a training run, and makes sure that its file is whole."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rfapp import places
from rfapp.errors import (
    EngineMissing,
    OutputExists,
    SettingsError,
    UnknownModel,
    WeightsAltered,
    WeightsError,
    WeightsMissing,
)
from rfapp.models.config import (
    AINNOFACE,
    AINNOFACE_R18,
    AINNOFACE_R50,
    ARCHITECTURES,
    MNET_025_GRAY,
    MOBILENET_025,
    MOBILENET_05,
    MOBILENET_1,
    RESNET18,
    RESNET50,
    ModelConfig,
)
from rfapp.text import mark
from rfapp.weights import manifest
from rfapp.weights.manifest import MANIFEST, Model
from rfapp.weights.published import PUBLISHED

log = logging.getLogger(__name__)

#: A tensor and its shape that tell a network from those behind it.
_MARKS: tuple[tuple[str, tuple[int, ...], ModelConfig], ...] = (
    ("body.layer3.35.conv1.weight", (256, 1024, 1, 1), AINNOFACE),
    ("c6.weight", (1024, 2048, 3, 3), AINNOFACE_R50),
    ("c6.weight", (256, 512, 3, 3), AINNOFACE_R18),
    ("body.stage1.0.0.weight", (8, 3, 3, 3), MOBILENET_025),
    ("body.stage1.0.0.weight", (8, 1, 3, 3), MNET_025_GRAY),
    ("body.stage1.0.0.weight", (16, 3, 3, 3), MOBILENET_05),
    ("body.stage1.0.0.weight", (32, 3, 3, 3), MOBILENET_1),
    ("body.layer4.1.conv2.weight", (512, 512, 3, 3), RESNET18),
    ("body.layer4.2.conv3.weight", (2048, 512, 1, 1), RESNET50),
)

_hashes: dict[tuple[str, int, int], str] = {}


def own_folder() -> Path:
    """Where models that the user imported are kept (not made here)."""
    return places.data_dir() / "weights"


def known(*, strict: bool = False) -> dict[str, Model]:
    """Every model that goes by a name, the shipped ones first. Their files are not looked at.

    A damaged list of the user's own models must not keep the shipped ones from working: it is logged, and raised as
    WeightsError only if *strict*.
    """
    models = manifest.read(places.shipped_weights() / MANIFEST, shipped=True)
    try:
        own = manifest.read(own_folder() / MANIFEST)
    except WeightsError as error:
        if strict:
            raise
        log.warning("%s", error)
        return models
    for name, model in own.items():
        models.setdefault(name, model)
    return models


def float_models() -> tuple[str, ...]:
    """The names of the models to choose from; int8 forms are chosen by the precision."""
    return tuple(name for name, model in known().items() if not model.int8_of)


def find(name_or_path: str | Path) -> Model:
    """The model of that name, or in that weights file, or of that training run's folder, checked to be whole.

    A network of which there are no weights here is told as such. Raises UnknownModel, WeightsMissing,
    WeightsAltered, WeightsUnsafe, or EngineMissing for a checkpoint that only torch can read.
    """
    if isinstance(name_or_path, str) and (model := known().get(name_or_path)):
        verify(model)
        return model
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _in_file(path)
    if isinstance(name_or_path, Path) or path.suffix in (".safetensors", ".pth", ".pt") or len(path.parts) > 1:
        raise WeightsMissing(
            mark("There is no weights file {path}."), mark("Check the spelling of the path."), path=name_or_path
        )
    if name_or_path in ARCHITECTURES:
        raise _untrained(str(name_or_path))
    raise UnknownModel(
        mark("There is no model “{name}”."),
        mark("Use one of {names}, or the path of a weights file. “rfapp weights list” tells more."),
        name=name_or_path,
        names=", ".join(known()),
    )


def _untrained(architecture: str) -> WeightsMissing:
    """The sentence for a network that is known, but of which there are no numbers here."""
    if ARCHITECTURES[architecture].family == "AInnoFace":
        return WeightsMissing(
            mark("The network {name} has to be trained first: nobody has published weights of it."),
            mark("“rfapp train --model {name} --data LABELS --output RUN” makes a model, which is then called RUN."),
            name=architecture,
        )
    return WeightsMissing(
        mark("There are no weights of the network {name} here."),
        mark("Look for published ones with “rfapp weights download”, import a file, or train it with “rfapp train”."),
        name=architecture,
    )


def verify(model: Model) -> None:
    """Make sure that *model*'s files are there and have not changed. Raises WeightsMissing or WeightsAltered."""
    _verify_file(model, model.path, model.sha256, model.bytes)
    if model.int8_of:
        _verify_file(model, model.bin_path, model.bin_sha256, model.bin_bytes)
    if model.onnx_sha256:
        _verify_file(model, model.onnx_path, model.onnx_sha256, model.onnx_bytes)


def check_name(name: str, models: Mapping[str, Model], folder: Path, suffixes: Sequence[str], *, force: bool) -> None:
    """Make sure that a new model may be called *name* in *folder*, whose manifest has *models*; its files are to end
    in *suffixes*. Raises SettingsError, or OutputExists where the name is taken and may not be replaced (*force*)."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise SettingsError(
            mark("A model can't be called “{name}”."), mark("Use letters, digits, dots, - and _."), name=name
        )
    shipped = known().get(name)
    if shipped is not None and shipped.shipped and shipped.path.parent != folder.resolve():
        raise OutputExists(
            mark("The name {name} belongs to a model that comes with rfapp."),
            mark("Give another one with --name."),
            name=name,
        )
    if not force and (name in models or any((folder / f"{name}{suffix}").exists() for suffix in suffixes)):
        raise OutputExists(
            mark("There is a model {name} already."),
            mark("Give another name with --name, or --force to replace it."),
            name=name,
        )


def int8_form(model: Model) -> Model:
    """The int8 form of *model* (which may be one itself), checked to be whole: the user's own before a shipped one.

    Raises WeightsMissing where nobody has made one, or WeightsAltered.
    """
    if model.int8_of:
        return model
    try:
        sha256 = model.sha256 or sha256_of(model.path)
    except OSError as error:
        raise unreadable(model.path, error) from error
    for other in sorted(known().values(), key=lambda item: item.shipped):
        if other.int8_of == sha256 and other.config == model.config:
            verify(other)
            return other
    raise WeightsMissing(
        mark("There is no int8 form of the model {name}."),
        mark("Make it out of some hundred pictures like yours: “rfapp weights quantize {name} --calibrate FOLDER”."),
        name=model.name,
    )


def refuse_int8(model: Model) -> None:
    """For what needs a network's float32 numbers. Raises WeightsError for an int8 form."""
    if model.int8_of:
        raise WeightsError(
            mark("The model {name} is an int8 form, which only the engine openvino can run."),
            mark("Give the model that it was made from."),
            name=model.name,
        )


def _verify_file(model: Model, path: Path, sha256: str, expected: int) -> None:
    hint = mark("Install rfapp again.") if model.shipped else mark("Import it again with “rfapp weights import”.")
    try:
        size = path.stat().st_size
        if sha256 and expected and size != expected:
            raise WeightsAltered(
                mark("The weights of {name} are damaged: {path} has {size} bytes instead of {expected}."),
                hint,
                name=model.name,
                path=path,
                size=size,
                expected=expected,
            )
        if sha256 and sha256_of(path) != sha256:
            raise WeightsAltered(
                mark("The weights of {name} are damaged: the contents of {path} have changed."),
                hint,
                name=model.name,
                path=path,
            )
    except FileNotFoundError as error:
        raise WeightsMissing(
            mark("The weights of {name} are not there: {path} is missing."), hint, name=model.name, path=path
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hexadecimal, remembered until its size or time of change is another. Raises OSError."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _hashes:
        with path.open("rb") as file:
            _hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[key]


def unreadable(path: Path, error: OSError) -> WeightsError:
    """The sentence for a weights file that the system does not give out."""
    return WeightsError(
        mark("The weights file {path} can't be read: {reason}."),
        mark("Check its permissions."),
        path=path,
        reason=error.strerror or error,
    )


def config_for(shapes: Mapping[str, Sequence[int]]) -> ModelConfig | None:
    """The configuration of the network whose tensors have these names and shapes, or None."""
    for name, shape, config in _MARKS:
        if tuple(shapes.get(name, ())) == shape:
            return config
    return None


def _in_folder(folder: Path) -> Model:
    models = list(manifest.read(folder / MANIFEST).values())
    if len(models) != 1:
        raise WeightsMissing(
            mark("{path} is not the folder of one model."),
            mark("Give the folder of a training run, a weights file, or the name of a model."),
            path=folder,
        )
    verify(models[0])
    return models[0]


def _in_file(path: Path) -> Model:
    """A weights file given by its path: the manifest beside it knows it, or its sha256 is known, or it tells itself."""
    beside = {model.path.name: model for model in manifest.read(path.parent / MANIFEST).values()}
    if path.name in beside:
        verify(beside[path.name])
        return beside[path.name]
    try:
        published = PUBLISHED.get(sha256_of(path))
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if published is not None:
        return Model(
            name=path.stem,
            path=path,
            config=replace(published.config, slope=published.slope),
            sha256=sha256_of(path),
            bytes=size,
            title=published.title,
            origin=published.origin,
            licence=published.licence,
        )
    if path.suffix == ".safetensors":
        shapes, metadata = read_header(path)
        if (told := manifest.from_metadata(path, metadata)) is not None:
            return replace(told, bytes=size)
    else:
        shapes = _shapes_in_checkpoint(path)
    config = config_for(shapes)
    if config is None:
        raise no_retinaface(path)
    return Model(name=path.stem, path=path, config=config, bytes=size)


def _shapes_in_checkpoint(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in checkpoint_reader(path)(path).items()}


def checkpoint_reader(path: Path) -> Callable[[Path], dict[str, Any]]:
    """What reads checkpoints into torch tensors. Raises EngineMissing, naming *path*, where torch is missing."""
    try:
        from rfapp.weights import checkpoints
    except ImportError as error:
        raise EngineMissing(
            mark("To read {path}, torch is needed, and it is not installed."),
            mark("Install it with “pip install torch”, or use a .safetensors file."),
            path=path,
        ) from error
    return checkpoints.read


def no_retinaface(path: Path) -> WeightsAltered:
    """The sentence for a file that holds some other network."""
    return WeightsAltered(
        mark("{path} holds no RetinaFace or AInnoFace network that rfapp knows."),
        mark("RetinaFace can have a MobileNet (×0.25, ×0.5, ×1), ResNet-18 or ResNet-50 trunk."),
        path=path,
    )


def read_header(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The shapes of a safetensors file's tensors, and its metadata. Needs no torch. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            return shapes, dict(file.metadata() or {})
    except SafetensorError as error:
        raise WeightsAltered(
            mark("{path} is damaged, or not a safetensors file."),
            mark("Copy or download it again."),
            path=path,
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
