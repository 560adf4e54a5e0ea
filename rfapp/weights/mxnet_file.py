"""Reads MXNet's ``.params`` files: a list of arrays with names. Nothing in such a file is ever run.

The format is that of ``NDArray::Save`` in MXNet 1.x (src/ndarray/ndarray.cc): little-endian; a magic number, the count
of arrays, each array with its shape, device, type and numbers, then the count of names and the names.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rfapp.errors import WeightsAltered
from rfapp.text import mark
from rfapp.weights.catalogue import unreadable

_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}
#: No network has more; a count beyond is a damaged file.
_MOST_ARRAYS, _MOST_DIMENSIONS, _LONGEST_NAME = 20_000, 8, 1024

Arrays = dict[str, np.ndarray[Any, Any]]


class _Damaged(Exception):
    """What does not fit, in words."""


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._at = 0

    def take(self, count: int) -> memoryview:
        # Compared with what is there before anything is made of it: a damaged length must not become memory.
        if count < 0 or count > len(self._content) - self._at:
            raise _Damaged("it ends too early")
        part = self._content[self._at : self._at + count]
        self._at += count
        return part

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def number(self, form: str) -> int:
        return self.numbers(form)[0]


def read_params(path: Path) -> Arrays:
    """The arrays of *path* by their names, without the prefixes ``arg:`` and ``aux:``; copies, in their own types.

    Raises WeightsAltered where it is no such file or damaged, WeightsError where it can't be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return _read(_Reader(content))
    except (_Damaged, UnicodeDecodeError) as error:
        raise WeightsAltered(
            mark("{path} is no MXNet file, or damaged: {reason}."),
            mark("Copy or download it once more."),
            path=path,
            reason=error,
        ) from error


def _read(reader: _Reader) -> Arrays:
    magic, _, count = reader.numbers("QQQ")
    if magic != _LIST_MAGIC:
        raise _Damaged("it does not begin as one")
    if count > _MOST_ARRAYS:
        raise _Damaged(f"it claims {count} arrays")
    arrays = [_array(reader) for _ in range(count)]
    names = reader.number("Q")
    if names != count:
        raise _Damaged(f"it has {count} arrays and {names} names")
    result: Arrays = {}
    for array in arrays:
        length = reader.number("Q")
        if length > _LONGEST_NAME:
            raise _Damaged("a name is too long")
        name = bytes(reader.take(length)).decode("utf-8")
        result[name.removeprefix("arg:").removeprefix("aux:")] = array
    return result


def _array(reader: _Reader) -> np.ndarray[Any, Any]:
    magic = reader.number("I")
    if magic in (_V2, _V3):
        if reader.number("i") != 0:
            raise _Damaged("it has sparse arrays")
        shape = _shape(reader, "q")
    elif magic == _V1:
        shape = _shape(reader, "q")
    else:
        # Before version 1 an array began with its number of dimensions.
        shape = _shape(reader, "I", dimensions=magic)
    reader.numbers("ii")  # the device that it was on
    kind = reader.number("i")
    if kind not in _TYPES:
        raise _Damaged(f"it has numbers of an unknown type ({kind})")
    dtype = np.dtype(_TYPES[kind])
    # `take` refuses what is not there; Python's own numbers can't overflow.
    data = reader.take(prod(shape) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _shape(reader: _Reader, form: str, dimensions: int | None = None) -> tuple[int, ...]:
    count = reader.number("I") if dimensions is None else dimensions
    if count > _MOST_DIMENSIONS:
        raise _Damaged(f"an array claims {count} dimensions")
    shape = reader.numbers(form * count)
    if any(side < 0 for side in shape):
        raise _Damaged("an array has a negative side")
    return shape
