"""Facts: sessions, customers, orders and products, kept up to date by the events that are new.

The materialized views read these instead of the events: what a refresh costs follows what came since the last one.
Every step takes the events of whole batches and moves ``shop.facts_progress`` in the same transaction, so nothing is
counted twice or left out. Batches commit in the order of their ids, since one driver at a time holds the writer epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.db.connect import connect, limit_time, one_row, transaction
from include.db.queries import load_queries

# Bounds the memory and the time of one transaction: a second or two of one core, after which a stream that is behind
# goes first.
MAX_EVENTS_PER_STEP = 100_000

_ADDED = ("sessions", "visits", "shoppers", "day_orders", "events", "customers", "users", "products")
_AUDITED = ("sessions", "visits", "shoppers", "orders", "users", "products", "funnel", "days", "customers")
_FORGOTTEN = ("visits", "sessions", "shoppers", "day_orders", "users", "products")
_SQL = load_queries("facts")
_AUDIT = load_queries("fact_audit")


@dataclass(frozen=True)
class Step:
    """One transaction: how many batches and events it added to the facts, and the seconds that it took."""

    batches: int
    events: int
    seconds: float


def advance_facts(
    ops_dsn: str,
    *,
    max_events: int = MAX_EVENTS_PER_STEP,
    timeout_seconds: float = 0,
    before_step: Callable[[], object] = lambda: None,
) -> list[Step]:
    """Add the events of all batches that are new now; of those that come meanwhile, the next call.

    Parameters
    ----------
    ops_dsn:
        A connection as role ops.
    max_events:
        About so many go into one transaction.
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.
    before_step:
        Called while nothing is locked, before each transaction.
    """
    return list(_steps(ops_dsn, max_events, timeout_seconds, before_step))


def _steps(ops_dsn: str, max_events: int, timeout_seconds: float, before_step: Callable[[], object]) -> Iterator[Step]:
    newest = None
    while True:
        before_step()
        start = time.monotonic()
        # By itself: the locks of the summaries keep autovacuum away until the transaction ends.
        with transaction(ops_dsn) as cursor:
            limit_time(cursor, timeout_seconds)
            cursor.execute(_SQL["how_far"], {"newest": newest})
            newest, is_up_to_date = one_row(cursor)
            if is_up_to_date:
                return
            cursor.execute(_SQL["summarize"])
        with transaction(ops_dsn) as cursor:
            limit_time(cursor, timeout_seconds)
            cursor.execute(_SQL["lock_progress"])
            (after,) = one_row(cursor)
            cursor.execute(_SQL["next_batches"], {"after": after, "newest": newest, "max_events": max_events})
            following = cursor.fetchone()
            if following is None:
                return
            up_to, since, until, events, batches = following
            cursor.execute(_SQL["fresh"], {"after": after, "up_to": up_to, "since": since, "until": until})
            cursor.execute(_SQL["analyze_fresh"])
            for fact in _ADDED:
                cursor.execute(_SQL[f"add_{fact}"])
            cursor.execute(_SQL["save_progress"], {"up_to": up_to})
        yield Step(batches, events, time.monotonic() - start)


def audit_facts(dsn: str, *, timeout_seconds: float = 0) -> dict[str, int]:
    """Work the facts out anew, from the events and then the sums from those, and compare.

    Reads every event that retention keeps. What began up to the last day that retention has reached into is left out.

    Parameters
    ----------
    dsn:
        A connection with read access (role ops or quality).
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.

    Returns
    -------
    dict
        The number of rows that differ, by fact: 0 for all of them is what it must be.
    """
    connection = connect(dsn)
    try:
        # One snapshot for all comparisons.
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection, connection.cursor() as cursor:
            limit_time(cursor, timeout_seconds)
            cursor.execute(_AUDIT["scope"])
            batch_id, after = one_row(cursor)
            differing = {}
            for fact in _AUDITED:
                cursor.execute(_AUDIT[fact], {"batch_id": batch_id, "after": after})
                differing[fact] = int(one_row(cursor)[0])
    finally:
        connection.close()
    return differing


def forget_retired(owner_dsn: str) -> list[date]:
    """Remove the facts of people and sessions of which retention has taken all events; daily sums stay.

    Returns
    -------
    list of datetime.date
        The days, by the time inside ``event_id``.
    """
    with transaction(owner_dsn) as cursor:
        # Nothing may be added meanwhile to what is being taken away.
        cursor.execute(_SQL["lock_progress"])
        days = _days_without_events(cursor)
        if days:
            cursor.execute(_SQL["close_days"], {"id_days": days})
            for fact in _FORGOTTEN:
                cursor.execute(_SQL[f"forget_{fact}"], {"id_days": days})
    return days


def _days_without_events(cursor: Any) -> list[date]:
    cursor.execute(_SQL["days_without_events"])
    return [day for (day,) in cursor.fetchall()]
