"""The batch transaction: ledger, events, rejects, rollups and the balance of every file, all or nothing.

What makes it exactly once is in Postgres alone: the writer epoch fences older drivers, a part of a file is loaded only
while the file's row in ``shop.files`` says ``admitted`` and that this part is the next, and the primary key of
``shop.events`` rules out a second event of an id.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
from psycopg2.extras import execute_values

from include.db import connect, load_queries, one_row, transaction
from include.db.lasting import LastingConnection
from include.stream.alarms import raise_other_content, raise_quarantined
from include.stream.arrivals import has_arrivals
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
from include.stream.conflicts import record_conflicts
from include.stream.copy import copy_table
from include.stream.duplicates import duplicate_mask
from include.stream.epoch import hold_epoch
from include.stream.landing import Landing
from include.stream.parts import WaitingFile, advance_files, balances_of, waiting_files
from include.stream.raw_lines import raw_lines
from include.stream.settle import settle_files

_SQL = load_queries("sink")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchResult:
    """What a committed batch did.

    ``files`` counts the files of which it loaded all or a part; durations are milliseconds by stage.
    """

    batch_id: int
    files: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    conflicts: int
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
    _known_days: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._connection = LastingConnection(self.dsn)

    def write(
        self, flagged: pa.Table, *, spark_batch_id: int, durations_ms: dict[str, float] | None = None
    ) -> BatchResult | None:
        """Store one batch.

        Parameters
        ----------
        flagged:
            Every row and footer of the batch, in the order of file and line: file_id, line, is_footer, row_error,
            detail, extra, the typed columns of the contract and the flags in BROKEN_RULES.
        spark_batch_id:
            Spark's number of the batch; it counts from 0 in each run, whose epoch makes it unique.
        durations_ms:
            What the stages before this one took, for the ledger.

        Returns
        -------
        BatchResult or None
            None when all that the batch holds was loaded before: a replay, which changes nothing.

        Raises
        ------
        FencedError
            When a newer driver has taken over; nothing was written.
        BalanceError
            When the rows of a file do not add up; nothing was written.
        """
        watch = _Stopwatch(dict(durations_ms or {}))
        footers = footers_of(flagged)
        connection = self._connection.get()
        try:
            with connection, connection.cursor() as cursor, watch.time("sink"):
                hold_epoch(cursor, self.query, self.epoch)
                result = self._write(cursor, flagged, footers, spark_batch_id, watch)
        except Exception:
            # The state of the connection is unknown, and a partition may have been dropped by retention meanwhile: the
            # next attempt asks anew.
            self._connection.close()
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
        waiting = waiting_files(cursor, footers)
        if not waiting:
            _log.warning("batch %s holds only what was loaded before: nothing to do", spark_batch_id)
            return None
        footers = {file_id: footer for file_id, footer in footers.items() if file_id in waiting}
        loadable = [file_id for file_id, footer in footers.items() if footer.fault is None]

        with watch.time("split"):
            passed, failed = split(flagged, loadable)
            failed = failed.select(["file_id", "line", BROKEN_RULES])
        with watch.time("duplicates"):
            is_duplicate = duplicate_mask(cursor, passed["event_id"])
            accepted = passed.filter(pa.array(~is_duplicate))
            duplicate = passed.filter(pa.array(is_duplicate))

        balances = balances_of(footers, rows_per_file(accepted), rows_per_file(duplicate), rows_per_file(failed))
        totals = Counter[str]()
        for balance in balances.values():
            totals.update(asdict(balance))
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
            self._store_rejects(cursor, failed, footers, waiting, batch_id)
        with watch.time("conflicts"):
            conflicts = record_conflicts(cursor, duplicate, batch_id)
        with watch.time("rollups"):
            rollup = [(*row, batch_id) for row in minute_rollup(accepted)]
            if rollup:
                execute_values(cursor, _SQL["roll_up"], rollup, page_size=1000)
        with watch.time("files"):
            settled = advance_files(cursor, batch_id, footers, balances, waiting)
            self._raise_alarms(cursor, footers, waiting, settled)
        cursor.execute(_SQL["close_batch"], {"batch_id": batch_id, "durations": json.dumps(watch.laps)})
        (lag_seconds,) = one_row(cursor)
        return BatchResult(
            batch_id=batch_id,
            files=len(footers),
            read=totals["read"],
            accepted=totals["accepted"],
            duplicate=totals["duplicate"],
            rejected=totals["rejected"],
            conflicts=conflicts,
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
        self._connection.close()

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

    def _store_rejects(
        self,
        cursor: Any,
        failed: pa.Table,
        footers: Mapping[int, Footer],
        waiting: Mapping[int, WaitingFile],
        batch_id: int,
    ) -> None:
        if failed.num_rows == 0:
            return
        rows = failed.to_pylist()
        lines: dict[int, list[int]] = {}
        for row in rows:
            lines.setdefault(row["file_id"], []).append(row["line"])
        raw = {
            file_id: raw_lines(
                self.landing.admitted_path(file_id, waiting[file_id].name), wanted, start=footers[file_id].start
            )
            for file_id, wanted in lines.items()
        }
        copy_table(
            cursor,
            "rejects",
            pa.table(
                {
                    "batch_id": [batch_id] * len(rows),
                    "file_id": [row["file_id"] for row in rows],
                    "file_name": [waiting[row["file_id"]].name for row in rows],
                    "line": [row["line"] for row in rows],
                    "raw": [raw[row["file_id"]].get(row["line"], "") for row in rows],
                    "reasons": ["{" + ",".join(reasons_of(row[BROKEN_RULES])) + "}" for row in rows],
                }
            ),
        )

    def _raise_alarms(
        self,
        cursor: Any,
        footers: Mapping[int, Footer],
        waiting: Mapping[int, WaitingFile],
        settled: Mapping[int, datetime],
    ) -> None:
        """Tell people of the files at fault, and of those that came again with another content."""
        faulty: dict[str, list[str]] = {}
        for file_id, footer in footers.items():
            if footer.fault:
                name = waiting[file_id].name
                path = self.landing.settled_path(file_id, name, settled[file_id], is_quarantined=True)
                faulty.setdefault(footer.fault, []).append(f"file {file_id} ({name}), in {path}: {footer.fault_detail}")
        for fault, files in faulty.items():
            raise_quarantined(cursor, fault, files)
        with_digest = [file_id for file_id, footer in footers.items() if footer.digest]
        if with_digest:
            cursor.execute(_SQL["other_content"], {"file_ids": with_digest})
            raise_other_content(
                cursor,
                [
                    f"file {file_id} ({name}) differs from file {earlier}, admitted at {admitted_at:%Y-%m-%d %H:%M} UTC"
                    for file_id, name, earlier, admitted_at in cursor.fetchall()
                ],
            )

    def _settle(self, footers: Mapping[int, Footer]) -> None:
        """Move the files of a committed batch to their resting place; recover() does what a crash leaves undone."""
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            settle_files(cursor, self.landing, footers.keys())


def backlog_is_empty(dsn: str, landing: Landing) -> bool:
    """Whether nothing waits, whole in the landing folder or admitted: the end of a drain."""
    if has_arrivals(landing):
        return False
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["any_admitted"])
        return cursor.fetchone() is None
