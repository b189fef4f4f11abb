"""The callbacks of every DAG and task: what fails opens an alert and tells people, the next success ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, conf
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.airflow.dispatch import tell_now
from include.alerts import Alert, Severity, has_reported, note_event, raise_alert_in, resolve_alerts_in
from include.alerts.state import failure_key, resolve_earlier_in, tell_elsewhere
from include.db import transaction

_LONGEST_DETAIL = 8000
_QUOTED_ROW = re.compile(r"^(DETAIL|CONTEXT): .*\n?", re.MULTILINE)


class ReportedFailure(AirflowFailException):
    """A task fails for what alerts tell of already, its own or another task's: its failure is no further one."""


class ShopstreamNotifier(BaseNotifier):
    """Opens an alert about what failed, and sends it at once.

    As a task's ``on_failure_callback`` it fires once the retries are exhausted. As a DAG's it fires for whatever no
    task could report itself: a run that timed out, and tasks that were killed together with their callback.

    Parameters
    ----------
    severity:
        Severity of the alert.
    is_event:
        Whether nothing lasts of what is told, as of a try that is followed by the next.
    quiet_seconds:
        How long the same event is not recorded again.
    conn_id:
        Airflow connection of the analytics database, role ops.
    """

    def __init__(
        self,
        *,
        severity: Severity = "critical",
        is_event: bool = False,
        quiet_seconds: float = 0,
        conn_id: str = OPS_CONN_ID,
    ) -> None:
        super().__init__()
        self.severity = severity
        self.is_event = is_event
        self.quiet_seconds = quiet_seconds
        self.conn_id = conn_id

    def notify(self, context: Any) -> None:
        """Write the alert and send it; the log has it as well, in case the database is what failed."""
        if isinstance(context.get("exception"), ReportedFailure):
            ti = context["ti"]
            tell_elsewhere(dsn_of(self.conn_id), f"{ti.dag_id}.{instance_of(ti)}", ti.run_id)
            return
        alert = _alert(self.severity, context)
        self.log.error("Alert (%s) from %s: %s", alert.severity, alert.source, alert.title)
        dsn = dsn_of(self.conn_id)
        if self.is_event:
            # Tries that fail for different reasons are different events.
            note_event(dsn, replace(alert, key=None), self.quiet_seconds)
        else:
            with transaction(dsn) as cursor:
                if "reason" in context and has_reported(cursor, alert):
                    return
                raise_alert_in(cursor, alert)
        tell_now(dsn)


class RecoveryNotifier(BaseNotifier):
    """Ends the alerts of earlier failures when a task succeeds, and says so.

    The last task of a run also ends that an earlier run of its DAG failed as a whole.
    """

    def __init__(self, *, conn_id: str = OPS_CONN_ID) -> None:
        super().__init__()
        self.conn_id = conn_id

    def notify(self, context: Any) -> None:
        """Resolve what was open."""
        ti, dsn = context["ti"], dsn_of(self.conn_id)
        is_last = not context["task"].downstream_task_ids
        with transaction(dsn) as cursor:
            ended = resolve_alerts_in(cursor, [failure_key(f"{ti.dag_id}.{instance_of(ti)}")])
            if is_last:
                ended += resolve_earlier_in(cursor, failure_key(ti.dag_id), ti.run_id)
        if ended:
            self.log.info("Recovered: %s", ", ".join(ended))
            tell_now(dsn)


def instance_of(ti: Any) -> str:
    """The name of a task instance within its DAG: of a mapped task with its index."""
    return str(ti.task_id) if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def _alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    # Airflow gives a reason to the callbacks of a DAG, also when it names a task instance beside it.
    return run_alert(severity, context) if "reason" in context else task_alert(severity, context)


def task_alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    """The alert of a task instance that failed for good."""
    ti = context["ti"]
    error = context.get("exception")
    instance = instance_of(ti)
    summary = str(error or "The task was killed or lost; its log tells how far it came.").strip()
    return Alert(
        severity=severity,
        source=f"{ti.dag_id}.{instance}",
        key=failure_key(f"{ti.dag_id}.{instance}"),
        title=f"{instance} failed: {summary.splitlines()[0][:200]}",
        detail=_chain(error)[:_LONGEST_DETAIL] if error else summary,
        run_id=ti.run_id,
        url=ti.log_url,
        owner=getattr(context.get("task"), "owner", "shopstream"),
        runbook_url=runbook_url(ti.dag_id),
    )


def run_alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    """The alert of a DAG run that failed as a whole."""
    dag_id, run_id, reason = context["dag"].dag_id, context["run_id"], context["reason"]
    return Alert(
        severity=severity,
        source=dag_id,
        key=failure_key(dag_id),
        title=f"The run failed: {str(reason).replace('_', ' ')}",
        detail=f"{dag_id} {run_id} failed ({reason}), and none of its tasks could report why.",
        run_id=run_id,
        url=_run_url(dag_id, run_id),
        runbook_url=runbook_url(dag_id),
    )


def runbook_url(dag_id: str) -> str:
    """The page of a DAG, whose docs are its runbook."""
    return f"{_base_url()}/dags/{dag_id}"


def _run_url(dag_id: str, run_id: str) -> str:
    return f"{_base_url()}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def _chain(error: Any) -> str:
    """The error and its causes, one a paragraph; callbacks outside the task's process are given text only."""
    parts = []
    while error is not None:
        parts.append(f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error))
        error = getattr(error, "__cause__", None)
    # PostgreSQL quotes the offending row, and analysts, who read alerts, must not see customers.
    return _QUOTED_ROW.sub("", "\n\ncaused by ".join(parts))
