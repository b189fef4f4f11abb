"""Break and check an instance with hours of good events as the DAGs do, without Airflow's processes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.tasks import quality, views
from include.db import transaction
from include.quality.suites import SUITES_DIR
from include.settings import Settings
from tests.programs.breaks.feeds import Row, ordinary
from tests.support.rows import load_batch

# Events per minute of the hour around now on earlier days, as many as load_hours loads of now.
DAY_ROWS = 2400

TI = SimpleNamespace(dag_id="refresh_views", task_id="build_and_audit", run_id="run-1", log_url="http://ui/log")


def query(settings: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def load(settings: Settings, rows: Sequence[Row], *, ingested_at: datetime, name: str | None = None) -> None:
    """Load a file of these rows as the stream would."""
    events = [
        {key: value or None for key, value in row.items()} | {"event_time": datetime.fromisoformat(row["event_time"])}
        for row in rows
    ]
    load_batch(settings.dsn("owner"), events, ingested_at=ingested_at, name=name)


def load_good(settings: Settings, rows: int) -> None:
    """Continue the feed with good events."""
    now = datetime.now(UTC)
    load(settings, list(ordinary(now - timedelta(minutes=1), rows, timedelta(minutes=1))), ingested_at=now)


def deliver(settings: Settings, paths: Sequence[Path]) -> None:
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            load(settings, list(csv.DictReader(file)), ingested_at=datetime.now(UTC), name=path.name)


def load_hours(settings: Settings) -> None:
    """Load an hour of good events of three hours ago, and the last quarter of an hour."""
    now = datetime.now(UTC)
    for age, rows in ((timedelta(hours=3), 6000), (timedelta(minutes=17), 600)):
        name = f"events-20260101T000000000Z-1-{rows:06d}.csv"
        span = timedelta(minutes=60 if rows > 1000 else 15)
        load(settings, list(ordinary(now - age, rows, span)), ingested_at=now - age + span, name=name)


def load_days_before(settings: Settings) -> None:
    """Load the hour around now of the two days before, with the usual volume and not as late events."""
    now = datetime.now(UTC)
    for days in (2, 3):
        start = now - timedelta(days=days, minutes=32)
        load(settings, list(ordinary(start, DAY_ROWS, timedelta(hours=1))), ingested_at=now)


def refresh(settings: Settings, suites: Path = SUITES_DIR) -> list[str]:
    """Run ``refresh_views`` except for its last task, and return what failed."""
    failures = []
    try:
        views.advance(timeout_seconds=60)
        audited = views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)
        for view_name in views.list_views():
            try:
                views.publish(view_name, audited, timeout_seconds=60)
            except AirflowFailException as failure:
                failures.append(f"publish {view_name}: {failure}")
    except AirflowFailException as failure:
        failures.append(f"build_and_audit: {failure}")
    return failures


def look(settings: Settings, suites: Path = SUITES_DIR) -> list[str]:
    """Run each DAG that checks once, and return what failed."""
    failures = refresh(settings, suites)
    with suppress(AirflowFailException):
        quality.check_suites(str(suites), ti=TI)
        return failures
    return [*failures, "check_suites"]


def sweep(settings: Settings, suites: Path = SUITES_DIR) -> None:
    """Run the nightly sweep, whatever it finds."""
    with suppress(AirflowFailException):
        quality.check_suites(str(suites), params={"scope": "full"}, ti=TI)


def pass_time(settings: Settings, hours: float) -> None:
    """Move all that was loaded and checked so far into the past, as if nothing had come since."""
    moved = {
        "events": ("ingested_at",),
        "batches": ("started_at", "committed_at"),
        "files": ("arrived_at", "admitted_at", "finished_at"),
        "quality_runs": ("window_from", "window_to", "started_at", "finished_at"),
    }
    with transaction(settings.dsn("owner")) as cursor:
        for table, columns in moved.items():
            earlier = ", ".join(f"{column} = {column} - interval '{hours} hours'" for column in columns)
            cursor.execute(f"UPDATE shop.{table} SET {earlier}")


def open_alerts(settings: Settings) -> dict[str, tuple[str, int]]:
    rows = query(settings, "SELECT key, severity, occurrences FROM shop.alerts WHERE resolved_at IS NULL")
    return {key: (severity, occurrences) for key, severity, occurrences in rows}


def last_published(settings: Settings) -> dict[str, datetime]:
    return dict(
        query(
            settings,
            "SELECT view_name, max(published_at) FROM shop.refreshes WHERE published_at IS NOT NULL GROUP BY view_name",
        )
    )
