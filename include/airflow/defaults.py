"""What all DAGs have in common, in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from include.airflow.deadlines import deadline_of
from include.airflow.notifier import RecoveryNotifier, ShopstreamNotifier
from include.alerts import Severity

START_DATE = datetime(2026, 1, 1, tzinfo=UTC)
TAGS = ["shopstream"]


def defaults(
    *,
    schedule: str,
    tags: list[str],
    deadline: timedelta | None,
    dagrun_timeout: timedelta | None,
    task_timeout: timedelta,
    severity: Severity = "critical",
    max_active_runs: int = 1,
    **task_defaults: Any,
) -> dict[str, Any]:
    """Arguments of ``@dag`` that no DAG decides by itself.

    Parameters
    ----------
    schedule:
        Cron expression or preset.
    tags:
        Beside the common one.
    deadline:
        Within which a run should have succeeded, counted from when it is queued; None for a run that has no end.
    dagrun_timeout:
        After which a run fails; None for a run that has no end.
    task_timeout:
        Default ``execution_timeout`` of the tasks.
    severity:
        Of the alerts about this DAG.
    max_active_runs:
        Runs at the same time.
    task_defaults:
        Further defaults of the tasks, for example ``retries``.
    """
    notifier = ShopstreamNotifier(severity=severity)
    return {
        "schedule": schedule,
        "start_date": START_DATE,
        "catchup": False,
        "tags": [*TAGS, *tags],
        "max_active_runs": max_active_runs,
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
