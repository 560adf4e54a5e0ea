"""The numbers of the networks: which models there are, whether their files are whole, and the import of foreign ones.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rfapp.weights.catalogue import find, float_models, int8_form, known, own_folder, refuse_int8, verify
from rfapp.weights.manifest import TRIAL_SIZE, Answer, Model
from rfapp.weights.onnx_file import read_onnx

if TYPE_CHECKING:
    from rfapp.weights.importing import Imported as Imported
    from rfapp.weights.importing import import_weights as import_weights

__all__ = [
    "TRIAL_SIZE",
    "Answer",
    "Imported",
    "Model",
    "find",
    "float_models",
    "import_weights",
    "int8_form",
    "known",
    "own_folder",
    "read_onnx",
    "refuse_int8",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in ("Imported", "import_weights"):
        from rfapp.weights import importing

        return getattr(importing, name)
    raise AttributeError(f"module 'rfapp.weights' has no attribute {name!r}")
