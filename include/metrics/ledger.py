"""Count what the stream commits, from the rows added to the ledger between two scrapes.

The counters start at 0 with the program, as Prometheus allows, because the ledger of a month is too long to sum.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from include.db import load_queries
from include.metrics.families import PREFIX

# Batches per query, and queries per scrape. After an hour without a scrape, the following scrapes catch up.
_AT_ONCE, _STEPS = 5_000, 4
_LAG_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800)
_OUTCOMES = ("accepted", "duplicate", "rejected")
_SQL = load_queries("metrics")


class Ledger:
    """The counters, and the last batch that they include."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._after: int | None = None
        self._rows = Counter(f"{PREFIX}rows", "Committed rows, by outcome.", ["outcome"], registry=registry)
        self._batches = Counter(f"{PREFIX}batches", "Committed batches.", registry=registry)
        self._files = Counter(
            f"{PREFIX}files", "Files of these batches; a large file counts once for each slice.", registry=registry
        )
        self._stages = Counter(
            f"{PREFIX}batch_stage_seconds", "Time spent on the batches, by stage.", ["stage"], registry=registry
        )
        self._lag = Histogram(
            f"{PREFIX}batch_lag_seconds",
            "Time from the arrival of the oldest file of a batch to its commit.",
            buckets=_LAG_BUCKETS_SECONDS,
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self._rows.labels(outcome)

    def advance(self, cursor: Any) -> None:
        """Add the batches committed since the last call."""
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
            # Update all counters together, after the last query that can fail, so no batch is counted twice.
            self._after = up_to
            self._batches.inc(batches)
            self._files.inc(files)
            for outcome, rows in zip(_OUTCOMES, sums, strict=True):
                self._rows.labels(outcome).inc(rows)
            for stage, seconds in stages:
                self._stages.labels(stage).inc(seconds)
            for lag in lags or ():
                self._lag.observe(lag)
