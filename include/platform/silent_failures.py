"""Tasks that failed and could not say so: a process that was killed with -9 takes its callbacks along.

Its DAG's callback speaks for it, but only when the whole run fails. Airflow knows of every failure: this compares.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from include.alerts import Alert, raise_alert
from include.alerts.state import failure_key, has_told
from include.platform.rest import AirflowApi

# Whoever can speak for himself has done so by then.
GRACE = timedelta(seconds=15)
_LOOK_BACK = timedelta(minutes=15)


def report_silent_failures(api: AirflowApi, dsn: str, *, now: datetime | None = None) -> list[Alert]:
    """Raise an alert for each task that failed within a quarter of an hour and of which none tells; returns them."""
    now = datetime.now(UTC) if now is None else now
    alerts = []
    for task in api.failed_tasks(now - _LOOK_BACK):
        if datetime.fromisoformat(task["end_date"]) > now - GRACE:
            continue
        alert = silent_failure(task)
        since = datetime.fromisoformat(task["start_date"] or task["end_date"])
        if not has_told(dsn, alert.source, task["dag_id"], task["dag_run_id"], since):
            raise_alert(dsn, alert)
            alerts.append(alert)
    return alerts


def silent_failure(task: dict[str, Any]) -> Alert:
    """The alert of a task instance, as the REST API describes it, that did not report its own failure."""
    dag_id, run_id, task_id, map_index = task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"]
    instance = task_id if map_index < 0 else f"{task_id}[{map_index}]"
    mapped = "" if map_index < 0 else f"/mapped/{map_index}"
    return Alert(
        severity="critical",
        source=f"{dag_id}.{instance}",
        key=failure_key(f"{dag_id}.{instance}"),
        title=f"{instance} failed without a word",
        detail=f"Try {task['try_number']} of {instance} in {run_id} ended at {task['end_date']} as failed, and nothing "
        "reported why: its process was killed (out of memory, or kill -9), or somebody marked it as failed. Its log "
        "tells how far it came; the log of the scheduler (`make logs NAME=scheduler`) how its process ended.",
        run_id=run_id,
        url=f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}{mapped}",
        runbook_url=f"/dags/{dag_id}",
    )
