"""What a manifest says of a model: the architecture, the file's fingerprint, where it comes from."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfapp.errors import WeightsAltered, WeightsError
from rfapp.models.config import ModelConfig
from rfapp.settings import write_whole
from rfapp.text import mark

#: The file that tells what lies beside it.
MANIFEST = "manifest.toml"
#: The key under which a safetensors file carries its own entry.
METADATA_KEY = "rfapp"
#: The long side in pixels at which every model is tried on the built-in picture.
TRIAL_SIZE = 640


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the network says of the built-in picture in float32, in pixels of that picture.

    ``size``: the long side that the picture was scaled to.
    """

    size: int
    score: float
    box: tuple[float, ...]
    landmarks: tuple[tuple[float, float], ...] | None = None

    def to_mapping(self) -> dict[str, Any]:
        values: dict[str, Any] = {"size": self.size, "score": self.score, "box": list(self.box)}
        if self.landmarks is not None:
            values["landmarks"] = [list(point) for point in self.landmarks]
        return values

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Answer:
        points = values.get("landmarks")
        return cls(
            size=int(values["size"]),
            score=float(values["score"]),
            box=tuple(float(value) for value in values["box"]),
            landmarks=None if points is None else tuple((float(x), float(y)) for x, y in points),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network with its numbers.

    ``path`` is the weights file and ``sha256`` what it must hash to ("" where nobody has said); ``onnx_path`` beside
    it holds the same network for engines other than torch if ``onnx_sha256`` tells what that must hash to.
    ``folded``: the numbers were taken from a network whose batch norm had been folded into its convolutions; batch
    norm does nothing in it, and training has to start it anew. ``ap``: measured average precision in percent, by
    protocol.
    ``shipped``: it came with rfapp and can't be changed.
    ``int8_of``: for the int8 form of another model, the sha256 of that model's weights file; ``path`` is then an
    OpenVINO file (.xml), and ``bin_path`` beside it, with ``bin_sha256``, holds the numbers.
    """

    name: str
    path: Path
    config: ModelConfig
    folded: bool = False
    sha256: str = ""
    bytes: int = 0
    title: str = ""
    origin: str = ""
    licence: str = ""
    onnx_sha256: str = ""
    onnx_bytes: int = 0
    answer: Answer | None = None
    ap: Mapping[str, float] = field(default_factory=dict)
    shipped: bool = False
    int8_of: str = ""
    bin_sha256: str = ""
    bin_bytes: int = 0

    @property
    def bin_path(self) -> Path:
        """Where the numbers of an int8 form lie."""
        return self.path.with_suffix(".bin")

    @property
    def onnx_path(self) -> Path:
        """Where the model's ONNX file lies, if it has one."""
        return self.path.with_name(f"{self.path.stem}.onnx")

    def to_mapping(self, *, alone: bool = False) -> dict[str, Any]:
        """The manifest's entry. *alone*: for the file's own metadata, which can't tell its own
        fingerprint, and leaves the answer out so that the same import gives the same bytes on every computer."""
        values: dict[str, Any] = {"title": self.title, "origin": self.origin, "licence": self.licence}
        if not alone:
            onnx = {"onnx_sha256": self.onnx_sha256, "onnx_bytes": self.onnx_bytes} if self.onnx_sha256 else {}
            values = {"file": self.path.name, "sha256": self.sha256, "bytes": self.bytes, **onnx, **values}
        if self.int8_of:
            values |= {"int8_of": self.int8_of, "bin_sha256": self.bin_sha256, "bin_bytes": self.bin_bytes}
        values["folded"] = self.folded
        if self.ap and not alone:  # measured afterwards; the file stays the same bytes
            values["ap"] = dict(self.ap)
        values["config"] = self.config.to_mapping()
        if self.answer is not None and not alone:
            values["answer"] = self.answer.to_mapping()
        return values

    @classmethod
    def from_mapping(cls, name: str, path: Path, values: Mapping[str, Any], *, shipped: bool = False) -> Model:
        """Raises KeyError, TypeError or ValueError where *values* are no entry."""
        answer = values.get("answer")
        return cls(
            name=name,
            path=path,
            config=ModelConfig.from_mapping(values["config"]),
            folded=bool(values.get("folded", False)),
            sha256=str(values.get("sha256", "")),
            bytes=int(values.get("bytes", 0)),
            title=str(values.get("title", "")),
            origin=str(values.get("origin", "")),
            licence=str(values.get("licence", "")),
            onnx_sha256=str(values.get("onnx_sha256", "")),
            onnx_bytes=int(values.get("onnx_bytes", 0)),
            answer=None if answer is None else Answer.from_mapping(answer),
            ap={str(key): float(value) for key, value in values.get("ap", {}).items()},
            shipped=shipped,
            int8_of=str(values.get("int8_of", "")),
            bin_sha256=str(values.get("bin_sha256", "")),
            bin_bytes=int(values.get("bin_bytes", 0)),
        )


def read(path: Path, *, shipped: bool = False) -> dict[str, Model]:
    """The models that the manifest *path* tells of, by name; none where there is no such file.

    Raises WeightsError when the manifest can't be read or makes no sense.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = data.get("models", {})
        models = {}
        for name, values in entries.items():
            file = str(values["file"])
            if Path(file).name != file:
                raise ValueError(f"{file!r} does not lie beside the manifest")
            models[name] = Model.from_mapping(name, path.parent / file, values, shipped=shipped)
        return models
    except FileNotFoundError:
        return {}
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            mark("The list of models {path} can't be used: {reason}."),
            mark("Repair or delete it; models that you imported must be imported again."),
            path=path,
            reason=error,
        ) from error


def write(path: Path, models: Mapping[str, Model]) -> None:
    """Put *models* into the manifest *path*, whole or not at all."""
    import tomli_w

    content = {"models": {name: model.to_mapping() for name, model in sorted(models.items())}}
    write_whole(path, tomli_w.dumps(content).encode())


def to_metadata(model: Model) -> dict[str, str]:
    """What goes into the safetensors file itself, so that it can be used without a manifest."""
    return {METADATA_KEY: json.dumps(model.to_mapping(alone=True), ensure_ascii=False, sort_keys=True)}


def from_metadata(path: Path, metadata: Mapping[str, str]) -> Model | None:
    """The entry that a safetensors file carries, or None. Raises WeightsAltered when it makes no sense."""
    text = metadata.get(METADATA_KEY)
    if text is None:
        return None
    try:
        return Model.from_mapping(path.stem, path, json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsAltered(
            mark("{path} does not tell what network it is for: {reason}."),
            mark("Make it again with “rfapp weights import”."),
            path=path,
            reason=error,
        ) from error
