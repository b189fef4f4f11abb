"""Write events as CSV lines with vectorized code; formatting in Python would cost ten times as much as the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contract.columns import CHANNELS, COLUMN_NAMES, CURRENCIES, DEVICES, EVENT_TYPES, PAYMENT_METHODS
from include.generator.arrow import fixed_width, take, texts
from include.generator.pools import Customers, Products
from include.generator.traffic import MAX_QUANTITY, NO_ORDER, Events

HEADER = ",".join(COLUMN_NAMES).encode() + b"\n"

_NOTHING, _COMMA, _LINE_FEED = texts([b"", b",", b"\n"])
_QUOTED = frozenset(',"\r\n')

# The four hexadecimal digits of every 16-bit number.
_HEX = np.frombuffer(b"".join(b"%04x" % number for number in range(1 << 16)), "S4")


def csv_field(text: str) -> bytes:
    """Return a field in the format of RFC 4180, quoted if necessary, with doubled quotes."""
    if not _QUOTED.isdisjoint(text):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


class Renderer:
    """A renderer of events as CSV lines with the columns in the order of the contract.

    Parameters
    ----------
    customers, products:
        The pools that the events refer to.
    rng:
        The source of the random bits of event ids.
    """

    def __init__(self, customers: Customers, products: Products, rng: np.random.Generator) -> None:
        self._rng = rng
        self._price_cents = products.price_cents
        self._currency = customers.currency
        prices = [f"{cents // 100}.{cents % 100:02d}" for cents in products.price_cents.ravel().tolist()]
        # For each column the index and the texts to look up. Neighboring columns with the same index are joined.
        tables: dict[str, tuple[str, Sequence[str]]] = {
            **{name: ("customer", values) for name, values in customers.texts.items()},
            **{name: ("product", values) for name, values in products.texts.items()},
            "unit_price": ("price", prices),
            "event_type": ("type", EVENT_TYPES),
            "quantity": ("quantity", ["", *(str(number) for number in range(1, MAX_QUANTITY + 1))]),
            "payment_method": ("payment", [*PAYMENT_METHODS, ""]),
            "channel": ("channel", CHANNELS),
            "device": ("device", DEVICES),
        }
        self._pieces = _joined_neighbours(tables)

    def lines(self, events: Events) -> pa.BinaryArray:
        """Return one line per event with its line feed; ids are derived from the time of the event."""
        indices = {
            "customer": events["customer"],
            "product": events["product"],
            "price": events["product"] * len(CURRENCIES) + self._currency[events["customer"]],
            **{name: events[name] for name in ("type", "quantity", "payment", "channel", "device")},
        }
        minted = {
            "event_id": lambda: uuid7(events["time_ms"], self._rng),
            "event_time": lambda: iso_times(events["time_ms"]),
            "session_id": lambda: _numbered(b"S", events["session"]),
            "order_id": lambda: _numbered_orders(events["order"]),
        }
        columns = [
            minted[source]() if table is None else take(table, indices[source]) for source, table in self._pieces
        ]
        return pc.binary_join_element_wise(pc.binary_join_element_wise(*columns, _COMMA), _NOTHING, _LINE_FEED)

    def amounts_cents(self, events: Events) -> NDArray[np.int64]:
        """Return unit price times quantity of each event, in hundredths of its currency."""
        price = self._price_cents[events["product"], self._currency[events["customer"]]]
        return price * events["quantity"]

    def currencies(self, events: Events) -> NDArray[np.int8]:
        """Return the currency of each event, as an index into ``CURRENCIES``."""
        return self._currency[events["customer"]]


def _joined_neighbours(tables: Mapping[str, tuple[str, Sequence[str]]]) -> list[tuple[str, pa.BinaryArray | None]]:
    """Return the pieces of a line in order; adjacent columns with the same index are joined into one piece.

    Returns
    -------
    list
        Pairs of the name of an index and its table, or of the name of a computed column and None.
    """
    pieces: list[tuple[str, pa.BinaryArray | None]] = []
    for source, names in groupby(COLUMN_NAMES, key=lambda name: tables[name][0] if name in tables else name):
        fields = [[csv_field(text) for text in tables[name][1]] for name in names if name in tables]
        pieces.append((source, texts([b",".join(row) for row in zip(*fields, strict=True)]) if fields else None))
    return pieces


def uuid7(time_ms: NDArray[np.int64], rng: np.random.Generator) -> pa.BinaryArray:
    """Return a UUIDv7 in lower case for each Unix millisecond (RFC 9562, section 5.7), with 74 random bits."""
    words = np.empty((len(time_ms), 8), np.uint16)
    words[:, 3:] = rng.integers(0, 1 << 16, (len(time_ms), 5), np.uint16)
    for word in range(3):
        words[:, word] = time_ms >> (32 - 16 * word) & 0xFFFF
    words[:, 3] = words[:, 3] & 0x0FFF | 0x7000
    words[:, 4] = words[:, 4] & 0x3FFF | 0x8000
    digits = _HEX[words].view(np.uint8).reshape(-1, 32)
    text = np.full((len(time_ms), 36), ord("-"), np.uint8)
    for group, (begin, end) in enumerate(((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))):
        text[:, begin + group : end + group] = digits[:, begin:end]
    return fixed_width(text)


def iso_times(time_ms: NDArray[np.int64]) -> pa.BinaryArray:
    """Return times in ISO 8601, UTC with milliseconds, for example ``2026-11-22T09:30:00.125Z``."""
    # A file spans few minutes, so each minute is formatted once. Seconds and milliseconds are computed as digits.
    minute, within = np.divmod(time_ms, 60_000)
    minutes, which = np.unique(minute, return_inverse=True)
    prefixes = np.datetime_as_string(minutes.astype("datetime64[m]")).astype("S16").view(np.uint8).reshape(-1, 16)
    text = np.empty((len(time_ms), 24), np.uint8)
    text[:, :16] = prefixes[which]
    text[:, [16, 19, 23]] = np.frombuffer(b":.Z", np.uint8)
    for position, unit in ((17, 10_000), (18, 1000), (20, 100), (21, 10), (22, 1)):
        text[:, position] = within // unit % 10 + ord("0")
    return fixed_width(text)


def _numbered(letter: bytes, numbers: NDArray[np.int64]) -> pa.BinaryArray:
    """Return a letter and the sixteen hexadecimal digits of each number."""
    words = np.stack([numbers >> shift & 0xFFFF for shift in (48, 32, 16, 0)], axis=1)
    text = np.empty((len(numbers), 17), np.uint8)
    text[:, 0] = ord(letter)
    text[:, 1:] = _HEX[words].view(np.uint8).reshape(-1, 16)
    return fixed_width(text)


def _numbered_orders(orders: NDArray[np.int64]) -> pa.BinaryArray:
    """Return the id of each order, or an empty text for events without an order."""
    has_order = orders != NO_ORDER
    numbered = pa.concat_arrays([texts([b""]), _numbered(b"O", orders[has_order])])
    return take(numbered, np.where(has_order, np.cumsum(has_order), 0))
