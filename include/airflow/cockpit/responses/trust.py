"""Describe how far a group of numbers can be trusted: freshness, share of rejected rows, and the last check."""

from __future__ import annotations

from typing import Any

from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import Trust
from include.airflow.cockpit.responses.cache import cache
from include.db.views import view_names
from include.quality.required import known_suites

_QUERIES = Queries("cockpit_overview", "cockpit_quality", "suite_runs")
# Checks run every few minutes, and the share of an hour changes slowly.
_CACHE_SECONDS = 5.0
TREND = 24


def views() -> list[Row]:
    """Return for each view what readers see, and the outcome of its newest refresh."""
    return cache.get("views", _CACHE_SECONDS, lambda: _QUERIES.rows("views", names=list(view_names())))


def suites() -> dict[str, list[Row]]:
    """Return the newest runs of each suite that exists or must exist, newest first."""

    def read() -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        present = known_suites()
        for row in _QUERIES.rows("newest_runs", limit=TREND):
            # A suite that was deleted or renamed has past runs, but no current state.
            if row["suite"] not in present:
                continue
            found.setdefault(row["suite"], []).append(row)
        return found

    return cache.get("suites", _CACHE_SECONDS, read)


def trust_of(table_name: str) -> Trust:
    """Return the trust of a table that the stream writes, or of a materialized view.

    Suites refer to the table with its schema; ``table_name`` has none.
    """
    runs = [last for last, *_ in suites().values() if last["table_name"] == f"shop.{table_name}"]
    checked: Row = max(runs, key=lambda run: run["finished_at"], default={})
    share = cache.get("reject_share", _CACHE_SECONDS, lambda: _QUERIES.one("reject_share"))
    return Trust(
        table_name=table_name,
        reject_share=share["reject_share"],
        verdict=checked.get("verdict"),
        checked_at=checked.get("finished_at"),
        **_freshness(table_name),
    )


def _freshness(table_name: str) -> dict[str, Any]:
    for view in views():
        if view["view_name"] == table_name:
            return {"fresh_at": view["fresh_at"], "is_held": view["held_because"] is not None}
    newest = cache.get("newest_commit", 1.0, lambda: _QUERIES.one("newest_commit"))
    return {"fresh_at": newest["committed_at"]}
