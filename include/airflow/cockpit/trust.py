"""How far a group of numbers can be trusted: how fresh it is, what was rejected, and what its last check said."""

from __future__ import annotations

from typing import Any

from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.kept import kept
from include.airflow.cockpit.models import Trust
from include.db.views import view_names

_QUERIES = Queries("cockpit_overview", "cockpit_quality")
# Checks come every few minutes, and a share of an hour moves slowly.
_KEPT_SECONDS = 5.0
TREND = 24


def views() -> list[Row]:
    """Of each view, what readers see and what came of its newest refresh."""
    return kept.get("views", _KEPT_SECONDS, lambda: _QUERIES.rows("views", names=list(view_names())))


def suites() -> dict[str, list[Row]]:
    """The newest runs of each suite, newest first."""

    def read() -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in _QUERIES.rows("suites", limit=TREND):
            found.setdefault(row["suite"], []).append(row)
        return found

    return kept.get("suites", _KEPT_SECONDS, read)


def trust_of(table_name: str) -> Trust:
    """Of a table that the stream writes, or of a materialized view; its suites name it with the schema."""
    runs = [last for last, *_ in suites().values() if last["table_name"] == f"shop.{table_name}"]
    checked: Row = max(runs, key=lambda run: run["finished_at"], default={})
    share = kept.get("reject_share", _KEPT_SECONDS, lambda: _QUERIES.one("reject_share"))
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
    newest = kept.get("newest_commit", 1.0, lambda: _QUERIES.one("newest_commit"))
    return {"fresh_at": newest["committed_at"]}
