"""The writer epoch, which fences a streaming query off from every earlier one.

A query takes the next epoch when it starts. To admit files or commit a batch, a driver locks the row of ``shop.writer``
and continues only if it still holds the current epoch. A driver that was believed dead can therefore write nothing,
however late it resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg2.errors

from include.db import load_queries, one_row, transaction
from include.db.text import storable
from include.errors import FencedError

# How long a running batch of the current holder may still take. A longer one is rolled back: its driver may be
# suspended in the middle of it, and would hold its lock for ever.
TIMEOUT_SECONDS = 10

_SQL = load_queries("epoch")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Driver:
    """The driver process that runs the query, as shown in ``shop.runs``.

    Parameters
    ----------
    mode:
        ``continuous`` or ``drain``.
    host, pid:
        Host and process id of the driver.
    ui_url, log_path:
        Address of its Spark UI, and path of its log.
    """

    mode: str
    host: str
    pid: int
    ui_url: str | None = None
    log_path: str | None = None


def take_epoch(dsn: str, query: str, driver: Driver, *, timeout_seconds: float = TIMEOUT_SECONDS) -> int:
    """Become the writer of ``query``, fence every earlier holder, and open a row in ``shop.runs``.

    Wait up to ``timeout_seconds`` for a running batch, then roll it back by ending its connection. Its files are
    loaded again.
    """

    def take(cursor: Any) -> int:
        cursor.execute(_SQL["take"], {"query": query})
        return _open_run(cursor, query, driver)

    return _with_lock_timeout(dsn, timeout_seconds, take)


def renew_epoch(
    dsn: str, query: str, epoch: int, driver: Driver, error: str, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> int:
    """Exchange ``epoch`` for the next one when a query restarts after ``error``, and close the old run.

    Raises
    ------
    FencedError
        When another driver has taken over in the meantime.
    """

    def renew(cursor: Any) -> int:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["end_run"], {"epoch": epoch, "error": storable(error)})
        cursor.execute(_SQL["renew"], {"query": query, "epoch": epoch})
        return _open_run(cursor, query, driver)

    return _with_lock_timeout(dsn, timeout_seconds, renew)


def _with_lock_timeout(dsn: str, timeout_seconds: float, work: Callable[[Any], int]) -> int:
    """Do the work in a transaction, ending connections that block it for longer than ``timeout_seconds``."""
    while True:
        try:
            with transaction(dsn) as cursor:
                cursor.execute(_SQL["limit_lock_wait"], {"milliseconds": str(round(timeout_seconds * 1000))})
                return work(cursor)
        except psycopg2.errors.LockNotAvailable:
            with transaction(dsn) as cursor:
                cursor.execute(_SQL["end_holders"], {"timeout_seconds": timeout_seconds})
                _log.warning("ended %s connections that held the writer lock", cursor.rowcount)


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
            "Nothing to do: the newer driver continues from the last committed batch",
        )


def end_run(dsn: str, epoch: int, error: str | None) -> None:
    """Close the row of this run, with the error if it failed."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["end_run"], {"epoch": epoch, "error": storable(error) if error else None})
