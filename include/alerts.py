"""Alerts: rows of ``shop.alerts``, which the dashboard, ``make status`` and channels outside Airflow read."""

from __future__ import annotations

from collections.abc import Iterable
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
    key:
        What it is about, without values that change; default ``source: title``.
    owner:
        Who is to act.
    runbook_url:
        What to do, as a page of the Airflow UI.
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


def raise_alert(dsn: str, alert: Alert) -> int:
    """Open an alert (role ops or ingest), or count an occurrence of the one of its key that is open; returns its id."""
    values = asdict(alert) | {"key": alert.key or f"{alert.source}: {alert.title}"}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["raise"], values)
        return int(one_row(cursor)[0])


def resolve_alert(dsn: str, key: str, resolution: str = "recovered") -> bool:
    """End the open alert of a key; returns whether there was one."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["resolve"], {"key": key, "resolution": resolution})
        return bool(cursor.rowcount)


def settle_alerts(dsn: str, prefix: str, alerts: Iterable[Alert]) -> None:
    """Make the open alerts whose keys begin with ``prefix`` exactly these: the rest is over."""
    keys = [alert.key for alert in alerts if raise_alert(dsn, alert)]
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["resolve_others"], {"prefix": prefix, "keys": keys})


def note_event(dsn: str, alert: Alert, quiet_seconds: float = 0) -> bool:
    """Record something that does not last, as already over; returns whether it was written."""
    return record(dsn, alert, quiet_seconds=quiet_seconds)
