"""Create day partitions of ``shop.events`` in advance, and remove everything past retention.

Retention counts from both times of an event: a day partition is removed when its day *and* the newest ``ingested_at``
in it are past retention, so that backfilled old events stay for ``retention_days`` after they were loaded. Removed
events are recorded in ``shop.retired_partitions``, because totals must still add up. Their days are recorded in
``shop.retired_days``, because their ids are no longer known: the stream accepts no more events of those days.

The ledger and the rollups, which prove those totals, have their own age limit: ``include.db.retirement``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg2 import errors, sql

from include.db.connect import transaction
from include.db.facts import advance_facts
from include.db.queries import load_queries

LOCK_ATTEMPTS = 5
LOCK_TIMEOUT_SECONDS = 1.0
LOCK_PAUSE_SECONDS = 1.0

_BACKFILL_PARTITION = "events_before_2026"
_CLEANED_TABLES = (
    "rejects",
    "conflicts",
    "quality_runs",
    "quality_results",
    "refreshes",
    "alerts",
    "objective_minutes",
    "objective_misses",
)
_SQL = load_queries("partitions")


@dataclass(frozen=True)
class RetiredPartition:
    """Events that were removed; ``day`` is None for events from before the first daily partition."""

    partition_name: str
    day: date | None
    events: int


@dataclass(frozen=True)
class MaintenanceReport:
    """The result of one call of ``maintain``.

    ``made`` counts new partitions; ``busy`` names partitions past retention that readers were still using and that are
    left for the next call; ``deleted`` counts rows by table.
    """

    made: int
    retired: tuple[RetiredPartition, ...]
    busy: tuple[str, ...]
    deleted: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.made} partitions created in advance"]
        lines += [f"{one.partition_name}: {one.events} events retired" for one in self.retired]
        lines += [f"{name}: past retention, but in use; the next run tries again" for name in self.busy]
        lines += [f"{table}: {rows} rows deleted" for table, rows in self.deleted.items()]
        return "\n".join(lines)


def maintain(owner_dsn: str, *, ahead_days: int, retention_days: int) -> MaintenanceReport:
    """Create the partitions of yesterday to ``ahead_days`` from today, and remove everything past ``retention_days``.

    The aggregates are brought up to date first, since an event that is removed before it is in the daily sums would be
    missing there for ever. Each step is its own transaction and safe to repeat. While a partition is removed, readers
    and the stream wait at most ``LOCK_TIMEOUT_SECONDS`` at a time and never fail.
    """
    advance_facts(owner_dsn)
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["window"], {"ahead_days": ahead_days, "retention_days": retention_days})
        days, cutoff = cursor.fetchone()
        cursor.execute(_SQL["ensure"], {"days": days})
        made = cursor.fetchone()[0]
        cursor.execute(_SQL["past_partitions"], {"cutoff": cutoff})
        past = cursor.fetchall()
    retired: list[RetiredPartition] = []
    busy: list[str] = []
    for name, day in past:
        try:
            retired += _retire(owner_dsn, name, day, cutoff)
        except errors.LockNotAvailable:
            busy.append(name)
    retired += _retire_old_backfill(owner_dsn, cutoff)
    deleted = {table: _delete(owner_dsn, table, cutoff) for table in _CLEANED_TABLES}
    return MaintenanceReport(made, tuple(retired), tuple(busy), deleted)


def _retire(owner_dsn: str, name: str, day: date, cutoff: datetime) -> list[RetiredPartition]:
    """Drop one partition and record it, unless it has events loaded since ``cutoff`` or not yet in the aggregates.

    DETACH CONCURRENTLY would not block readers, but between its steps the day has no partition while a table of that
    name exists. A late event would then have no partition and stop the stream. Everything therefore happens in one
    short transaction that gives up when it cannot get its locks.

    Raises
    ------
    LockNotAvailable
        When the partition was in use during all attempts.
    """
    with transaction(owner_dsn) as cursor:
        if _is_recent(cursor, name, cutoff):
            return []
        # Count before locking, because it takes long. Events that arrive later are recent, so the check below stops the
        # removal.
        cursor.execute(_compose("count", name))
        retired = RetiredPartition(name, day, cursor.fetchone()[0])
    attempt = 1
    while True:
        try:
            with transaction(owner_dsn) as cursor:
                cursor.execute(_SQL["limit_lock_wait"], {"milliseconds": str(round(LOCK_TIMEOUT_SECONDS * 1000))})
                cursor.execute(_compose("lock", name))
                if _is_recent(cursor, name, cutoff):
                    return []
                cursor.execute(_compose("detach", name))
                cursor.execute(_compose("drop", name))
                _record(cursor, retired, cutoff)
                if retired.events:
                    cursor.execute(_SQL["record_day"], {"day": day})
            return [retired]
        except errors.LockNotAvailable:
            if attempt == LOCK_ATTEMPTS:
                raise
        attempt += 1
        # Let the sessions that queued behind the lock go first.
        time.sleep(LOCK_PAUSE_SECONDS)


def _retire_old_backfill(owner_dsn: str, cutoff: datetime) -> list[RetiredPartition]:
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["delete_old_backfill"], {"cutoff": cutoff})
        (events,) = cursor.fetchone()
        if not events:
            return []
        retired = RetiredPartition(_BACKFILL_PARTITION, None, events)
        _record(cursor, retired, cutoff)
    return [retired]


def _delete(owner_dsn: str, table: str, cutoff: datetime) -> int:
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL[f"delete_{table}"], {"cutoff": cutoff})
        return cursor.rowcount


def _is_recent(cursor: Any, name: str, cutoff: datetime) -> bool:
    cursor.execute(_compose("is_recent", name), {"cutoff": cutoff})
    return bool(cursor.fetchone()[0])


def _record(cursor: Any, retired: RetiredPartition, cutoff: datetime) -> None:
    cursor.execute(
        _SQL["record"],
        {
            "partition_name": retired.partition_name,
            "day": retired.day,
            "events": retired.events,
            "cutoff": cutoff,
        },
    )


def _compose(statement: str, partition: str) -> sql.Composed:
    return sql.SQL(_SQL[statement]).format(partition=sql.Identifier("shop", partition))
