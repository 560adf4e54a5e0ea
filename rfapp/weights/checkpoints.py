"""Weights files in and out of torch. Nothing is ever unpickled freely."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from rfapp.errors import WeightsAltered, WeightsUnsafe
from rfapp.models.loading import load_model, plain_state_dict
from rfapp.models.networks import Network, make_network
from rfapp.models.retinaface import Phase
from rfapp.settings import write_whole
from rfapp.text import mark
from rfapp.weights.catalogue import no_retinaface, refuse_int8, unreadable
from rfapp.weights.manifest import Model, to_metadata

#: So many times its size may an archive unpack to.
MOST_UNPACKED = 2
#: Pickle's instructions that name or call something.
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in *path* (safetensors, or a torch checkpoint of any age) by name, on the CPU.

    Raises WeightsUnsafe when a checkpoint asks for more than tensors, WeightsAltered when it is damaged or none.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return plain_state_dict(_load_pickle(path))
    except OSError as error:
        raise unreadable(path, error) from error
    except SafetensorError as error:
        raise _damaged(path) from error
    except ValueError as error:
        raise no_retinaface(path) from error


def _load_pickle(path: Path) -> Any:
    _check_unpacked_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old or new formats of the file: either it can be read or not
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        # torch's reader goes through the pickle without running it and stops at the first thing that is neither a
        # tensor nor a plain container. A name of something to call is an attack or a careless save; anything else
        # is not a checkpoint at all.
        if "GLOBAL" in str(error) or "Unsupported class" in str(error) or _calls_something(path):
            raise WeightsUnsafe(
                mark("{path} was not opened: it contains program code, not only numbers."),
                mark("Use a file from a source that you trust, saved as safetensors or as a plain state dict."),
                path=path,
            ) from error
        raise _damaged(path) from error
    except Exception as error:
        # A damaged archive surfaces as whatever the reader stumbled over first (EOFError, RuntimeError, KeyError …).
        raise _damaged(path) from error


def _check_unpacked_size(path: Path) -> None:
    """A checkpoint's archive is not compressed; one that would unpack to much more is made to fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older checkpoint, or damaged: torch's reader will tell
    if unpacked > MOST_UNPACKED * path.stat().st_size:
        raise _damaged(path)


def _calls_something(path: Path) -> bool:
    """Whether *path* is a whole pickle that names something to call, in a dialect that torch's reader gave up on."""
    called = False
    try:
        with path.open("rb") as file:
            for instruction, _, _ in pickletools.genops(file):
                called = called or instruction.name in _CALLS
    except Exception:
        # Whatever the parser stumbles over: then it is no pickle.
        return False
    return called


def _damaged(path: Path) -> WeightsAltered:
    return WeightsAltered(
        mark("{path} is damaged, or not a weights file."), mark("Copy or download it again."), path=path
    )


def build(model: Model, phase: Phase = "test") -> Network:
    """The network of *model* with its numbers, in float32 on the CPU. Raises WeightsError."""
    refuse_int8(model)
    state = read(model.path)
    # On the meta device nothing is drawn at random only to be overwritten: a third of a second for a ResNet-50.
    with torch.device("meta"):
        network = make_network(model.config, phase)
    try:
        return load_model(network, state, assign=True).requires_grad_(phase == "train").train(phase == "train")
    except ValueError as error:
        raise WeightsAltered(
            mark("{path} does not fit the network {architecture}: {reason}."),
            mark("Choose another weights file."),
            path=model.path,
            architecture=model.config.architecture,
            reason=error,
        ) from error


def save(model: Model, state: dict[str, Tensor]) -> None:
    """Write *state* to *model*'s path as safetensors with the model's entry inside, whole or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    write_whole(model.path, safetensors.torch.save(tensors, metadata=to_metadata(model)))
