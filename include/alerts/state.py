"""Alerts have a state: open until their cause is over. One key has one open alert, however often it is raised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
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
        Where to look: a log or a page. A path (``/dags/…``) is one of the Airflow UI.
    key:
        What it is about, without values that change: at most one open alert has it. Default ``source: title``.
    owner:
        Who is to act.
    runbook_url:
        What to do, as a page or a path of the Airflow UI.
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

    def parameters(self) -> dict[str, Any]:
        """The values of its row, by column."""
        return asdict(self) | {"key": self.key or f"{self.source}: {self.title}"}


def failure_key(source: str) -> str:
    """The key of the alert that a DAG (``dag``) or a task (``dag.task``) has failed."""
    return f"failed: {source}"


def raise_alert(dsn: str, alert: Alert) -> int:
    """Open an alert, or count one more occurrence of the open one with its key (role ops or ingest).

    Returns
    -------
    int
        Its ``alert_id``.
    """
    with transaction(dsn) as cursor:
        return raise_alert_in(cursor, alert)


def raise_alert_in(cursor: Any, alert: Alert) -> int:
    """As ``raise_alert``, in the caller's transaction."""
    cursor.execute(_SQL["raise"], alert.parameters())
    return int(one_row(cursor)[0])


def resolve_alert(dsn: str, key: str, resolution: str = "recovered") -> bool:
    """End the open alert with a key and say why; returns whether one was open."""
    with transaction(dsn) as cursor:
        return bool(resolve_alerts_in(cursor, [key], resolution))


def resolve_alerts_in(cursor: Any, keys: Sequence[str], resolution: str = "recovered") -> list[str]:
    """End the open alerts with these keys in the caller's transaction; returns the keys of those that were open."""
    cursor.execute(_SQL["resolve"], {"keys": list(keys), "resolution": resolution})
    return [key for (key,) in cursor]


def note_event(dsn: str, alert: Alert, quiet_seconds: float = 0) -> bool:
    """Record something that does not last: it is told once and has no end to wait for.

    Nothing is recorded while the same key is less than ``quiet_seconds`` old; returns whether it was.
    """
    with transaction(dsn) as cursor:
        return note_event_in(cursor, alert, quiet_seconds)


def note_event_in(cursor: Any, alert: Alert, quiet_seconds: float = 0) -> bool:
    """As ``note_event``, in the caller's transaction."""
    cursor.execute(_SQL["note"], alert.parameters() | {"quiet_seconds": quiet_seconds})
    return bool(cursor.rowcount)


def settle_alerts(dsn: str, prefix: str, alerts: Iterable[Alert]) -> None:
    """Make the open alerts whose keys begin with ``prefix`` exactly these: the rest is over.

    For what looks again and again and sees all that is wrong of one kind each time.
    """
    with transaction(dsn) as cursor:
        keys = []
        for alert in alerts:
            raise_alert_in(cursor, alert)
            keys.append(alert.parameters()["key"])
        cursor.execute(_SQL["resolve_others"], {"prefix": prefix, "keys": keys})


def resolve_earlier_in(cursor: Any, key: str, run_id: str) -> list[str]:
    """End the open alert of a key unless it is of this very run; returns its key if it was open."""
    cursor.execute(_SQL["resolve_earlier"], {"key": key, "run_id": run_id})
    return [key for (key,) in cursor]


def has_reported(cursor: Any, run: Alert) -> bool:
    """Whether tasks of a DAG have said as much as the alert of its run would."""
    cursor.execute(_SQL["has_reported"], run.parameters())
    return bool(one_row(cursor)[0])


def tell_elsewhere(dsn: str, source: str, run_id: str) -> None:
    """A task (``source``) failed for what other alerts tell of: it has spoken."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["forget_told"])
        cursor.execute(_SQL["tell_elsewhere"], {"source": source, "run_id": run_id})


def has_told(dsn: str, source: str, dag_id: str, run_id: str, since: datetime) -> bool:
    """Whether a task (``source``) has spoken since a time, or its DAG about that run."""
    values = {"source": source, "run_key": failure_key(dag_id), "run_id": run_id, "since": since}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["has_told"], values)
        return bool(one_row(cursor)[0])
