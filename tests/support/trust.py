"""Insert rows about the trust in the figures, as the parts of the platform write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2 import sql

from include.db import one_row, transaction
from include.settings import Settings


def minutes_ago(minutes: float) -> datetime:
    """Return the time that many minutes ago."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def add(settings: Settings, table: str, key: str, /, **values: Any) -> Any:
    """Insert a row as the owner, and return its value of ``key``."""
    statement = sql.SQL("INSERT INTO shop.{} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
        sql.Identifier(key),
    )
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return one_row(cursor)[0]


def add_alert(settings: Settings, **values: Any) -> int:
    """Insert an open alert."""
    usual = {
        "key": f"test: {values.get('title', 'it failed')}",
        "severity": "critical",
        "source": "refresh_views.refresh",
        "title": "it failed",
        "detail": "for a reason",
    }
    return int(add(settings, "alerts", "alert_id", **usual | values))


def add_quality_run(settings: Settings, **values: Any) -> int:
    """Insert a run of the suite ``events`` that passed just now."""
    usual = {
        "run_id": "scheduled__2026-11-24T10:00:00+00:00",
        "suite": "events",
        "table_name": "shop.events",
        "scope": "window",
        "started_at": minutes_ago(1),
        "finished_at": minutes_ago(0),
        "verdict": "passed",
        "checks": 3,
        "critical_failures": 0,
        "warnings": 0,
    }
    return int(add(settings, "quality_runs", "quality_run_id", **usual | values))


def add_miss(settings: Settings, **values: Any) -> int:
    """Insert a miss of the objective ``freshness`` that is over."""
    usual = {
        "objective": "freshness",
        "began_at": minutes_ago(9),
        "ended_at": minutes_ago(5),
        "bound": 5.0,
        "worst_value": 42.5,
    }
    return int(add(settings, "objective_misses", "miss_id", **usual | values))


def add_minute(settings: Settings, objective: str, minutes: float, value: float | None, bound: float = 5.0) -> None:
    """Insert the value of an objective so many minutes ago."""
    minute = minutes_ago(minutes).replace(second=0, microsecond=0)
    is_met = value is None or value <= bound
    add(
        settings,
        "objective_minutes",
        "minute",
        objective=objective,
        minute=minute,
        value=value,
        bound=bound,
        is_met=is_met,
    )


def actions(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Return the audit trail: actor, action, subject and reason, oldest first."""
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT actor, action, subject, reason FROM shop.actions ORDER BY action_id")
        return list(cursor)
