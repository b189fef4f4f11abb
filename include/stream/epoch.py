"""The writer epoch: the fence between a streaming query and every one before it.

A query takes the next epoch when it starts. Whoever admits files or commits a batch locks the row of ``shop.writer``
and goes on only when it still holds the current epoch, so a driver that was believed dead cannot write, however late
it wakes up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg2.errors

from include.db import load_queries, one_row, transaction
from include.errors import FencedError

# What a batch under way of the present holder may still take. One that takes longer is rolled back: its driver may be
# stopped in the midst of it, and would keep its lock for ever.
PATIENCE_SECONDS = 10

_SQL = load_queries("epoch")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Driver:
    """Who runs the query: shown in ``shop.runs``.

    Parameters
    ----------
    mode:
        ``continuous`` or ``drain``.
    host, pid:
        Of the driver process.
    ui_url, log_path:
        Where its Spark UI and its log are.
    """

    mode: str
    host: str
    pid: int
    ui_url: str | None = None
    log_path: str | None = None


def take_epoch(dsn: str, query: str, driver: Driver, *, patience_seconds: float = PATIENCE_SECONDS) -> int:
    """Become the writer of ``query`` and open a row in ``shop.runs``; every earlier holder is fenced from now on.

    A batch under way is waited for; after ``patience_seconds`` it is rolled back by ending its connection. Its files
    are loaded again.
    """

    def take(cursor: Any) -> int:
        cursor.execute(_SQL["take"], {"query": query})
        return _open_run(cursor, query, driver)

    return _patiently(dsn, patience_seconds, take)


def renew_epoch(
    dsn: str, query: str, epoch: int, driver: Driver, error: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> int:
    """Exchange ``epoch`` for the next one, for a query that starts anew after ``error``; the old run is closed.

    Raises
    ------
    FencedError
        When another driver has taken over meanwhile.
    """

    def renew(cursor: Any) -> int:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["end_run"], {"epoch": epoch, "error": error})
        cursor.execute(_SQL["renew"], {"query": query, "epoch": epoch})
        return _open_run(cursor, query, driver)

    return _patiently(dsn, patience_seconds, renew)


def _patiently(dsn: str, patience_seconds: float, work: Callable[[Any], int]) -> int:
    """Do the work in a transaction, and rid it of whoever holds it up for longer."""
    while True:
        try:
            with transaction(dsn) as cursor:
                cursor.execute(_SQL["limit_lock_wait"], {"milliseconds": str(round(patience_seconds * 1000))})
                return work(cursor)
        except psycopg2.errors.LockNotAvailable:
            with transaction(dsn) as cursor:
                cursor.execute(_SQL["end_holders"], {"patience_seconds": patience_seconds})
                _log.warning("ended %s connections that held the lock of the writer", cursor.rowcount)


def _open_run(cursor: Any, query: str, driver: Driver) -> int:
    (epoch,) = one_row(cursor)
    cursor.execute(_SQL["close_silent_runs"], {"query": query, "epoch": epoch})
    cursor.execute(_SQL["open_run"], {"epoch": epoch, "query": query, **asdict(driver)})
    return int(epoch)


def hold_epoch(cursor: Any, query: str, epoch: int) -> None:
    """Lock the epoch for the rest of the transaction.

    Raises
    ------
    FencedError
        When another driver has taken over.
    """
    cursor.execute(_SQL["hold"], {"query": query})
    row = cursor.fetchone()
    current = row[0] if row else None
    if current != epoch:
        raise FencedError(
            f"this driver holds epoch {epoch} of query {query!r}, but the current one is {current}",
            "Nothing to do: the newer driver goes on from the last committed batch",
        )


def end_run(dsn: str, epoch: int, error: str | None) -> None:
    """Close the row of this run, with the reason when it did not end by itself."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["end_run"], {"epoch": epoch, "error": error})
