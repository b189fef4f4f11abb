"""Day partitions of ``shop.events`` made ahead, and everything past retention removed.

Retention counts from both times of an event: a day partition goes when its day *and* the newest ``ingested_at`` in it
are past retention, so that a backfill of old events stays for ``retention_days`` after it was loaded. What was removed
is on record in ``shop.retired_partitions``, for totals must still add up.

The ledger and the rollups, which prove those totals, have an age of their own: ``include.db.retirement``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg2 import errors, sql

from include.db.connect import transaction
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
    """Events that were removed; ``day`` is None for those from before the first daily partition."""

    partition_name: str
    day: date | None
    events: int


@dataclass(frozen=True)
class MaintenanceReport:
    """What one call of ``maintain`` did.

    ``made`` counts new partitions; ``busy`` names partitions past retention that readers did not let go, left for the
    next call; ``deleted`` counts rows by table.
    """

    made: int
    retired: tuple[RetiredPartition, ...]
    busy: tuple[str, ...]
    deleted: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.made} partitions made ahead"]
        lines += [f"{one.partition_name}: {one.events} events retired" for one in self.retired]
        lines += [f"{name}: past retention, but in use; the next run tries again" for name in self.busy]
        lines += [f"{table}: {rows} rows deleted" for table, rows in self.deleted.items()]
        return "\n".join(lines)


def maintain(owner_dsn: str, *, ahead_days: int, retention_days: int) -> MaintenanceReport:
    """Make the partitions of yesterday to ``ahead_days`` from today, and remove what is past ``retention_days``.

    Each step is a transaction of its own and safe to repeat. Readers and the stream wait at most
    ``LOCK_TIMEOUT_SECONDS`` at a time for a partition to go, and never fail.
    """
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
    """Drop one partition and record it; nothing happens to one that holds an event loaded since ``cutoff``.

    DETACH CONCURRENTLY would let readers pass, but between its steps the day has no partition while a table of that
    name exists: a late event would find no home, and stop the stream. So all happens in one short transaction that
    gives up when it does not get its locks.

    Raises
    ------
    LockNotAvailable
        When someone went on using the partition during all attempts.
    """
    with transaction(owner_dsn) as cursor:
        if _is_recent(cursor, name, cutoff):
            return []
        # Counted before the lock, for it takes long: what arrives later is recent and stops the removal below.
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
            return [retired]
        except errors.LockNotAvailable:
            if attempt == LOCK_ATTEMPTS:
                raise
        attempt += 1
        # Whoever queued behind the lock goes first.
        time.sleep(LOCK_PAUSE_SECONDS)


def _retire_old_backfill(owner_dsn: str, cutoff: datetime) -> list[RetiredPartition]:
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["delete_old_backfill"], {"cutoff": cutoff})
        if not cursor.rowcount:
            return []
        retired = RetiredPartition(_BACKFILL_PARTITION, None, cursor.rowcount)
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
