"""Maintain the aggregates of sessions, customers, orders and products by adding the events that are new.

The materialized views read these aggregates instead of the events, so the cost of a refresh follows the number of new
events. Each step adds the events of whole batches and moves ``shop.facts_progress`` in the same transaction, so nothing
is counted twice or left out. Batches commit in the order of their ids, since only one driver at a time holds the writer
epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.db.connect import connect, limit_time, one_row, transaction
from include.db.queries import load_queries
from include.errors import ShopstreamError

# Bounds the memory and duration of one transaction: a second or two of one core, after which the step yields to a
# stream that is behind.
MAX_EVENTS_PER_STEP = 100_000

_AUDITED = (
    "sessions",
    "day_sessions",
    "day_visitors",
    "orders",
    "visitor_segments",
    "products",
    "product_totals",
    "funnel",
    "days",
    "customers",
    "agg_hour",
    "agg_day",
)
_FORGOTTEN = ("day_sessions", "sessions", "day_visitors", "day_orders", "visitor_segments", "products")
_SQL = load_queries("facts")
_AUDIT = load_queries("fact_audit")

# Each statement adds the events of the temporary table ``fresh`` to one aggregate.
ADD_FACTS = {
    fact: _SQL[f"add_{fact}"]
    for fact in (
        "sessions",
        "day_sessions",
        "day_visitors",
        "day_orders",
        "events",
        "customers",
        "visitor_segments",
        "products",
        "hours",
        "days",
    )
}


class FactsError(ShopstreamError):
    """The aggregates cannot be brought up to date without losing events."""


@dataclass(frozen=True)
class Step:
    """One transaction: how many batches and events it added to the aggregates, and its duration in seconds."""

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
    """Add the events of all batches that are committed by now; later batches are left to the next call.

    Parameters
    ----------
    ops_dsn:
        A connection as role ops.
    max_events:
        Approximate number of events in one transaction.
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.
    before_step:
        Called before each transaction, while nothing is locked.
    """
    return list(_steps(ops_dsn, max_events, timeout_seconds, before_step))


def _steps(ops_dsn: str, max_events: int, timeout_seconds: float, before_step: Callable[[], object]) -> Iterator[Step]:
    newest = None
    while True:
        before_step()
        start = time.monotonic()
        # In a transaction of its own, because the locks of the summaries keep autovacuum away until the transaction
        # ends.
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
            _check_all_found(cursor, events, since, range_=f"{after + 1} to {up_to}")
            cursor.execute(_SQL["analyze_fresh"])
            for statement in ADD_FACTS.values():
                cursor.execute(statement)
            cursor.execute(_SQL["save_progress"], {"up_to": up_to})
        yield Step(batches, events, time.monotonic() - start)


def _check_all_found(cursor: Any, accepted: int, since: datetime, *, range_: str) -> None:
    """Compare the number of events found with the ledger's count for their batches.

    The events are found by ingestion time. If the clock was set back by more than a minute in between, some would be
    missed, and the aggregates would silently lack them.

    Raises
    ------
    FactsError
        When the numbers differ, unless some are missing because retention removed them.
    """
    cursor.execute(_SQL["count_fresh"], {"since": since})
    found, is_past_retention = one_row(cursor)
    if found != accepted and not (is_past_retention and found < accepted):
        raise FactsError(
            f"batches {range_} accepted {accepted:,} events, but {found:,} of them were found",
            "The clock of the database may have been set. Nothing was added to the aggregates; correct ingested_at of "
            "the events of these batches, or started_at and committed_at of the batches in shop.batches",
        )


def audit_facts(dsn: str, *, timeout_seconds: float = 0) -> dict[str, int]:
    """Recompute the aggregates from the events, and the sums from those, and compare.

    Reads every event that retention keeps. Sessions and the like that began before or on the last day that retention
    has touched are left out.

    Parameters
    ----------
    dsn:
        A connection with read access (role ops or quality).
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.

    Returns
    -------
    dict
        The number of rows that differ, by aggregate; each should be 0.
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
    """Remove the aggregates of users and sessions whose events retention has all removed; daily sums stay.

    Returns
    -------
    list of datetime.date
        The days that were removed, by the time inside ``event_id``.
    """
    with transaction(owner_dsn) as cursor:
        # Nothing may be added to these aggregates while they are being removed.
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
