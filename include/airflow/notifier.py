"""The failure callback of every DAG and task: it writes an alert."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, conf
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.alerts import Alert, Severity, record, record_unless_reported

_LONGEST_DETAIL = 8000
_QUOTED_ROW = re.compile(r"^(DETAIL|CONTEXT): .*\n?", re.MULTILINE)


class ReportedFailure(AirflowFailException):
    """A task fails for what it has raised alerts about itself: its failure is no further one."""


class ShopstreamNotifier(BaseNotifier):
    """Writes what failed into ``shop.alerts``.

    As a task's ``on_failure_callback`` it fires once the retries are exhausted. As a DAG's it fires for whatever no
    task could report itself: a run that timed out, and tasks that were killed together with their callback.

    Parameters
    ----------
    severity:
        Severity of the alert.
    quiet_seconds:
        How long an alert of the same source and title is not written again; of a DAG, none after one of its tasks'.
    conn_id:
        Airflow connection of the analytics database, role ops.
    """

    def __init__(
        self, *, severity: Severity = "critical", quiet_seconds: float = 0, conn_id: str = OPS_CONN_ID
    ) -> None:
        super().__init__()
        self.severity = severity
        self.quiet_seconds = quiet_seconds
        self.conn_id = conn_id

    def notify(self, context: Any) -> None:
        """Write the alert; the log has it as well, in case the database is what failed."""
        if isinstance(context.get("exception"), ReportedFailure):
            return
        # Airflow gives a reason to the callbacks of a DAG, also when it names a task instance beside it.
        is_run = "reason" in context
        alert = run_alert(self.severity, context) if is_run else task_alert(self.severity, context)
        self.log.error("Alert (%s) from %s: %s", alert.severity, alert.source, alert.title)
        if is_run:
            record_unless_reported(dsn_of(self.conn_id), alert, quiet_seconds=self.quiet_seconds)
        else:
            record(dsn_of(self.conn_id), alert, quiet_seconds=self.quiet_seconds)


def task_alert(severity: Severity, context: Any) -> Alert:
    """The alert of a task instance that failed for good."""
    ti = context["ti"]
    error = context.get("exception")
    instance = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
    summary = str(error or "The task was killed or lost; its log tells how far it came.").strip()
    return Alert(
        severity=severity,
        source=f"{ti.dag_id}.{instance}",
        title=f"{instance} failed: {summary.splitlines()[0][:200]}",
        detail=_chain(error)[:_LONGEST_DETAIL] if error else summary,
        run_id=ti.run_id,
        url=ti.log_url,
    )


def run_alert(severity: Severity, context: Any) -> Alert:
    """The alert of a DAG run that failed as a whole."""
    dag_id, run_id, reason = context["dag"].dag_id, context["run_id"], context["reason"]
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    return Alert(
        severity=severity,
        source=dag_id,
        title=f"The run failed: {str(reason).replace('_', ' ')}",
        detail=f"{dag_id} {run_id} failed ({reason}), and none of its tasks could report why.",
        run_id=run_id,
        url=f"{base_url}/dags/{dag_id}/runs/{quote(run_id, safe='')}",
    )


def _chain(error: Any) -> str:
    """The error and its causes, one a paragraph; callbacks outside the task's process are given text only."""
    parts = []
    while error is not None:
        parts.append(f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error))
        error = getattr(error, "__cause__", None)
    # PostgreSQL quotes the offending row, and analysts, who read alerts, must not see customers.
    return _QUOTED_ROW.sub("", "\n\ncaused by ".join(parts))
