"""Define the callbacks of every DAG and task: a failure opens an alert and sends it, the next success ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, TriggerRule, conf
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.alerting.dispatch import send_now
from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.alerts import Alert, Severity, has_reported, note_event, raise_alert_in, resolve_alerts_in
from include.alerts.state import failure_key, leave_to_cause, resolve_earlier_in
from include.db import transaction
from include.db.messages import without_rows

_LONGEST_DETAIL = 8000


class ReportedFailure(AirflowFailException):
    """Fail a task without another alert, because its own alerts, or those of another task, already cover the cause."""


class ShopstreamNotifier(BaseNotifier):
    """Open an alert about a failure and send it immediately.

    As a task's ``on_failure_callback``, it runs once the retries are exhausted. As a DAG's, it covers what no task
    could report itself: a run that timed out, and tasks that were killed together with their callback.

    Parameters
    ----------
    severity:
        Severity of the alert.
    is_event:
        Whether the alert is a single event that does not stay open, for example a failed try that is followed by
        another.
    quiet_seconds:
        How long the same event is not recorded again, in seconds.
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

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render nothing, since no field is a template and ``airflow dags test`` passes a DAG without environment."""

    def notify(self, context: Any) -> None:
        """Record the alert and send it; also log it, in case the failure is that of the database."""
        if isinstance(context.get("exception"), ReportedFailure):
            ti = context["ti"]
            leave_to_cause(dsn_of(self.conn_id), f"{ti.dag_id}.{instance_of(ti)}", ti.run_id)
            return
        alert = _alert(self.severity, context)
        self.log.error("Alert (%s) from %s: %s", alert.severity, alert.source, alert.title)
        dsn = dsn_of(self.conn_id)
        if self.is_event:
            # Without a key, the title distinguishes events, so tries that fail for different reasons are all recorded.
            note_event(dsn, replace(alert, key=None), self.quiet_seconds)
        else:
            with transaction(dsn) as cursor:
                if "reason" in context and has_reported(cursor, alert):
                    return
                raise_alert_in(cursor, alert)
        send_now(dsn)


class RecoveryNotifier(BaseNotifier):
    """End the alerts of earlier failures when a task succeeds, and notify the channels.

    The last task of a run also ends the alert that an earlier run of its DAG failed as a whole. A watcher after it,
    which runs only when a task has failed, does not count as the last task.
    """

    def __init__(self, *, conn_id: str = OPS_CONN_ID) -> None:
        super().__init__()
        self.conn_id = conn_id

    def notify(self, context: Any) -> None:
        """Resolve the alerts that the success ends."""
        ti, dsn = context["ti"], dsn_of(self.conn_id)
        is_last = all(one.trigger_rule == TriggerRule.ONE_FAILED for one in context["task"].downstream_list)
        with transaction(dsn) as cursor:
            ended = resolve_alerts_in(cursor, [failure_key(f"{ti.dag_id}.{instance_of(ti)}")])
            if is_last:
                ended += resolve_earlier_in(cursor, failure_key(ti.dag_id), ti.run_id)
        if ended:
            self.log.info("Recovered: %s", ", ".join(ended))
            send_now(dsn)


def instance_of(ti: Any) -> str:
    """Return the name of a task instance within its DAG, with the label or index of a mapped instance.

    The label of ``map_index_template`` is preferred, because an index changes when an instance is added.
    """
    if ti.map_index is None or ti.map_index < 0:
        return str(ti.task_id)
    return f"{ti.task_id}[{getattr(ti, 'rendered_map_index', None) or ti.map_index}]"


def _alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    # Only the context of a DAG callback has a reason, even if the context also names a task instance.
    return run_alert(severity, context) if "reason" in context else task_alert(severity, context)


def task_alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    """Return the alert of a task instance that failed after its last try."""
    ti = context["ti"]
    error = context.get("exception")
    instance = instance_of(ti)
    summary = without_rows(str(error or "The task was killed or lost; its log shows how far it got."))
    return Alert(
        severity=severity,
        source=f"{ti.dag_id}.{instance}",
        key=failure_key(f"{ti.dag_id}.{instance}"),
        title=f"{instance} failed: {(summary.splitlines() or [type(error).__name__])[0][:200]}",
        detail=_chain(error)[:_LONGEST_DETAIL] if error else summary,
        run_id=ti.run_id,
        url=ti.log_url,
        owner=getattr(context.get("task"), "owner", "shopstream"),
        runbook_url=runbook_url(ti.dag_id),
    )


def run_alert(severity: Severity, context: Mapping[str, Any]) -> Alert:
    """Return the alert of a DAG run that failed as a whole."""
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
    """Return the address of a DAG's page, which shows its runbook."""
    return f"{_base_url()}/dags/{dag_id}"


def _run_url(dag_id: str, run_id: str) -> str:
    return f"{_base_url()}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def _chain(error: Any) -> str:
    """Return the error and its causes, one per paragraph; outside the task's process, a callback gets only text."""
    parts = []
    while error is not None:
        text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
        # Analysts can read alerts, so they must not contain rows of data.
        parts.append(without_rows(text))
        error = getattr(error, "__cause__", None)
    return "\n\ncaused by ".join(parts)
