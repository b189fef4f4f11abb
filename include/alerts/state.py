"""Raise and resolve alerts; each key has at most one open alert, however often it is raised."""

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
    """Something that an operator should look at.

    Parameters
    ----------
    severity:
        ``critical``: act now; ``warning``: look at it today; ``info``: for the record.
    source:
        The component that raised it: ``dag``, ``dag.task``, or ``stream`` for the job itself.
    title:
        What happened, in one line.
    detail:
        The whole finding, and the remedy if one is known.
    run_id:
        The DAG run.
    url:
        A log or a page with more information. A path (``/dags/…``) is relative to the Airflow UI.
    key:
        Identifies the subject of the alert, without values that change. At most one open alert has a given key. Default
        ``source: title``.
    owner:
        The user or team that must act.
    runbook_url:
        The page with the instructions, as an address or a path of the Airflow UI.
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
        """Return the values of the alert's row, by column."""
        return asdict(self) | {"key": self.key or f"{self.source}: {self.title}"}


def failure_key(source: str) -> str:
    """Return the key of the alert about a failed DAG (``dag``) or task (``dag.task``)."""
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
    """Do the same as ``raise_alert``, in the caller's transaction."""
    cursor.execute(_SQL["raise"], alert.parameters())
    return int(one_row(cursor)[0])


def resolve_alert(dsn: str, key: str, resolution: str = "recovered") -> bool:
    """End the open alert with a key, for the given reason; return whether one was open."""
    with transaction(dsn) as cursor:
        return bool(resolve_alerts_in(cursor, [key], resolution))


def resolve_alerts_in(cursor: Any, keys: Sequence[str], resolution: str = "recovered") -> list[str]:
    """End the open alerts with these keys in the caller's transaction; return the keys of those that were open."""
    cursor.execute(_SQL["resolve"], {"keys": list(keys), "resolution": resolution})
    return [key for (key,) in cursor]


def note_event(dsn: str, alert: Alert, quiet_seconds: float = 0) -> bool:
    """Record an event, an alert that is sent once and does not stay open; return whether it was recorded.

    It is not recorded if the newest alert with the same key is less than ``quiet_seconds`` old.
    """
    with transaction(dsn) as cursor:
        return note_event_in(cursor, alert, quiet_seconds)


def note_event_in(cursor: Any, alert: Alert, quiet_seconds: float = 0) -> bool:
    """Do the same as ``note_event``, in the caller's transaction."""
    cursor.execute(_SQL["note"], alert.parameters() | {"quiet_seconds": quiet_seconds})
    return bool(cursor.rowcount)


def sync_alerts(dsn: str, prefix: str, alerts: Iterable[Alert]) -> None:
    """Raise these alerts, and end the other open alerts whose keys begin with ``prefix``.

    This is for periodic checks that find all faults of one kind each time.
    """
    with transaction(dsn) as cursor:
        keys = []
        for alert in alerts:
            raise_alert_in(cursor, alert)
            keys.append(alert.parameters()["key"])
        cursor.execute(_SQL["resolve_others"], {"prefix": prefix, "keys": keys})


def resolve_earlier_in(cursor: Any, key: str, run_id: str) -> list[str]:
    """End the open alert with a key unless this same run raised it; return the key in a list if it was ended."""
    cursor.execute(_SQL["resolve_earlier"], {"key": key, "run_id": run_id})
    return [key for (key,) in cursor]


def open_keys(cursor: Any, prefix: str) -> list[str]:
    """Return the keys of the open alerts that begin with a prefix."""
    cursor.execute(_SQL["open_keys"], {"prefix": prefix})
    return [key for (key,) in cursor]


def has_reported(cursor: Any, run: Alert) -> bool:
    """Return whether alerts of a DAG's tasks already cover what the alert of its run would report."""
    cursor.execute(_SQL["has_reported"], run.parameters())
    return bool(one_row(cursor)[0])


def leave_to_cause(dsn: str, source: str, run_id: str) -> None:
    """Record that other alerts cover the failure of a task (``source``), so that it needs no alert of its own."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["forget_notified"])
        cursor.execute(_SQL["leave_to_cause"], {"source": source, "run_id": run_id})


def has_notified(dsn: str, source: str, dag_id: str, run_id: str, since: datetime) -> bool:
    """Return whether the failure of a task (``source``) has been reported since a time, or that of its run."""
    values = {"source": source, "run_key": failure_key(dag_id), "run_id": run_id, "since": since}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["has_notified"], values)
        return bool(one_row(cursor)[0])
