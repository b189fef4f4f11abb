"""The batch transaction: ledger, events, rejects, rollups and the balance of every file, all or nothing.

What makes it exactly once is in Postgres alone: the writer epoch fences older drivers, a file is loaded only while its
row in ``shop.files`` says ``admitted``, and the primary key of ``shop.events`` rules out a second event of an id.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from include.db import connect, load_queries, one_row, transaction
from include.errors import BalanceError
from include.stream.batch import (
    BROKEN_RULES,
    Footer,
    event_columns,
    event_days,
    event_time_range,
    footers_of,
    minute_rollup,
    reasons_of,
    rows_per_file,
    split,
    warnings_of,
)
from include.stream.copy import copy_table
from include.stream.duplicates import duplicate_mask
from include.stream.epoch import hold_epoch
from include.stream.landing import Landing
from include.stream.raw_lines import raw_lines
from include.stream.settle import settle_files

_SQL = load_queries("sink")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchResult:
    """What a committed batch did; durations in milliseconds by stage."""

    batch_id: int
    files: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    lag_seconds: float | None
    durations_ms: dict[str, float]


@dataclass
class _Stopwatch:
    """Milliseconds by stage."""

    laps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.laps[stage] = round(1000 * (time.perf_counter() - start), 1)


@dataclass
class BatchSink:
    """Writes the micro-batches of one driver.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    landing:
        The folders, to fetch rejected rows and to settle files.
    query, epoch:
        The query and the epoch that this driver holds.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    _connection: Connection | None = None
    _known_days: set[int] = field(default_factory=set)

    def write(
        self, flagged: pa.Table, *, spark_batch_id: int, durations_ms: dict[str, float] | None = None
    ) -> BatchResult | None:
        """Store one batch.

        Parameters
        ----------
        flagged:
            Every row and footer of the batch, in the order of file and line: file_id, line, is_footer, row_error,
            detail, the typed columns of the contract and the flags in BROKEN_RULES.
        spark_batch_id:
            Spark's number of the batch; it counts from 0 in each run, whose epoch makes it unique.
        durations_ms:
            What the stages before this one took, for the ledger.

        Returns
        -------
        BatchResult or None
            None when every file of the batch was settled before: a replay, which changes nothing.

        Raises
        ------
        FencedError
            When a newer driver has taken over; nothing was written.
        BalanceError
            When the rows of a file do not add up; nothing was written.
        """
        watch = _Stopwatch(dict(durations_ms or {}))
        footers = {footer.file_id: footer for footer in footers_of(flagged)}
        connection = self._connected()
        try:
            with connection, connection.cursor() as cursor, watch.time("sink"):
                hold_epoch(cursor, self.query, self.epoch)
                result = self._write(cursor, flagged, footers, spark_batch_id, watch)
        except Exception:
            # The state of the connection is unknown, and a partition may have been dropped by retention meanwhile: the
            # next attempt asks anew.
            connection.close()
            self._known_days.clear()
            raise
        if result is not None:
            self._settle(footers)
        return result

    def _write(
        self,
        cursor: Any,
        flagged: pa.Table,
        footers: dict[int, Footer],
        spark_batch_id: int,
        watch: _Stopwatch,
    ) -> BatchResult | None:
        cursor.execute(_SQL["waiting_files"], {"file_ids": list(footers)})
        names = dict(cursor.fetchall())
        if not names:
            _log.warning("batch %s holds only files that were settled before: nothing to do", spark_batch_id)
            return None
        footers = {file_id: footer for file_id, footer in footers.items() if file_id in names}
        loadable = [file_id for file_id, footer in footers.items() if footer.fault is None]

        with watch.time("split"):
            passed, failed = split(flagged, loadable)
            failed = failed.select(["file_id", "line", BROKEN_RULES])
        with watch.time("duplicates"):
            is_duplicate = duplicate_mask(cursor, passed["event_id"])
            accepted = passed.filter(pa.array(~is_duplicate))
            duplicate = passed.select(["file_id"]).filter(pa.array(is_duplicate))

        balances = _balances(footers, rows_per_file(accepted), rows_per_file(duplicate), rows_per_file(failed))
        totals = Counter[str]()
        for balance in balances.values():
            totals.update(balance)
        cursor.execute(
            _SQL["open_batch"],
            {
                "query": self.query,
                "spark_batch_id": spark_batch_id,
                "epoch": self.epoch,
                "files": len(footers),
                "file_ids": list(footers),
                "warnings": json.dumps(warnings_of(accepted)),
                **event_time_range(accepted),
                **{name: totals[name] for name in ("read", "accepted", "duplicate", "rejected")},
            },
        )
        batch_id, ingested_at = one_row(cursor)

        with watch.time("events"):
            self._store_events(cursor, accepted, batch_id, ingested_at)
        with watch.time("rejects"):
            self._store_rejects(cursor, failed, names, batch_id)
        with watch.time("rollups"):
            rollup = [(*row, batch_id) for row in minute_rollup(accepted)]
            if rollup:
                execute_values(cursor, _SQL["roll_up"], rollup, page_size=1000)
        execute_values(
            cursor,
            _SQL["settle_files"],
            [
                (
                    footer.file_id,
                    batch_id,
                    "quarantined" if footer.fault else "loaded",
                    *balances[footer.file_id].values(),
                    footer.extra_columns,
                    footer.fault,
                    footer.fault_detail,
                )
                for footer in footers.values()
            ],
            template="(%s::bigint, %s::bigint, %s, %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::text[], %s, %s)",
            page_size=1000,
        )
        cursor.execute(_SQL["close_batch"], {"batch_id": batch_id, "durations": json.dumps(watch.laps)})
        (lag_seconds,) = one_row(cursor)
        return BatchResult(
            batch_id=batch_id,
            files=len(footers),
            read=totals["read"],
            accepted=totals["accepted"],
            duplicate=totals["duplicate"],
            rejected=totals["rejected"],
            lag_seconds=lag_seconds,
            durations_ms=watch.laps,
        )

    def record_durations(self, spark_batch_id: int, durations_ms: dict[str, float]) -> None:
        """Add the durations that Spark measured to the ledger row of a batch; safe beside a write in another thread."""
        with transaction(self.dsn) as cursor:
            cursor.execute(
                _SQL["record_durations"],
                {
                    "epoch": self.epoch,
                    "spark_batch_id": spark_batch_id,
                    "durations": json.dumps(durations_ms),
                },
            )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.dsn)
        return self._connection

    def _store_events(self, cursor: Any, accepted: pa.Table, batch_id: int, ingested_at: datetime) -> None:
        if accepted.num_rows == 0:
            return
        self._ensure_partitions(event_days(accepted))
        size = accepted.num_rows
        events = event_columns(accepted)
        events = events.append_column("batch_id", pa.repeat(pa.scalar(batch_id, pa.int64()), size))
        events = events.append_column(
            "ingested_at", pa.repeat(pa.scalar(ingested_at, pa.timestamp("us", tz="UTC")), size)
        )
        copy_table(cursor, "events", events)

    def _ensure_partitions(self, days: set[int]) -> None:
        """Make missing partitions in a transaction of their own: their lock must not last as long as the batch."""
        missing = days - self._known_days
        if not missing:
            return
        dates = [date(1970, 1, 1) + timedelta(days=day) for day in sorted(missing)]
        side = connect(self.dsn, autocommit=True)
        try:
            with side.cursor() as cursor:
                cursor.execute(_SQL["ensure_partitions"], {"days": dates})
        finally:
            side.close()
        self._known_days |= missing

    def _store_rejects(self, cursor: Any, failed: pa.Table, names: dict[int, str], batch_id: int) -> None:
        if failed.num_rows == 0:
            return
        rows = failed.to_pylist()
        lines: dict[int, list[int]] = {}
        for row in rows:
            lines.setdefault(row["file_id"], []).append(row["line"])
        raw = {
            file_id: raw_lines(self.landing.admitted_path(file_id, names[file_id]), wanted)
            for file_id, wanted in lines.items()
        }
        copy_table(
            cursor,
            "rejects",
            pa.table(
                {
                    "batch_id": [batch_id] * len(rows),
                    "file_id": [row["file_id"] for row in rows],
                    "file_name": [names[row["file_id"]] for row in rows],
                    "line": [row["line"] for row in rows],
                    "raw": [raw[row["file_id"]].get(row["line"], "") for row in rows],
                    "reasons": ["{" + ",".join(reasons_of(row[BROKEN_RULES])) + "}" for row in rows],
                }
            ),
        )

    def _settle(self, footers: dict[int, Footer]) -> None:
        """Move the files of a committed batch to their resting place; recover() does what a crash leaves undone."""
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            settle_files(cursor, self.landing, footers.keys())


def _balances(
    footers: dict[int, Footer], accepted: dict[int, int], duplicate: dict[int, int], rejected: dict[int, int]
) -> dict[int, dict[str, int]]:
    """Read, accepted, duplicate and rejected rows of each file, checked against what its reader counted.

    A quarantined file counts nothing: no row of it is taken.
    """
    balances = {}
    for file_id, footer in footers.items():
        stored = {
            "accepted": accepted.get(file_id, 0),
            "duplicate": duplicate.get(file_id, 0),
            "rejected": rejected.get(file_id, 0),
        }
        read = 0 if footer.fault else footer.read
        if read != sum(stored.values()):
            raise BalanceError(
                f"file {file_id}: {read} rows were read, but {stored} were to be stored",
                "This is a fault of Shopstream: report it with the file; nothing was stored",
            )
        balances[file_id] = {"read": read, **stored}
    return balances


def backlog_is_empty(dsn: str, landing: Landing) -> bool:
    """Whether nothing waits, in the landing folder or admitted: the end of a drain."""
    if next(iter(landing.waiting()), None) is not None:
        return False
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["any_admitted"])
        return cursor.fetchone() is None
