"""Finds the events of a micro-batch that are stored already, or stand in it twice."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contract.fields import Mask, id_halves
from include.db import load_queries

_SQL = load_queries("duplicates")


class Duplicates:
    """The events that must not be stored: not the first of their id in the batch, or stored by an earlier one.

    Ids are UUIDv7 and so ordered by time: an id above the highest one is new without a look. Only the others are looked
    up, so the cost follows the number of late events, not that of all.

    Parameters
    ----------
    cursor:
        Of the only writer, but not in the transaction that stores the events: what it sees stands still meanwhile.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        cursor.execute(_SQL["newest"])
        row = cursor.fetchone()
        self._highest_stored = UUID(row[0]).int if row else -1
        self._highest_seen = -1
        self._seen: list[pa.Array] = []

    def mask(self, event_ids: pa.ChunkedArray) -> Mask:
        """Which of these events must not be stored; the ids of one part of the batch after the other.

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
        """Which ids stood in an earlier part of the batch."""
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
            self._cursor.execute(_SQL["stored"], {"event_ids": [str(UUID(bytes=one)) for one in doubtful.to_pylist()]})
            stored = pa.array([UUID(event_id).bytes for (event_id,) in self._cursor.fetchall()], doubtful.type)
            is_stored[is_stored] = pc.is_in(doubtful, value_set=stored).to_numpy(zero_copy_only=False)
        return is_stored


def _highest(event_ids: pa.Array) -> int:
    halves = id_halves(event_ids)
    high = halves[:, 0].max()
    return int(high) << 64 | int(halves[halves[:, 0] == high, 1].max())


def _is_at_most(event_ids: pa.Array, highest: int) -> Mask:
    """Which ids are not above a 128-bit number, which is -1 when there is none yet."""
    if highest < 0:
        return np.zeros(len(event_ids), bool)
    halves = id_halves(event_ids)
    high, low = np.uint64(highest >> 64), np.uint64(highest & (1 << 64) - 1)
    return (halves[:, 0] < high) | ((halves[:, 0] == high) & (halves[:, 1] <= low))
