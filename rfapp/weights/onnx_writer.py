"""Writes ONNX files: the few parts of the format that our networks need, and the same bytes on every computer.

The library ``onnx`` would do, too, but its bytes change with its version, and it would have to be installed wherever
a safetensors file is used without torch. Field numbers are those of ``onnx.proto3`` (ONNX 1.12, IR version 8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: The version of the operators that are used.
OPSET = 13
_IR_VERSION = 8
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int64): 7}

Attribute = int | float | str | Sequence[int]
#: An axis of known length, or the name of one that each run decides.
Axis = int | str


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers travel as their two's complement
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        content, kind = _number(3, value), 2
    elif isinstance(value, float):
        content, kind = _varint(2 << 3 | 5) + struct.pack("<f", value), 1
    elif isinstance(value, str):
        content, kind = _bytes(4, value), 3
    else:
        content, kind = b"".join(_number(8, item) for item in value), 7
    return _bytes(1, name) + content + _number(20, kind)


def _value(name: str, dtype: npt.DTypeLike, shape: Iterable[Axis]) -> bytes:
    axes = b"".join(_bytes(1, _bytes(2, axis) if isinstance(axis, str) else _number(1, axis)) for axis in shape)
    tensor = _number(1, _TYPES[np.dtype(dtype)]) + _bytes(2, axes)
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


class Graph:
    """A network that grows node by node; every method that adds one returns the name of its output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[bytes] = []
        self._constants: dict[str, bytes] = {}
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, dtype: npt.DTypeLike, shape: Sequence[Axis]) -> str:
        """An input of the whole network."""
        self._inputs.append(_value(name, dtype, shape))
        return name

    def output(self, name: str, dtype: npt.DTypeLike, shape: Sequence[Axis]) -> None:
        """Make the value *name* an output of the whole network."""
        self._outputs.append(_value(name, dtype, shape))

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Numbers that belong to the network: float32, int64 or uint8."""
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        dims = b"".join(_number(1, length) for length in array.shape)
        tensor = dims + _number(2, _TYPES[array.dtype]) + _bytes(8, name) + _bytes(9, little.tobytes())
        self._constants[name] = tensor
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str | Sequence[str], **attributes: Attribute) -> str:
        """Apply *operator* to the values *inputs* ("" for one that is left out); returns its first output."""
        outputs = [output] if isinstance(output, str) else output
        content = b"".join(_bytes(1, name) for name in inputs)
        content += b"".join(_bytes(2, name) for name in outputs) + _bytes(3, outputs[0])
        content += _bytes(4, operator)
        content += b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
        self._nodes.append(content)
        return outputs[0]

    def to_bytes(self, metadata: Mapping[str, str]) -> bytes:
        """The content of the file; *metadata* are texts for whoever reads it."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, self.name)
        graph += b"".join(_bytes(5, tensor) for tensor in self._constants.values())
        graph += b"".join(_bytes(11, value) for value in self._inputs)
        graph += b"".join(_bytes(12, value) for value in self._outputs)
        model = _number(1, _IR_VERSION) + _bytes(2, "rfapp") + _bytes(7, graph)
        model += _bytes(8, _bytes(1, "") + _number(2, OPSET))
        return model + b"".join(_bytes(14, _bytes(1, key) + _bytes(2, value)) for key, value in metadata.items())
