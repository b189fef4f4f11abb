"""The fields of many rows, and what they say: each value is worked out once, for all rules that ask for it.

Everything is done by whole columns, in Arrow's and NumPy's compiled code: a rule costs nanoseconds a row.
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
from include.contract.patterns import PRICE_PATTERN, QUANTITY_PATTERN, TIME_PATTERN, UUID7_PATTERN

Mask = NDArray[np.bool_]

# By the type in PostgreSQL; a uuid is its 16 bytes, most significant first.
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
# By byte: the value of a hexadecimal digit.
_HEX_VALUES = np.zeros(256, np.uint8)
_HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True, eq=False)
class Values:
    """The parsed values of one field, by row.

    Parameters
    ----------
    array:
        Of the type in ARROW_TYPES; null where there is no valid value.
    is_valid:
        Where there is one.
    """

    array: pa.Array
    is_valid: Mask


class Fields:
    """The text fields of rows.

    Parameters
    ----------
    texts:
        One array of texts for every column of the contract: null for an absent field, empty for a quoted empty one.
    read_at_us:
        When they were read, microseconds since 1970.
    """

    def __init__(self, texts: Mapping[str, pa.StringArray], read_at_us: int) -> None:
        self._texts = texts
        self.read_at_us = read_at_us
        self._lengths: dict[str, NDArray[np.int32]] = {}

    def lengths(self, name: str) -> NDArray[np.int32]:
        """Bytes of a field; 0 for an absent one."""
        if name not in self._lengths:
            self._lengths[name] = pc.fill_null(pc.binary_length(self._texts[name]), 0).to_numpy()
        return self._lengths[name]

    def is_empty(self, name: str) -> Mask:
        """Where a field is absent or an empty text."""
        return self.lengths(name) == 0

    def is_longer(self, name: str, characters: int) -> Mask:
        """Where a field has more characters."""
        is_long = self.lengths(name) > characters
        if is_long.any():
            # As many bytes need not be as many characters.
            is_long &= pc.fill_null(pc.utf8_length(self._texts[name]), 0).to_numpy() > characters
        return is_long

    def matches(self, name: str, pattern: str) -> Mask:
        """Where a field is present and matches a regular expression (RE2)."""
        return _mask(pc.match_substring_regex(self._texts[name], pattern))

    def is_in(self, name: str, values: tuple[str, ...]) -> Mask:
        """Where a field is one of the values."""
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
        """The times inside the UUIDs, milliseconds since 1970 (RFC 9562, section 5.7); 0 where there is none."""
        return id_milliseconds(self.event_id.array)

    @cached_property
    def event_time(self) -> Values:
        """The instants, UTC."""
        is_valid = self.matches("event_time", TIME_PATTERN)
        texts = self._texts["event_time"]
        leap_days = _mask(pc.match_substring(texts, "-02-29")) & is_valid
        for row in np.flatnonzero(leap_days).tolist():
            year = _LEAP_DAY.match(texts[row].as_py())
            is_valid[row] = year is not None and _is_leap(int(year[1]))
        return _cast(texts, is_valid, pa.timestamp("us", tz="UTC"))

    @cached_property
    def event_time_us(self) -> NDArray[np.int64]:
        """The instants, microseconds since 1970; 0 where there is none."""
        return pc.fill_null(self.event_time.array.cast(pa.int64()), 0).to_numpy()

    @cached_property
    def unit_price(self) -> Values:
        """The prices, exactly."""
        return _cast(self._texts["unit_price"], self.matches("unit_price", PRICE_PATTERN), pa.decimal128(12, 2))

    @cached_property
    def unit_price_cents(self) -> NDArray[np.int64]:
        """The prices in hundredths of their currency; 0 where there is none."""
        return cents(self.unit_price.array)

    @cached_property
    def quantity(self) -> Values:
        """The quantities."""
        return _cast(self._texts["quantity"], self.matches("quantity", QUANTITY_PATTERN), pa.int32())

    def typed(self, name: str) -> pa.Array:
        """A column of the contract with its type in ARROW_TYPES; what does not parse is null."""
        if ARROW_TYPES[name] == pa.string():
            return self._texts[name]
        values: Values = getattr(self, name)
        return values.array


def id_milliseconds(event_ids: pa.FixedSizeBinaryArray) -> NDArray[np.int64]:
    """The times inside UUIDv7s, milliseconds since 1970."""
    halves = id_halves(event_ids)
    return (halves[:, 0] >> np.uint64(16)).astype(np.int64)


def id_halves(event_ids: pa.FixedSizeBinaryArray) -> NDArray[np.uint64]:
    """Binary UUIDs as numbers: shape (n, 2), the more significant half first."""
    data = np.frombuffer(event_ids.buffers()[1], ">u8").reshape(-1, 2)
    return data[event_ids.offset : event_ids.offset + len(event_ids)].astype(np.uint64)


def cents(prices: pa.Decimal128Array) -> NDArray[np.int64]:
    """Exact decimals with two places as whole hundredths; 0 for null."""
    filled = pc.fill_null(prices, pa.scalar(Decimal(0), prices.type))
    # A decimal128 is its hundredths as a little-endian integer of 16 bytes, of which twelve digits need the first 8.
    return np.frombuffer(filled.buffers()[1], "<i8")[::2][filled.offset : filled.offset + len(filled)]


@cache
def _value_set(values: tuple[str, ...]) -> pa.StringArray:
    return pa.array(values, pa.string())


def _mask(truth: pa.BooleanArray) -> Mask:
    return pc.fill_null(truth, False).to_numpy(zero_copy_only=False)


def _cast(texts: pa.StringArray, is_valid: Mask, type_: pa.DataType) -> Values:
    """Parse the texts that are known to be valid."""
    if not is_valid.all():
        texts = pc.if_else(pa.array(is_valid), texts, pa.scalar(None, pa.string()))
    return Values(texts.cast(type_), is_valid)


def _characters(texts: pa.StringArray, length: int) -> NDArray[np.uint8]:
    """The bytes of texts that all have the same length: shape (n, length)."""
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
