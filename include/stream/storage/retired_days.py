"""Handle events of days that retention has removed, for which it is no longer known whether they were stored.

An id is looked up among the stored events first, and the retired days are read after that. A day that is retired in
between is thus either still complete in the lookup, or already recorded when the retired days are read. No event is
stored twice in either case, and no lock is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from include.contract.fields import Mask, id_milliseconds
from include.db import load_queries
from include.stream.storage.slice_rows import Footer

_SQL = load_queries("retired")
_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Forgotten:
    """Events that are not stored and may have been removed by retention.

    Parameters
    ----------
    is_known:
        Rows in a file whose content was loaded before, while the events of their day were still complete: these rows
        were counted then.
    is_unknown:
        The other rows.
    """

    is_known: Mask
    is_unknown: Mask


class RetiredDays:
    """The days whose events were removed.

    Parameters
    ----------
    cursor:
        Sees what is committed, statement by statement.
    now:
        The time of the batch, by the clock of the database.
    """

    def __init__(self, cursor: Any, now: datetime) -> None:
        self._cursor = cursor
        # Events of the last day are never removed, and nearly all events are that new: they cost no query.
        self._last_possible = (now.date() - timedelta(days=1) - _EPOCH).days

    def forgotten(
        self, event_ids: pa.ChunkedArray, file_ids: pa.ChunkedArray, days: Iterable[int], footers: Mapping[int, Footer]
    ) -> Forgotten | None:
        """Return which of these events are of a retired day; None when none is. No event may be stored yet.

        Parameters
        ----------
        event_ids, file_ids:
            Columns of the events, without nulls.
        days:
            The days since 1970 inside the ids.
        footers:
            The footers of the files.
        """
        old = [_EPOCH + timedelta(days=day) for day in days if day <= self._last_possible]
        if not old:
            return None
        self._cursor.execute(_SQL["retired_days"], {"days": old})
        retired_at: dict[int, datetime] = {(day - _EPOCH).days: moment for day, moment in self._cursor.fetchall()}
        if not retired_at:
            return None
        row_days = np.concatenate([id_milliseconds(chunk) // _DAY_MS for chunk in event_ids.chunks])
        is_retired = np.isin(row_days, list(retired_at))
        files = file_ids.to_numpy()
        is_known = np.zeros(len(files), bool)
        for file_id, loaded_at in self._first_loaded(footers, np.unique(files[is_retired]).tolist()).items():
            known_days = [day for day, moment in retired_at.items() if loaded_at < moment]
            is_known |= (files == file_id) & np.isin(row_days, known_days)
        return Forgotten(is_known, is_retired & ~is_known)

    def _first_loaded(self, footers: Mapping[int, Footer], file_ids: list[int]) -> dict[int, datetime]:
        """Return when the content of these files was first loaded; files with new content are absent."""
        # Only the first slice of a file has its digest; for later slices the query takes it from the ledger.
        digests = [footers[file_id].digest for file_id in file_ids]
        self._cursor.execute(_SQL["first_loaded"], {"file_ids": file_ids, "digests": digests})
        return dict(self._cursor.fetchall())
