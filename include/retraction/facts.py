"""Remove retracted events from the aggregates that the materialized views read.

The rows of the affected sessions, customers and orders are deleted and recomputed from the remaining events. Plain sums
are subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.db import load_queries
from include.db.facts import ADD_FACTS

_SQL = load_queries("retraction_facts")
_RECOMPUTED = ("sessions", "day_sessions", "day_visitors", "day_orders", "customers", "visitor_segments")
_SUBTRACTED = ("events", "products", "hours", "days")
_EMPTIED = ("days", "products")


def take_from_facts(cursor: Any, file_ids: Sequence[int], progress: int) -> None:
    """Remove the events of the temporary table ``retracted`` from the aggregates.

    Parameters
    ----------
    cursor:
        A cursor of a transaction that holds the lock on ``shop.facts_progress``. The events must still be stored.
    file_ids:
        The files of the deliveries.
    progress:
        The newest batch in the aggregates; events of later batches have not been counted.
    """
    asked = {"file_ids": list(file_ids), "progress": progress}
    for statement in ("counted", "analyze_counted", "remaining", "analyze_remaining", "make_fresh"):
        cursor.execute(_SQL[statement], asked)
    for fact in _RECOMPUTED:
        cursor.execute(_SQL[f"remove_{fact}"])
        cursor.execute(_SQL["empty_fresh"])
        cursor.execute(_SQL[f"keep_{fact}"])
        cursor.execute(ADD_FACTS[fact])
    for fact in _SUBTRACTED:
        cursor.execute(_SQL[f"subtract_{fact}"], asked)
    for fact in _EMPTIED:
        cursor.execute(_SQL[f"delete_empty_{fact}"])


def add_reassigned(cursor: Any) -> None:
    """Add the reassigned events to the aggregates for a preview, as the next advance of the aggregates will."""
    cursor.execute(_SQL["empty_fresh"])
    cursor.execute(_SQL["fresh_reassigned"])
    for statement in ADD_FACTS.values():
        cursor.execute(statement)
