"""Deadlines of DAG runs: Airflow marks a run that is late (Browse, Deadlines), and an alert says so.

The time counts from when a run is queued: a run that catches up after the machine was off is not late for that.
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

# A DAG that is late is mostly late again; the page of deadlines has every single run.
QUIET_SECONDS = 3600.0
# The scheduler looks at deadlines several times a minute.
_LATE_NOTICE = timedelta(minutes=5)

_log = logging.getLogger(__name__)


def deadline_of(interval: timedelta | None) -> DeadlineAlert | None:
    """The deadline of the runs of a DAG: to have succeeded within an interval after they were queued; None for none.

    There is none in ``airflow dags test``: no scheduler looks at it there, and Airflow 3.3.2 fails a run that has one
    (apache/airflow#73428).
    """
    if interval is None or sys.argv[1:3] == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=interval,
        callback=AsyncCallback(tell_of_miss, kwargs={"seconds": interval.total_seconds()}),
        name=f"succeeds within {_minutes(interval.total_seconds())}",
    )


async def tell_of_miss(*, seconds: float, context: dict[str, Any]) -> None:
    """Write the alert of a run that missed its deadline; called by Airflow, in the triggerer.

    Parameters
    ----------
    seconds:
        The interval that the run had.
    context:
        The run and its deadline, as the scheduler gives them.
    """
    alert = miss_alert(context, seconds=seconds, now=datetime.now(UTC))
    if alert is None:
        # The page of deadlines has it; what failed has been told already.
        _log.info("The run had failed before its deadline: %s", context["dag_run"]["dag_run_id"])
        return
    _log.warning("Alert (%s) from %s: %s", alert.severity, alert.source, alert.title)
    await asyncio.to_thread(lambda: note_event(dsn_of(OPS_CONN_ID), alert, quiet_seconds=QUIET_SECONDS))


def miss_alert(context: dict[str, Any], *, seconds: float, now: datetime) -> Alert | None:
    """The alert of a run that missed its deadline; None when the run has failed, for which there is an alert.

    One that is noticed long after the deadline, because Airflow did not run meanwhile, is for the record only.
    """
    run, deadline = context["dag_run"], context["deadline"]["deadline_time"]
    if run["state"] == "failed":
        return None
    if isinstance(deadline, str):
        deadline = datetime.fromisoformat(deadline)
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    is_late_notice = now - deadline > _LATE_NOTICE
    detail = (
        f"{run_id} was to succeed within {_minutes(seconds)} after it was queued, by {deadline:%Y-%m-%d %H:%M:%S} UTC; "
        f"it is {run['state']}."
    )
    if is_late_notice:
        detail += f" That was noticed at {now:%Y-%m-%d %H:%M:%S} UTC only: Airflow did not run meanwhile."
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
