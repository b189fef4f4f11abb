"""Alerts: rows of ``shop.alerts``, which the dashboard, ``make status`` and channels outside Airflow read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from include.db import load_queries, one_row, transaction

Severity = Literal["critical", "warning", "info"]

_SQL = load_queries("alerts")


@dataclass(frozen=True)
class Alert:
    """Something that a person should look at.

    Parameters
    ----------
    severity:
        ``critical``: act now; ``warning``: look at it today; ``info``: for the record.
    source:
        Who says so: ``dag``, ``dag.task``, or ``stream`` for the job itself.
    title:
        What happened, in one line.
    detail:
        The whole finding, and the remedy where one is known.
    run_id:
        The DAG run.
    url:
        Where to look in the Airflow UI.
    """

    severity: Severity
    source: str
    title: str
    detail: str
    run_id: str | None = None
    url: str | None = None
    key: str | None = None
    owner: str = "shopstream"
    runbook_url: str | None = None


def raise_alert(dsn: str, alert: Alert) -> int:
    """Open an alert, or count an occurrence of the open one of its key; returns its number."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["raise"], asdict(alert) | {"key": alert.key or f"{alert.source}: {alert.title}"})
        return int(one_row(cursor)[0])


def resolve_alert(dsn: str, key: str, resolution: str = "recovered") -> bool:
    """End the open alert of a key; returns whether one was open."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["resolve"], {"key": key, "resolution": resolution})
        return bool(cursor.rowcount)


def record(dsn: str, alert: Alert, *, quiet_seconds: float = 0) -> bool:
    """Write an alert (role ops), unless one of the same source and title is less than ``quiet_seconds`` old.

    Returns
    -------
    bool
        Whether it was written.
    """
    with transaction(dsn) as cursor:
        return insert(cursor, alert, quiet_seconds=quiet_seconds)


def insert(cursor: Any, alert: Alert, *, quiet_seconds: float = 0) -> bool:
    """As ``record``, in the caller's transaction (role ops or ingest)."""
    cursor.execute(_SQL["insert"], asdict(alert) | {"quiet_seconds": quiet_seconds})
    return bool(cursor.rowcount)


def record_unless_reported(dsn: str, alert: Alert, *, quiet_seconds: float = 0) -> bool:
    """Write the alert of a failed DAG run, unless one of its tasks has raised one; returns whether it was written.

    Nor is it written when the DAG or one of its tasks, in whichever run, has raised one of the same severity within
    ``quiet_seconds``.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["insert_unless_reported"], asdict(alert) | {"quiet_seconds": quiet_seconds})
        return bool(cursor.rowcount)
