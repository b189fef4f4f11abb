"""Raise alerts for failed tasks that could not report their failure, because SIGKILL also kills a task's callbacks.

The callback of the DAG reports such a failure only if the whole run fails. Airflow knows of every failed task, so this
module compares its list with the reported failures.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from include.alerts import Alert, raise_alert
from include.alerts.state import failure_key, has_notified
from include.platform.services.airflow_api import AirflowApi

# A task that can still report its own failure has done so by then.
GRACE = timedelta(seconds=15)
_LOOK_BACK = timedelta(minutes=15)


def report_silent_failures(api: AirflowApi, dsn: str, *, now: datetime | None = None) -> list[Alert]:
    """Raise and return an alert for each task that failed in the last quarter of an hour without an alert."""
    now = datetime.now(UTC) if now is None else now
    alerts = []
    for task in api.failed_tasks(now - _LOOK_BACK):
        if datetime.fromisoformat(task["end_date"]) > now - GRACE:
            continue
        alert = silent_failure(task)
        since = datetime.fromisoformat(task["start_date"] or task["end_date"])
        if not has_notified(dsn, alert.source, task["dag_id"], task["dag_run_id"], since):
            raise_alert(dsn, alert)
            alerts.append(alert)
    return alerts


def silent_failure(task: dict[str, Any]) -> Alert:
    """Return the alert for a task instance, as the REST API describes it, that did not report its own failure."""
    dag_id, run_id, task_id, map_index = task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"]
    # Use the same name as include.airflow.alerting.notifier.
    instance = task_id if map_index < 0 else f"{task_id}[{task.get('rendered_map_index') or map_index}]"
    mapped = "" if map_index < 0 else f"/mapped/{map_index}"
    return Alert(
        severity="critical",
        source=f"{dag_id}.{instance}",
        key=failure_key(f"{dag_id}.{instance}"),
        title=f"{instance} failed without a report",
        detail=f"Try {task['try_number']} of {instance} in {run_id} failed at {task['end_date']} without reporting "
        "why: its process was killed (out of memory, or kill -9), or a user marked it as failed. Its log shows how far "
        "it got; the log of the scheduler (`make logs NAME=scheduler`) shows how its process ended.",
        run_id=run_id,
        url=f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}{mapped}",
        runbook_url=f"/dags/{dag_id}",
    )
