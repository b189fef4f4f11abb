"""Remove batches, files, rollups and runs from the ledger after ``ledger_days``.

The stream does not need them, since its position is the set of files that wait. Everything removed is added to
``shop.retired_ledger`` in the same transaction, so that every total still adds up. A file is removed with the batch of
its last slice; rollups are removed by whole UTC days of event_time. Daily and hourly figures do not depend on any of
these: ``shop.agg_day`` and ``shop.agg_hour`` are kept for ever.

A call stops after ``BUDGET_SECONDS``, or when it has examined ``BATCHES_AT_ONCE`` batches; the next one continues. Each
transaction is small, so that nothing waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from include.db.connect import one_row, transaction
from include.db.queries import load_queries

BUDGET_SECONDS = 300.0
ROWS_AT_ONCE = 5_000
# Batches examined in one call; at one batch per second, a day has 86,400.
BATCHES_AT_ONCE = 250_000
KEPT_RUNS = 100

_SQL = load_queries("retirement")


@dataclass(frozen=True)
class Retirement:
    """The number of rows removed by table, and whether nothing that is past its age is left."""

    removed: dict[str, int]
    is_complete: bool

    def __str__(self) -> str:
        lines = [f"{table}: {rows} rows retired" for table, rows in self.removed.items()]
        return "\n".join(lines if self.is_complete else [*lines, "more is past its age; the next run continues"])


def retire_ledger(owner_dsn: str, *, ledger_days: int) -> Retirement:
    """Remove everything older than ``ledger_days``, which must be at least the number of days that events are kept."""
    deadline = time.monotonic() + BUDGET_SECONDS
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["window"], {"ledger_days": ledger_days, "batches": BATCHES_AT_ONCE})
        cutoff, first_day, last_batch_id, has_more = one_row(cursor)
        cursor.execute(_SQL["raise_horizon"], {"first_day": first_day})
    window = {"cutoff": cutoff, "last_batch_id": last_batch_id or 0, "rows": ROWS_AT_ONCE}
    steps: dict[str, Callable[[Any, Any], tuple[Any, int]]] = {
        "files": lambda cursor, after: _step(cursor, "files", {**window, "after": after or 0}),
        # After the files, which refer to the batches.
        "batches": lambda cursor, after: _step(cursor, "batches", {**window, "after": after or 0}),
        "rollup_minute": lambda cursor, after: _step(cursor, "rollups", {}),
    }
    removed = dict.fromkeys((*steps, "runs"), 0)
    for table, step in steps.items():
        after: Any = None
        rows = -1
        while rows and time.monotonic() < deadline:
            with transaction(owner_dsn) as cursor:
                after, rows = step(cursor, after)
            removed[table] += rows
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["runs"], {"cutoff": cutoff, "kept": KEPT_RUNS})
        removed["runs"] = cursor.rowcount
    return Retirement(removed, not has_more and time.monotonic() < deadline)


def _step(cursor: Any, statement: str, parameters: dict[str, Any]) -> tuple[Any, int]:
    """Return where the next step begins, and the number of rows that this one removed; 0 ends the walk.

    The oldest rows come first, so a stretch without an old row means that there are no more.
    """
    cursor.execute(_SQL[statement], parameters)
    after, rows = one_row(cursor)
    return after, int(rows)
