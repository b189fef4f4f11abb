"""Parse the fields of many rows, each value once for all rules that use it.

All work is done on whole columns in Arrow's and NumPy's compiled code, so a rule costs nanoseconds per row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contract.columns import COLUMNS
from include.contract.patterns import (
    ODD_TIME_PATTERN,
    PRICE_PATTERN,
    QUANTITY_PATTERN,
    TIME_DECIMALS,
    TIME_PATTERN,
    UUID7_PATTERN,
)

Mask = NDArray[np.bool_]

# By PostgreSQL type. A uuid is stored as 16 bytes, most significant first.
_ARROW_TYPES = {
    "uuid": pa.binary(16),
    "text": pa.string(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "numeric(12,2)": pa.decimal128(12, 2),
    "integer": pa.int32(),
}
ARROW_TYPES = {column.name: _ARROW_TYPES[column.postgres_type] for column in COLUMNS}

_LEAP_DAY = re.compile("([0-9]{4})-02-29")
_HYPHENS = (8, 13, 18, 23)
_HEX_PLACES = [place for place in range(36) if place not in _HYPHENS]
# Maps the byte of a hexadecimal digit to its value.
_HEX_VALUES = np.zeros(256, np.uint8)
_HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True, eq=False)
class Values:
    """The parsed values of one field, by row.

    Parameters
    ----------
    array:
        The values, of the type in ARROW_TYPES; null where the value is not valid.
    is_valid:
        True for the rows with a valid value.
    """

    array: pa.Array
    is_valid: Mask


class Fields:
    """The text fields of rows.

    Parameters
    ----------
    texts:
        One array of texts for each column of the contract; an empty field is null.
    read_at_us:
        When the rows were read, microseconds since 1970.
    """

    def __init__(self, texts: Mapping[str, pa.StringArray], read_at_us: int) -> None:
        self._texts = texts
        self.read_at_us = read_at_us
        self._lengths: dict[str, NDArray[np.int32]] = {}

    def lengths(self, name: str) -> NDArray[np.int32]:
        """Return the length of each value of a field in bytes; 0 for an empty one."""
        if name not in self._lengths:
            self._lengths[name] = pc.fill_null(pc.binary_length(self._texts[name]), 0).to_numpy()
        return self._lengths[name]

    def is_empty(self, name: str) -> Mask:
        """Return the mask of the rows in which a field is empty."""
        return self.lengths(name) == 0

    def is_longer(self, name: str, characters: int) -> Mask:
        """Return the mask of the rows in which a field has more than this number of characters."""
        is_long = self.lengths(name) > characters
        if is_long.any():
            # A character may take several bytes, so count the characters of the long values.
            is_long &= pc.fill_null(pc.utf8_length(self._texts[name]), 0).to_numpy() > characters
        return is_long

    def matches(self, name: str, pattern: str) -> Mask:
        """Return the mask of the rows in which a field is not empty and matches a regular expression (RE2)."""
        return _mask(pc.match_substring_regex(self._texts[name], pattern))

    def texts(self, name: str, rows: NDArray[np.int64]) -> list[str | None]:
        """Return a field of the given rows as delivered."""
        texts: list[str | None] = self._texts[name].take(pa.array(rows)).to_pylist()
        return texts

    def is_in(self, name: str, values: tuple[str, ...]) -> Mask:
        """Return the mask of the rows in which a field is one of the values."""
        return _mask(pc.is_in(self._texts[name], value_set=_value_set(values)))

    @cached_property
    def event_id(self) -> Values:
        """The bytes of the UUIDs."""
        is_valid = self.matches("event_id", UUID7_PATTERN)
        texts = pc.filter(self._texts["event_id"], pa.array(is_valid))
        digits = _HEX_VALUES[_characters(texts, 36)[:, _HEX_PLACES]]
        ids = np.zeros((len(is_valid), 16), np.uint8)
        ids[is_valid] = digits[:, ::2] << 4 | digits[:, 1::2]
        buffers = [_validity(is_valid), pa.py_buffer(ids)]
        return Values(pa.Array.from_buffers(pa.binary(16), len(ids), buffers), is_valid)

    @cached_property
    def event_id_ms(self) -> NDArray[np.int64]:
        """The times in the UUIDs, milliseconds since 1970 (RFC 9562, section 5.7); 0 where the UUID is not valid."""
        return id_milliseconds(self.event_id.array)

    @cached_property
    def event_time(self) -> Values:
        """The event times, UTC."""
        is_valid = self.matches("event_time", TIME_PATTERN)
        texts = self._texts["event_time"]
        if not is_valid.all():
            is_odd = self.matches("event_time", ODD_TIME_PATTERN) & ~is_valid
            if is_odd.any():
                plain = pc.replace_substring_regex(texts, TIME_DECIMALS, r".\1", max_replacements=1)
                texts = pc.if_else(pa.array(is_odd), plain, texts)
                is_valid |= is_odd
        leap_days = _mask(pc.match_substring(texts, "-02-29")) & is_valid
        for row in np.flatnonzero(leap_days).tolist():
            year = _LEAP_DAY.match(texts[row].as_py())
            is_valid[row] = year is not None and _is_leap(int(year[1]))
        return _cast(texts, is_valid, pa.timestamp("us", tz="UTC"))

    @cached_property
    def event_time_us(self) -> NDArray[np.int64]:
        """The event times, microseconds since 1970; 0 where the time is not valid."""
        return pc.fill_null(self.event_time.array.cast(pa.int64()), 0).to_numpy()

    @cached_property
    def unit_price(self) -> Values:
        """The prices, as exact decimals."""
        return _cast(self._texts["unit_price"], self.matches("unit_price", PRICE_PATTERN), pa.decimal128(12, 2))

    @cached_property
    def unit_price_cents(self) -> NDArray[np.int64]:
        """The prices in hundredths of their currency; 0 where the price is not valid."""
        return cents(self.unit_price.array)

    @cached_property
    def quantity(self) -> Values:
        """The quantities."""
        return _cast(self._texts["quantity"], self.matches("quantity", QUANTITY_PATTERN), pa.int32())

    def typed(self, name: str) -> pa.Array:
        """Return a column of the contract with its type in ARROW_TYPES; null where a value does not parse."""
        if ARROW_TYPES[name] == pa.string():
            return self._texts[name]
        values: Values = getattr(self, name)
        return values.array


def id_milliseconds(event_ids: pa.FixedSizeBinaryArray) -> NDArray[np.int64]:
    """Return the times in UUIDv7s, milliseconds since 1970."""
    halves = id_halves(event_ids)
    return (halves[:, 0] >> np.uint64(16)).astype(np.int64)


def id_halves(event_ids: pa.FixedSizeBinaryArray) -> NDArray[np.uint64]:
    """Return binary UUIDs as numbers, shape (n, 2), the more significant half first."""
    data = np.frombuffer(event_ids.buffers()[1], ">u8").reshape(-1, 2)
    return data[event_ids.offset : event_ids.offset + len(event_ids)].astype(np.uint64)


def cents(prices: pa.Decimal128Array) -> NDArray[np.int64]:
    """Return exact decimals with two places as integer hundredths; 0 for null."""
    filled = pc.fill_null(prices, pa.scalar(Decimal(0), prices.type))
    # A decimal128 stores its hundredths as a little-endian integer of 16 bytes. Twelve digits fit into the first 8.
    return np.frombuffer(filled.buffers()[1], "<i8")[::2][filled.offset : filled.offset + len(filled)]


@cache
def _value_set(values: tuple[str, ...]) -> pa.StringArray:
    return pa.array(values, pa.string())


def _mask(truth: pa.BooleanArray) -> Mask:
    return pc.fill_null(truth, False).to_numpy(zero_copy_only=False)


def _cast(texts: pa.StringArray, is_valid: Mask, type_: pa.DataType) -> Values:
    """Cast the valid texts to a type; the others become null."""
    if not is_valid.all():
        texts = pc.if_else(pa.array(is_valid), texts, pa.scalar(None, pa.string()))
    return Values(texts.cast(type_), is_valid)


def _characters(texts: pa.StringArray, length: int) -> NDArray[np.uint8]:
    """Return the bytes of texts of equal length, shape (n, length)."""
    if not len(texts):
        return np.empty((0, length), np.uint8)
    ends = np.frombuffer(texts.buffers()[1], np.int32)
    start = ends[texts.offset]
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    return data[start : start + len(texts) * length].reshape(-1, length)


def _validity(is_valid: Mask) -> pa.Buffer | None:
    return None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))


def _is_leap(year: int) -> bool:
    return year > 0 and (date(year, 3, 1) - date(year, 2, 1)).days == 29
