"""Counts what the stream commits, from the rows that the ledger gets between two scrapes.

Counters begin at 0 with the program, as Prometheus expects of them: the ledger of a month is too long to be summed up.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from include.db import load_queries
from include.metrics.families import PREFIX

# Batches in one query, and queries in one scrape: after an hour without a scrape, the next ones catch up.
_AT_ONCE, _STEPS = 5_000, 4
_LAG_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800)
_OUTCOMES = ("accepted", "duplicate", "rejected")
_SQL = load_queries("metrics")


class Ledger:
    """The counters, and the batch up to which they count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._after: int | None = None
        self._rows = Counter(f"{PREFIX}rows", "Rows that were committed, by outcome.", ["outcome"], registry=registry)
        self._batches = Counter(f"{PREFIX}batches", "Batches that were committed.", registry=registry)
        self._files = Counter(
            f"{PREFIX}files", "Files of these batches; a large one counts for each part.", registry=registry
        )
        self._stages = Counter(
            f"{PREFIX}batch_stage_seconds", "Time that the batches took, by stage.", ["stage"], registry=registry
        )
        self._lag = Histogram(
            f"{PREFIX}batch_lag_seconds",
            "Commit of a batch minus arrival of its oldest file.",
            buckets=_LAG_BUCKETS_SECONDS,
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self._rows.labels(outcome)

    def advance(self, cursor: Any) -> None:
        """Add what was committed since the last call."""
        if self._after is None:
            cursor.execute(_SQL["newest_batch"])
            (self._after,) = cursor.fetchone()
        for _ in range(_STEPS):
            cursor.execute(_SQL["new_batches"], {"after": self._after, "limit": _AT_ONCE})
            found = cursor.fetchone()
            if found is None:
                return
            up_to, batches, files, *sums, lags = found
            cursor.execute(_SQL["new_stages"], {"after": self._after, "up_to": up_to})
            stages = cursor.fetchall()
            # All at once, when nothing can fail any more: a batch is not counted twice.
            self._after = up_to
            self._batches.inc(batches)
            self._files.inc(files)
            for outcome, rows in zip(_OUTCOMES, sums, strict=True):
                self._rows.labels(outcome).inc(rows)
            for stage, seconds in stages:
                self._stages.labels(stage).inc(seconds)
            for lag in lags or ():
                self._lag.observe(lag)
