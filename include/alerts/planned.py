"""Record planned downtime, during and shortly after which no alerts are sent and no objective is missed.

A change of the stream's desired state records the planned downtime of the stream (by a trigger of
``shop.stream_control``). This module is for the whole platform: ``make down``, and the windows that an operator
announces with ``make maintenance``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from include.db import load_queries, one_row, transaction

_SQL = load_queries("planned")


def begin_downtime(dsn: str, reason: str) -> None:
    """Record that the platform is going down, until ``end_downtime`` is called (role ops or owner)."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["begin"], {"reason": reason})


def end_downtime(dsn: str) -> None:
    """Record that the platform is up again; do nothing when no downtime is open."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["end"])


def announce_window(dsn: str, reason: str, *, length: timedelta, began_at: datetime | None = None) -> datetime:
    """Announce a maintenance window (role ops or owner); return its end.

    Parameters
    ----------
    dsn:
        A connection as role ops or owner.
    reason:
        The work to be done, to explain later why no alert was sent.
    length:
        Length of the window.
    began_at:
        Start of the window; default now.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["announce"], {"reason": reason, "length": length, "began_at": began_at})
        ended_at: datetime = one_row(cursor)[0]
        return ended_at


def end_windows(dsn: str) -> int:
    """End the current announced windows and withdraw future ones; return how many there were."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["withdraw"])
        withdrawn: int = cursor.rowcount
        cursor.execute(_SQL["cut_short"])
        return withdrawn + int(cursor.rowcount)


def note_catching_up(cursor: Any, waiting_since: datetime | None, now: datetime | None = None) -> None:
    """Record that the stream has caught up after planned downtime, if it has.

    Parameters
    ----------
    cursor:
        A cursor of the role ops.
    waiting_since:
        Arrival of the oldest file in the landing folder; None when there is none.
    now:
        The time to use as now; default the database's clock.
    """
    cursor.execute(_SQL["catch_up"], {"waiting_since": waiting_since, "now": now})


def planned_times(dsn: str) -> list[tuple[datetime, datetime]]:
    """Return the start of each planned or current downtime of the platform, and the time when all must work again."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["times"])
        return [(began_at, ready_at) for began_at, ready_at in cursor]
