"""Compare the tables with one another: the batch ledger, the balances of files, events, rejects and rollups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from include.db import load_queries
from include.reconcile.report import Comparison

_SQL = load_queries("reconcile")
_BALANCE = ("read", "accepted", "duplicate", "rejected")


def compare_ledger(cursor: Any, rejects_since: datetime | None) -> Iterator[Comparison]:
    """Yield a comparison for every sum that must be the same in two tables.

    Parameters
    ----------
    cursor:
        A cursor of a transaction that sees one snapshot.
    rejects_since:
        Retention may have removed rejects of batches before this time; None when all are kept.
    """
    totals = fetch(cursor, "ledger_totals")[0]
    stored = fetch(cursor, "stored_events")[0]
    for column in ("files", *_BALANCE):
        yield Comparison("ledger", f"{column}: batches = files", totals[f"batch_{column}"], totals[f"file_{column}"])
    kept = stored["events"] + totals["retired_events"]
    yield Comparison("ledger", "accepted: files = events stored or retired", totals["file_accepted"], kept)
    yield Comparison("ledger", "accepted: batches = daily sums", totals["daily_accepted"], totals["daily_events"])
    yield Comparison("shop.events", "event ids that are repeated", 0, stored["repeated"])

    rollup = fetch(cursor, "rollup_totals")[0]
    for column in ("events", "quantity", "amount"):
        yield Comparison(
            "shop.rollup_minute", f"{column}: events = rollups", rollup[column], rollup[f"rollup_{column}"]
        )
    yield Comparison("shop.rollup_minute", "rows that differ from events", 0, rollup["differing"])

    for batch in fetch(cursor, "batch_differences"):
        for column in _BALANCE:
            subject = f"batch {batch['batch_id']}"
            yield Comparison(subject, f"{column}: one batch = its files", batch[column], batch[f"file_{column}"])
    for file in fetch(cursor, "part_differences"):
        for column in _BALANCE:
            yield Comparison(file["name"], f"{column}: one file = its slices", file[column], file[f"slice_{column}"])
    for file in fetch(cursor, "event_differences"):
        yield Comparison(file["name"], "accepted: one file = its events", file["accepted"], file["events"])
    for file in fetch(cursor, "reject_differences", rejects_since=rejects_since):
        yield Comparison(file["name"], "rejected: one file = its rejects", file["rejected"], file["rejects"])


def fetch(cursor: Any, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a named query as dictionaries."""
    cursor.execute(_SQL[query], parameters)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
