"""Finds the events of a micro-batch that are stored already, or stand in it twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.db import load_queries

_SQL = load_queries("duplicates")


def duplicate_mask(cursor: Any, event_ids: pa.ChunkedArray) -> np.ndarray:
    """Which events must not be stored: not the first of their id in the batch, or stored by an earlier one.

    Ids are UUIDv7 and so ordered by time: an id above the highest stored one is new without a look. Only the others
    are looked up, so the cost follows the number of late events, not that of all.

    Parameters
    ----------
    cursor:
        In the transaction that will store the events; the caller is the only writer.
    event_ids:
        Texts in canonical form, in the order of arrival.

    Returns
    -------
    numpy.ndarray
        Of bool, one for each event.
    """
    encoded = pc.dictionary_encode(event_ids).combine_chunks()
    distinct, codes = encoded.dictionary, encoded.indices.to_numpy()
    is_duplicate = np.ones(len(codes), dtype=bool)
    is_duplicate[np.unique(codes, return_index=True)[1]] = False

    cursor.execute(_SQL["newest"])
    newest = cursor.fetchone()
    if newest is None:
        return is_duplicate
    doubtful = distinct.filter(pc.less_equal(distinct, newest[0]))
    if len(doubtful) == 0:
        return is_duplicate
    cursor.execute(_SQL["stored"], {"event_ids": doubtful.to_pylist()})
    stored = pa.array([event_id for (event_id,) in cursor.fetchall()], pa.string())
    is_stored = pc.is_in(distinct, value_set=stored).to_numpy(zero_copy_only=False)
    return is_duplicate | is_stored[codes]
