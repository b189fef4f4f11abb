"""The writer epoch: the fence between a streaming query and every one before it.

A query takes the next epoch when it starts. Whoever admits files or commits a batch locks the row of ``shop.writer``
and goes on only when it still holds the current epoch, so a driver that was believed dead cannot write, however late
it wakes up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from include.db import load_queries, one_row, transaction
from include.errors import FencedError

_SQL = load_queries("epoch")


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


def take_epoch(dsn: str, query: str, driver: Driver) -> int:
    """Become the writer of ``query`` and open a row in ``shop.runs``; every earlier holder is fenced from now on."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["take"], {"query": query})
        return _open_run(cursor, query, driver)


def renew_epoch(dsn: str, query: str, epoch: int, driver: Driver, error: str) -> int:
    """Exchange ``epoch`` for the next one, for a query that starts anew after ``error``; the old run is closed.

    Raises
    ------
    FencedError
        When another driver has taken over meanwhile.
    """
    with transaction(dsn) as cursor:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["end_run"], {"epoch": epoch, "error": error})
        cursor.execute(_SQL["renew"], {"query": query, "epoch": epoch})
        return _open_run(cursor, query, driver)


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
