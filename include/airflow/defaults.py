"""Define the ``@dag`` arguments that all DAGs share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from include.airflow.alerting.notifier import RecoveryNotifier, ShopstreamNotifier
from include.airflow.deadlines import deadline_of
from include.alerts import Severity

START_DATE = datetime(2026, 1, 1, tzinfo=UTC)
TAGS = ["shopstream"]


def defaults(
    *,
    schedule: str | None,
    tags: list[str],
    deadline: timedelta | None,
    dagrun_timeout: timedelta | None,
    task_timeout: timedelta,
    severity: Severity = "critical",
    max_active_runs: int = 1,
    **task_defaults: Any,
) -> dict[str, Any]:
    """Return the ``@dag`` arguments that are common to all DAGs.

    Parameters
    ----------
    schedule:
        Cron expression or preset; None for a DAG that users trigger.
    tags:
        Tags in addition to the common one.
    deadline:
        Time within which a run should succeed, counted from when it is queued; None for a run that never ends.
    dagrun_timeout:
        Time after which a run fails; None for a run that never ends.
    task_timeout:
        Default ``execution_timeout`` of the tasks.
    severity:
        Severity of the alerts about this DAG.
    max_active_runs:
        Maximum number of runs at the same time.
    task_defaults:
        More defaults of the tasks, for example ``retries``.
    """
    notifier = ShopstreamNotifier(severity=severity)
    return {
        "schedule": schedule,
        "start_date": START_DATE,
        "catchup": False,
        "tags": [*TAGS, *tags],
        "max_active_runs": max_active_runs,
        # A run takes one slot at most, so that all runs together leave room for the DAGs that watch the platform.
        "max_active_tasks": 1,
        "dagrun_timeout": dagrun_timeout,
        "deadline": deadline_of(deadline),
        "on_failure_callback": notifier,
        "default_args": {
            "owner": "shopstream",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": task_timeout,
            "on_failure_callback": notifier,
            "on_success_callback": RecoveryNotifier(),
            **task_defaults,
        },
    }
