"""Prepare the slices of a batch for the transaction that stores them, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contract import PAST_RETENTION
from include.stream.storage.copy import BinaryRows
from include.stream.storage.duplicates import Duplicates
from include.stream.storage.retired_days import RetiredDays
from include.stream.storage.slice_rows import (
    Footer,
    event_columns,
    event_days,
    event_time_range,
    footers_of,
    minute_sums,
    rows_per_file,
    split,
    warnings_of,
)
from include.stream.storage.slices import Balance, WaitingFile, balances_of, waiting_files
from include.stream.validation.validate import BROKEN_RULES, flag_of

_OF_REJECTS = ["file_id", "line", BROKEN_RULES, "detail"]


@dataclass(frozen=True)
class Events:
    """The accepted events of a slice.

    Parameters
    ----------
    rows:
        Encoded for COPY.
    days:
        The days since 1970 of the timestamps inside their ids.
    sums:
        For the rollups.
    times:
        The first and last event_time.
    warnings:
        How many rows broke each warning rule.
    """

    rows: BinaryRows
    days: set[int]
    sums: pa.Table
    times: tuple[datetime, datetime]
    warnings: Mapping[str, int]


@dataclass(frozen=True)
class Prepared:
    """A slice split by outcome; files that were loaded before are left out.

    Parameters
    ----------
    footers, waiting, balances:
        One entry per file, by file id.
    events:
        The accepted events; None when there are none.
    repeated:
        The duplicates, with all validated columns.
    rejected:
        file_id, line, flags and detail of the rejected rows.
    """

    footers: Mapping[int, Footer]
    waiting: Mapping[int, WaitingFile]
    balances: Mapping[int, Balance]
    events: Events | None
    repeated: pa.Table
    rejected: pa.Table


class Preparer:
    """Prepare the slices of one batch, one after the other.

    Parameters
    ----------
    cursor:
        Of another connection than the one that writes, so that both can work at once. Its view does not change, since
        the batch holds the writer epoch.
    batch_id, ingested_at:
        The batch id and ingestion time to store with the events.
    """

    def __init__(self, cursor: Any, batch_id: int, ingested_at: datetime) -> None:
        self._cursor = cursor
        self._batch_id = pa.scalar(batch_id, pa.int64())
        self._ingested_at = pa.scalar(ingested_at, pa.timestamp("us", tz="UTC"))
        self._duplicates = Duplicates(cursor)
        self._retired_days = RetiredDays(cursor, ingested_at)

    def prepare(self, part: pa.Table) -> Prepared:
        """Split a slice by outcome; it holds whole files or whole slices of them, each with its footer.

        Raises
        ------
        BalanceError
            When the rows of a file do not add up.
        """
        footers = footers_of(part)
        waiting = waiting_files(self._cursor, footers)
        footers = {file_id: footer for file_id, footer in footers.items() if file_id in waiting}
        passed, failed = split(part, [file_id for file_id, footer in footers.items() if footer.fault is None])
        repeats = passed.copy()
        repeats[passed] = self._duplicates.mask(part["event_id"].filter(pa.array(passed)))
        # A filter copies every column, so filter the bulk of the rows only once.
        accepted, repeated = part.filter(pa.array(passed & ~repeats)), part.filter(pa.array(repeats))
        rejected = part.select(_OF_REJECTS).filter(pa.array(failed))
        days = event_days(accepted)
        forgotten = self._retired_days.forgotten(accepted["event_id"], accepted["file_id"], days, footers)
        if forgotten is not None:
            repeated = pa.concat_tables([repeated, accepted.filter(pa.array(forgotten.is_known))])
            past = accepted.select(_OF_REJECTS).filter(pa.array(forgotten.is_unknown))
            rejected = pa.concat_tables([rejected, _rejected_for(PAST_RETENTION, past)])
            accepted = accepted.filter(pa.array(~(forgotten.is_known | forgotten.is_unknown)))
            days = event_days(accepted)
        return Prepared(
            footers,
            waiting,
            balances_of(footers, rows_per_file(accepted), rows_per_file(repeated), rows_per_file(rejected)),
            self._events(accepted, days) if accepted.num_rows else None,
            repeated,
            rejected,
        )

    def _events(self, accepted: pa.Table, days: set[int]) -> Events:
        size = accepted.num_rows
        rows = event_columns(accepted)
        rows = rows.append_column("batch_id", pa.repeat(self._batch_id, size))
        rows = rows.append_column("ingested_at", pa.repeat(self._ingested_at, size))
        return Events(
            BinaryRows.of(rows, json_columns=["extra"]),
            days,
            minute_sums(accepted),
            event_time_range(accepted),
            warnings_of(accepted),
        )


def _rejected_for(code: str, rows: pa.Table) -> pa.Table:
    """Return the rows with the flag of one more broken rule set."""
    place = rows.schema.get_field_index(BROKEN_RULES)
    return rows.set_column(place, BROKEN_RULES, pc.bit_wise_or(rows[BROKEN_RULES], flag_of(code)))
