"""The expectation suites, as a task."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.airflow.dispatch import tell_now
from include.airflow.notifier import runbook_url
from include.alerts import Alert, settle_alerts
from include.errors import SuiteError
from include.quality.run import run_suite
from include.quality.suites import SUITES_DIR, load_suite, suite_names

if TYPE_CHECKING:
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)
_KEYS = "quality: "


def check_suites(directory: str = str(SUITES_DIR), ti: Any = None) -> None:
    """Run every suite of a directory and fail at the end with the list of what is critical.

    All in one process: the library takes eight seconds of CPU to import. A suite that is written wrongly counts as a
    failure and keeps no other from being checked. Warnings become alerts.
    """
    read_dsn, write_dsn = dsn_of(QUALITY_CONN_ID), dsn_of(OPS_CONN_ID)
    names = suite_names(Path(directory))
    if not names:
        raise AirflowFailException(f"{directory} holds no suite, so nothing was checked.")
    failures: list[str] = []
    warnings: list[Alert] = []
    for name in names:
        try:
            suite = load_suite(name, Path(directory))
        except SuiteError as error:
            _log.error("%s", error)
            failures.append(f"{name}: {error}")
            continue
        outcome = run_suite(suite, read_dsn=read_dsn, write_dsn=write_dsn, run_id=ti.run_id)
        _log.log(logging.ERROR if outcome.critical_failures else logging.INFO, "%s", outcome.summary())
        failures += [f"{name}: {one}" for one in outcome.critical_failures]
        if outcome.warnings:
            warnings.append(_warning(outcome, ti))
    settle_alerts(write_dsn, _KEYS, warnings)
    tell_now(write_dsn)
    if failures:
        raise AirflowFailException(f"{len(failures)} critical failures:\n" + "\n".join(f"- {one}" for one in failures))


def _warning(outcome: SuiteOutcome, ti: Any) -> Alert:
    checks = ", ".join(dict.fromkeys(one.check.name for one in outcome.warnings))
    return Alert(
        severity="warning",
        source=f"{ti.dag_id}.{ti.task_id}",
        key=f"{_KEYS}{outcome.suite.name}",
        title=f"{outcome.suite.name}: {checks}",
        detail=outcome.summary(),
        run_id=ti.run_id,
        url=ti.log_url,
        runbook_url=runbook_url(ti.dag_id),
    )
