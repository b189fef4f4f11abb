"""Encode Arrow tables as rows of PostgreSQL's binary COPY format.

The format is described under "Binary Format" in PostgreSQL's documentation of COPY: a header, then for each row the
number of its fields and each field as its length and bytes, all numbers big-endian. Arrow's compiled code joins the
columns into rows; adjacent fields of fixed length are first laid out in one piece.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contract.fields import cents

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# PostgreSQL counts microseconds from 2000-01-01.
_EPOCH_US = 946_684_800_000_000
_NO_BYTES = pa.scalar(b"", pa.binary())
_NULL = np.frombuffer(b"\xff\xff\xff\xff", np.uint8)
# The first byte of a jsonb value: the version of its binary format.
_JSONB_VERSION = pa.scalar(b"\x01", pa.binary())


def encode(table: pa.Table, json_columns: Collection[str] = ()) -> Iterator[pa.Buffer]:
    """Yield the rows of a table in pieces.

    Types are written as follows: string as ``text``, or ``jsonb`` when named in ``json_columns``; binary(16) as
    ``uuid``; timestamp[us, UTC] as ``timestamptz``; decimal128(p ≤ 18, 2) as ``numeric``; int32 and int64 as
    ``integer`` and ``bigint``.

    Raises
    ------
    TypeError
        For any other type.
    """
    for batch in table.combine_chunks().to_batches():
        pieces = _pieces(batch, json_columns)
        # A null field has length -1 and no bytes.
        rows = pc.binary_join_element_wise(*pieces, _NO_BYTES, null_handling="replace", null_replacement="")
        ends = np.frombuffer(rows.buffers()[1], np.int32)
        first, last = int(ends[rows.offset]), int(ends[rows.offset + len(rows)])
        yield rows.buffers()[2].slice(first, last - first)


def _pieces(batch: pa.RecordBatch, json_columns: Collection[str]) -> list[pa.Array]:
    """Return the arrays of bytes whose concatenation makes up the rows."""
    pieces: list[pa.Array] = []
    side_by_side = [np.broadcast_to(_big_endian(batch.num_columns, ">i2"), (batch.num_rows, 2))]
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type):
            value = column.cast(pa.binary())
            if name in json_columns:
                value = pc.binary_join_element_wise(_JSONB_VERSION, value, _NO_BYTES)
            side_by_side.append(_lengths(value))
            pieces += [_fixed(side_by_side), value]
            side_by_side = []
            continue
        value = _values(column)
        length = np.broadcast_to(_big_endian(value.shape[1], ">i4"), (batch.num_rows, 4))
        if column.null_count == 0:
            side_by_side += [length, value]
            continue
        is_null = column.is_null().to_numpy(zero_copy_only=False)
        side_by_side.append(np.where(is_null[:, None], _NULL, length))
        pieces += [_fixed(side_by_side), pc.if_else(pa.array(is_null), _NO_BYTES, _fixed([value]))]
        side_by_side = []
    return [*pieces, _fixed(side_by_side)] if side_by_side else pieces


def _values(column: pa.Array) -> NDArray[np.uint8]:
    """Return the fields of a fixed-length column, shape (rows, length); null fields hold arbitrary bytes."""
    kind = column.type
    if kind == pa.binary(16):
        data = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)
        return data[column.offset : column.offset + len(column)]
    if kind == pa.timestamp("us", tz="UTC"):
        return _big_endian(pc.fill_null(column.cast(pa.int64()), 0).to_numpy() - _EPOCH_US, ">i8")
    if pa.types.is_decimal128(kind) and kind.precision <= 18 and kind.scale == 2:
        return _numeric(cents(column))
    if kind in (pa.int32(), pa.int64()):
        return _big_endian(pc.fill_null(column, 0).to_numpy(), ">i4" if kind == pa.int32() else ">i8")
    raise TypeError(f"a column of type {kind} cannot be written to PostgreSQL")


def _numeric(hundredths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Encode numbers with two decimals as ``numeric``: four digits of base 10,000 before the point, one after it.

    PostgreSQL strips leading zeros (``numeric_recv``).
    """
    whole, rest = np.divmod(np.abs(hundredths), 100)
    digits = np.zeros((len(hundredths), 9), ">i2")
    # Number of digits, weight of the first digit, sign, and display scale.
    digits[:, 0], digits[:, 1], digits[:, 3] = 5, 3, 2
    digits[:, 2] = np.where(hundredths < 0, 0x4000, 0)
    for place in range(4):
        digits[:, 7 - place] = whole // 10_000**place % 10_000
    digits[:, 8] = rest * 100
    return digits.view(np.uint8)


def _lengths(value: pa.Array) -> NDArray[np.uint8]:
    """Return the length of each field as the format encodes it: -1 for null."""
    return _big_endian(pc.fill_null(pc.binary_length(value), -1).to_numpy(), ">i4")


def _big_endian(numbers: NDArray[np.int64] | int, kind: str) -> NDArray[np.uint8]:
    """Return the bytes of numbers, shape (numbers, bytes)."""
    raw = np.ascontiguousarray(numbers, kind)
    return raw.reshape(-1, 1).view(np.uint8)


def _fixed(side_by_side: list[NDArray[np.uint8]]) -> pa.Array:
    """Join arrays of bytes side by side into one array of binary values."""
    together = np.concatenate(side_by_side, axis=1) if len(side_by_side) > 1 else side_by_side[0]
    rows, length = together.shape
    buffer = pa.py_buffer(np.ascontiguousarray(together))
    return pa.Array.from_buffers(pa.binary(length), rows, [None, buffer]).cast(pa.binary())
