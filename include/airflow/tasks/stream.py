"""Diagnose the stream from outside, as a task."""

from __future__ import annotations

import logging
import time
from typing import Any

from airflow.sdk import BaseHook

from include.airflow.alerting.dispatch import send_now
from include.airflow.alerting.notifier import ReportedFailure, runbook_url
from include.airflow.connections import OPS_CONN_ID, SPARK_CONN_ID, dsn_of
from include.airflow.spark.clusters import cluster_of
from include.alerts import Alert, sync_alerts
from include.errors import ShopstreamError
from include.settings import Settings
from include.stream.supervision.diagnosis import Finding, Limits, diagnose, summary
from include.stream.supervision.disk import diagnose_disks
from include.stream.supervision.refusals import diagnose_refusals
from include.stream.supervision.status import StreamStatus, stream_status

_log = logging.getLogger(__name__)
# A stream recovers within a few seconds after Postgres or the machine was suspended, so check twice.
_SECOND_LOOK_SECONDS = 10.0
_KEYS = "watch_stream: "


def diagnose_stream(ti: Any = None, *, second_look_seconds: float = _SECOND_LOOK_SECONDS) -> None:
    """Diagnose the stream, update its open alerts to match the findings, and fail with the critical ones.

    If a second check also finds the driver stuck, end it first.
    """
    dsn, settings = dsn_of(OPS_CONN_ID), Settings.from_env()
    limits = Limits.of(settings)
    status = stream_status(dsn)
    findings = diagnose(status, limits)
    _log.info("%s", summary(status))
    if any(one.needs_recycling for one in findings):
        _log.warning("%s Looking again in %.0f s.", _list(findings), second_look_seconds)
        time.sleep(second_look_seconds)
        status = stream_status(dsn)
        findings = diagnose(status, limits)
        _log.info("%s", summary(status))
    what_was_done = _recycle(status) if any(one.needs_recycling for one in findings) else "Nothing was done."
    findings += [*diagnose_disks(settings), *diagnose_refusals(dsn, settings)]
    sync_alerts(dsn, _KEYS, [_alert(one, what_was_done, ti) for one in findings])
    send_now(dsn)
    critical = [one for one in findings if one.severity == "critical"]
    for one in findings:
        if one not in critical:
            _log.warning("%s", one.text)
    if critical:
        names = ", ".join(one.code.replace("_", " ") for one in critical)
        raise ReportedFailure(f"{names}\n{_list(critical)}\n{what_was_done}")


def _recycle(status: StreamStatus) -> str:
    """Have the cluster end the driver; return a sentence about the result."""
    if status.driver_id is None:
        return f"Its driver was not started by a Spark cluster, so end it by hand (it runs in {status.log_path})."
    try:
        answer = cluster_of(BaseHook.get_connection(SPARK_CONN_ID), Settings.from_env()).kill(status.driver_id)
    except ShopstreamError as error:
        return f"Its driver could not be ended: {error}"
    return f"The Spark cluster was told to end {status.driver_id} ({answer}); run_stream starts the next one."


def _list(findings: list[Finding]) -> str:
    return "\n".join(f"- {one.text}" for one in findings)


def _alert(finding: Finding, what_was_done: str, ti: Any) -> Alert:
    return Alert(
        severity=finding.severity,
        source=f"{ti.dag_id}.{ti.task_id}",
        key=f"{_KEYS}{finding.code}",
        title=f"the stream: {finding.code.replace('_', ' ')}",
        detail=f"{finding.text}\n{what_was_done}" if finding.needs_recycling else finding.text,
        run_id=ti.run_id,
        url=ti.log_url,
        runbook_url=runbook_url(ti.dag_id),
    )
