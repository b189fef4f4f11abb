"""Create Arrow arrays from buffers, since ``pa.array`` and ``pa.scalar`` import pandas, which takes half a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def texts(values: Sequence[bytes]) -> pa.BinaryArray:
    """Return an array of the values."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    return _binary(offsets, b"".join(values))


def fixed_width(characters: NDArray[np.uint8]) -> pa.BinaryArray:
    """Return an array of texts of one width from their characters, shape (texts, width), without a copy."""
    count, width = characters.shape
    return _binary(np.arange(count + 1, dtype=np.int32) * np.int32(width), characters)


def take(array: pa.BinaryArray, index: NDArray[Any]) -> pa.BinaryArray:
    """Return the values at the positions in ``index``."""
    places = np.ascontiguousarray(index, np.int64)
    return array.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))


def concatenated(array: pa.BinaryArray) -> memoryview:
    """Return the concatenated values, without a copy."""
    _, offsets, values = array.buffers()
    begin, end = np.frombuffer(offsets, np.int32)[[array.offset, array.offset + len(array)]].tolist()
    return memoryview(values)[begin:end]


def _binary(offsets: NDArray[np.int32], values: Any) -> pa.BinaryArray:
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(values)])
