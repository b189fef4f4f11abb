"""Define the deadlines of DAG runs; Airflow lists late runs (Browse, Deadlines), and each one raises an alert.

The deadline counts from the moment a run is queued, so a run that starts late because the machine was off is not late.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import conf
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.alerts import Alert, note_event

# A DAG that is late once is usually late again. Airflow's page of deadlines lists every single run.
QUIET_SECONDS = 3600.0
# The scheduler checks deadlines several times a minute, so a longer delay means that Airflow did not run.
_LATE_NOTICE = timedelta(minutes=5)

_log = logging.getLogger(__name__)


def deadline_of(interval: timedelta | None) -> DeadlineAlert | None:
    """Return the deadline by which the runs of a DAG must succeed, counted from when they are queued, or None.

    ``airflow dags test`` gets no deadline: no scheduler checks it there, and Airflow 3.3.2 fails a run that has one
    (apache/airflow#73428).
    """
    if interval is None or sys.argv[1:3] == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=interval,
        callback=AsyncCallback(notify_miss, kwargs={"seconds": interval.total_seconds()}),
        name=f"succeeds within {_minutes(interval.total_seconds())}",
    )


async def notify_miss(*, seconds: float, context: dict[str, Any]) -> None:
    """Record the alert of a run that missed its deadline; Airflow calls this in the triggerer.

    Parameters
    ----------
    seconds:
        The interval within which the run had to succeed.
    context:
        The run and its deadline, as the scheduler passes them.
    """
    alert = miss_alert(context, seconds=seconds, now=datetime.now(UTC))
    if alert is None:
        # Airflow's page of deadlines lists the run, and the failure itself has raised an alert already.
        _log.info("The run had failed before its deadline: %s", context["dag_run"]["dag_run_id"])
        return
    _log.warning("Alert (%s) from %s: %s", alert.severity, alert.source, alert.title)
    await asyncio.to_thread(lambda: note_event(dsn_of(OPS_CONN_ID), alert, quiet_seconds=QUIET_SECONDS))


def miss_alert(context: dict[str, Any], *, seconds: float, now: datetime) -> Alert | None:
    """Return the alert of a run that missed its deadline, or None when the run failed, which has its own alert.

    An alert that is raised long after the deadline, because Airflow did not run meanwhile, has the severity ``info``.
    """
    run, deadline = context["dag_run"], context["deadline"]["deadline_time"]
    if run["state"] == "failed":
        return None
    if isinstance(deadline, str):
        deadline = datetime.fromisoformat(deadline)
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    is_late_notice = now - deadline > _LATE_NOTICE
    detail = (
        f"{run_id} had to succeed within {_minutes(seconds)} after it was queued, by {deadline:%Y-%m-%d %H:%M:%S} UTC; "
        f"it is {run['state']}."
    )
    if is_late_notice:
        detail += f" This was noticed only at {now:%Y-%m-%d %H:%M:%S} UTC, because Airflow did not run meanwhile."
    dag_url = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{dag_id}"
    return Alert(
        severity="info" if is_late_notice else "warning",
        source=dag_id,
        title="A run missed its deadline",
        detail=detail,
        run_id=run_id,
        url=f"{dag_url}/runs/{quote(run_id, safe='')}",
        key=f"{dag_id}: deadline",
        runbook_url=dag_url,
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"
