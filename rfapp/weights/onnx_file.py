"""A model's second file, NAME.onnx: read it, or make it where a model has only its safetensors file."""

from __future__ import annotations

from collections.abc import Mapping

from rfapp.errors import WeightsAltered
from rfapp.frames import FloatArray
from rfapp.text import mark
from rfapp.weights.catalogue import checkpoint_reader, refuse_int8, unreadable, verify
from rfapp.weights.manifest import Model
from rfapp.weights.network_graph import onnx_bytes


def read_onnx(model: Model) -> bytes:
    """The network of *model* as :mod:`rfapp.weights.network_graph` describes it.

    A model that is known to have its ONNX file is read from there, checked by sha256. For any other weights file the
    network is put together now, which takes 15 ms for a MobileNet ×0.25; torch is needed for .pth files only. Raises
    WeightsError, or EngineMissing for a checkpoint that only torch can read.
    """
    if model.onnx_sha256:
        verify(model)
        try:
            return model.onnx_path.read_bytes()
        except OSError as error:
            raise unreadable(model.onnx_path, error) from error
    return onnx_bytes(model, read_state(model))


def read_state(model: Model) -> Mapping[str, FloatArray]:
    """The numbers of *model* by name. Raises as :func:`read_onnx` does."""
    refuse_int8(model)
    if model.path.suffix != ".safetensors":
        tensors = checkpoint_reader(model.path)(model.path)
        return {name: tensor.float().numpy() for name, tensor in tensors.items() if tensor.is_floating_point()}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(model.path)
    except SafetensorError as error:
        raise WeightsAltered(
            mark("{path} is damaged, or not a weights file."), mark("Copy or download it again."), path=model.path
        ) from error
    except OSError as error:
        raise unreadable(model.path, error) from error
