"""Find the events of a micro-batch that are already stored or occur twice in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contract.fields import Mask, id_halves, id_milliseconds
from include.db import load_queries

_SQL = load_queries("duplicates")

# Measured on the ids of an old file, none of which can be ruled out: reading a range of the index costs 0.14 µs per id,
# a lookup 0.8 µs. A range therefore pays only if it holds at most a few times as many stored ids. One query costs as
# much as some hundred ids.
_GAP_MS = 1000
_LEAST_TOGETHER = 200
_MOST_AROUND = 4


class Duplicates:
    """Find the events that must not be stored: repeats within the batch, and events stored by an earlier batch.

    Ids are UUIDv7 and thus ordered by time, so an id above the highest one is new without a lookup. The cost follows
    the number of the other ids, those of late events and old files.

    Parameters
    ----------
    cursor:
        Of the only writer, but outside the transaction that stores the events, so its view does not change meanwhile.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        cursor.execute(_SQL["newest"])
        row = cursor.fetchone()
        self._highest_stored = UUID(row[0]).int if row else -1
        self._highest_seen = -1
        self._seen: list[pa.Array] = []

    def mask(self, event_ids: pa.ChunkedArray) -> Mask:
        """Return which of these events must not be stored; call it once per slice of the batch, in order.

        Parameters
        ----------
        event_ids:
            Binary UUIDs, in the order of arrival.
        """
        encoded = pc.dictionary_encode(event_ids).combine_chunks()
        distinct, codes = encoded.dictionary, encoded.indices.to_numpy()
        is_repeated = np.ones(len(codes), dtype=bool)
        is_repeated[np.unique(codes, return_index=True)[1]] = False
        is_known = self._is_seen(distinct) | self._is_stored(distinct)
        if len(distinct):
            self._seen.append(distinct)
            self._highest_seen = max(self._highest_seen, _highest(distinct))
        return is_repeated | is_known[codes]

    def _is_seen(self, distinct: pa.Array) -> Mask:
        """Return which ids occurred in an earlier slice of the batch."""
        is_seen = _is_at_most(distinct, self._highest_seen)
        if is_seen.any():
            doubtful = distinct.filter(pa.array(is_seen))
            found = [pc.is_in(doubtful, value_set=seen).to_numpy(zero_copy_only=False) for seen in self._seen]
            is_seen[is_seen] = np.any(found, axis=0)
        return is_seen

    def _is_stored(self, distinct: pa.Array) -> Mask:
        is_stored = _is_at_most(distinct, self._highest_stored)
        if is_stored.any():
            doubtful = distinct.filter(pa.array(is_stored))
            stored = pa.concat_arrays(list(self._stored_near(doubtful)))
            is_stored[is_stored] = pc.is_in(doubtful, value_set=stored).to_numpy(zero_copy_only=False)
        return is_stored

    def _stored_near(self, doubtful: pa.Array) -> Iterator[pa.Array]:
        """Yield stored ids, among them all of the given ids that are stored.

        Ids that are close together, as in an old file, are compared with all stored ids of their range, since reading a
        range of the index costs a sixth of looking each id up. The other ids are looked up.
        """
        ordered = doubtful.take(pc.sort_indices(doubtful))
        ends = [0, *(np.flatnonzero(np.diff(id_milliseconds(ordered)) > _GAP_MS) + 1).tolist(), len(ordered)]
        alone: list[pa.Array] = []
        for start, end in itertools.pairwise(ends):
            together = ordered.slice(start, end - start)
            found = self._stored_between(together) if len(together) >= _LEAST_TOGETHER else None
            if found is None:
                alone.append(together)
            else:
                yield found
        if alone:
            ids = pa.concat_arrays(alone)
            # The hex digits of each id; PostgreSQL needs no hyphens.
            array = f"{{{_bytes_of(ids).hex(',', 16)}}}"
            yield self._ids(_SQL["stored"], {"event_ids": array})

    def _stored_between(self, ordered: pa.Array) -> pa.Array | None:
        """Return all stored ids between the first and last given id; None when there are many times as many."""
        data, most = _bytes_of(ordered), _MOST_AROUND * len(ordered)
        found = self._ids(_SQL["stored_between"], {"first": data[:16].hex(), "last": data[-16:].hex(), "most": most})
        return found if len(found) < most else None

    def _ids(self, query: str, parameters: Mapping[str, object]) -> pa.Array:
        self._cursor.execute(query, parameters)
        (together,) = self._cursor.fetchone()
        data = pa.py_buffer(bytes(together or b""))
        return pa.Array.from_buffers(pa.binary(16), data.size // 16, [None, data])


def _bytes_of(event_ids: pa.Array) -> bytes:
    start = 16 * event_ids.offset
    return bytes(event_ids.buffers()[1][start : start + 16 * len(event_ids)])


def _highest(event_ids: pa.Array) -> int:
    halves = id_halves(event_ids)
    high = halves[:, 0].max()
    return int(high) << 64 | int(halves[halves[:, 0] == high, 1].max())


def _is_at_most(event_ids: pa.Array, highest: int) -> Mask:
    """Return which ids are not above a 128-bit number; -1 means that there is none yet."""
    if highest < 0:
        return np.zeros(len(event_ids), bool)
    halves = id_halves(event_ids)
    high, low = np.uint64(highest >> 64), np.uint64(highest & (1 << 64) - 1)
    return (halves[:, 0] < high) | ((halves[:, 0] == high) & (halves[:, 1] <= low))
