"""Prepares the parts of a batch for the transaction that stores them: everything that does not write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from include.stream.batch import (
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
from include.stream.copy import BinaryRows
from include.stream.duplicates import Duplicates
from include.stream.judge import BROKEN_RULES
from include.stream.parts import Balance, WaitingFile, balances_of, waiting_files


@dataclass(frozen=True)
class Events:
    """The accepted events of a part.

    Parameters
    ----------
    rows:
        As PostgreSQL takes them.
    days:
        The days since 1970 inside their ids.
    sums:
        For the rollups.
    times:
        The first and the last event_time.
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
    """A part, taken apart; of the files that were loaded before nothing is left.

    Parameters
    ----------
    footers, waiting, balances:
        Of each file, by file id.
    events:
        What is accepted; None when nothing is.
    repeated:
        The duplicates, as they were judged.
    rejected:
        file_id, line and flags of the rejected rows.
    """

    footers: Mapping[int, Footer]
    waiting: Mapping[int, WaitingFile]
    balances: Mapping[int, Balance]
    events: Events | None
    repeated: pa.Table
    rejected: pa.Table


class Preparer:
    """Prepares the parts of one batch, one after the other.

    Parameters
    ----------
    cursor:
        Of another connection than the one that writes, so that both can work at once. What it sees stands still, since
        the batch holds the writer epoch.
    batch_id, ingested_at:
        What the events say of their batch.
    """

    def __init__(self, cursor: Any, batch_id: int, ingested_at: datetime) -> None:
        self._cursor = cursor
        self._batch_id = pa.scalar(batch_id, pa.int64())
        self._ingested_at = pa.scalar(ingested_at, pa.timestamp("us", tz="UTC"))
        self._duplicates = Duplicates(cursor)

    def prepare(self, part: pa.Table) -> Prepared:
        """Take a part apart: whole files, or whole parts of them, each with its footer.

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
        # Each filter copies every column: that of nearly all rows is done once.
        accepted, repeated = part.filter(pa.array(passed & ~repeats)), part.filter(pa.array(repeats))
        rejected = part.select(["file_id", "line", BROKEN_RULES]).filter(pa.array(failed))
        return Prepared(
            footers,
            waiting,
            balances_of(footers, rows_per_file(accepted), rows_per_file(repeated), rows_per_file(rejected)),
            self._events(accepted) if accepted.num_rows else None,
            repeated,
            rejected,
        )

    def _events(self, accepted: pa.Table) -> Events:
        size = accepted.num_rows
        rows = event_columns(accepted)
        rows = rows.append_column("batch_id", pa.repeat(self._batch_id, size))
        rows = rows.append_column("ingested_at", pa.repeat(self._ingested_at, size))
        return Events(
            BinaryRows.of(rows, json_columns=["extra"]),
            event_days(accepted),
            minute_sums(accepted),
            event_time_range(accepted),
            warnings_of(accepted),
        )
