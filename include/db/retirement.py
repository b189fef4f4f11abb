"""The age of the ledger: batches, files, rollups and runs removed after ``ledger_days``.

The stream does not need them: its position is the files that wait. What is removed is added to ``shop.retired_ledger``
in the same transaction, so that every total still adds up. A file goes with the batch of its last part, a rollup when
its minute and the last batch that changed it are past the age.

A call stops after ``BUDGET_SECONDS``; the next one goes on. Each transaction is small, so that nothing waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from include.db.connect import one_row, transaction
from include.db.queries import load_queries

BUDGET_SECONDS = 300.0
ROWS_AT_ONCE = 5_000
# Looked at in one call; at a batch a second, a day has 86,400.
BATCHES_AT_ONCE = 250_000
KEPT_RUNS = 100

_SQL = load_queries("retirement")


@dataclass(frozen=True)
class Retirement:
    """Rows removed by table, and whether the budget ended before the work."""

    removed: dict[str, int]
    is_complete: bool

    def __str__(self) -> str:
        lines = [f"{table}: {rows} rows retired" for table, rows in self.removed.items()]
        return "\n".join(lines if self.is_complete else [*lines, "more is past its age; the next run goes on"])


def retire_ledger(owner_dsn: str, *, ledger_days: int) -> Retirement:
    """Remove what is older than ``ledger_days``, which must not be less than the days that events are kept."""
    deadline = time.monotonic() + BUDGET_SECONDS
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["window"], {"ledger_days": ledger_days, "batches": BATCHES_AT_ONCE})
        cutoff, last_batch_id = one_row(cursor)
    window = {"cutoff": cutoff, "last_batch_id": last_batch_id or 0, "rows": ROWS_AT_ONCE}
    steps: dict[str, Callable[[Any, Any], tuple[Any, int]]] = {
        "files": lambda cursor, after: _step(cursor, "files", {**window, "after": after or 0}),
        # After the files, which refer to them.
        "batches": lambda cursor, after: _step(cursor, "batches", {**window, "after": after or 0}),
        "rollup_minute": lambda cursor, after: _day_of_rollups(cursor, {**window, "after": after}),
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
    return Retirement(removed, time.monotonic() < deadline)


def _step(cursor: Any, statement: str, parameters: dict[str, Any]) -> tuple[Any, int]:
    """The place where the next step begins, and how many rows this one removed; 0 ends the walk.

    The oldest rows come first, so a stretch without an old one is the end.
    """
    cursor.execute(_SQL[statement], parameters)
    after, rows = one_row(cursor)
    return after, int(rows)


def _day_of_rollups(cursor: Any, window: dict[str, Any]) -> tuple[Any, int]:
    cursor.execute(_SQL["first_old_minute"], {**window, "after": window["after"] or datetime(1970, 1, 1, tzinfo=UTC)})
    first = cursor.fetchone()
    if first is None:
        return None, 0
    return _step(cursor, "rollups", {**window, "since": first[0]})
