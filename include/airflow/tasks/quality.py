"""Run the expectation suites as a task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.alerting.dispatch import send_now
from include.airflow.alerting.notifier import ReportedFailure, runbook_url
from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.db.views import view_names
from include.errors import SuiteError
from include.quality.alerting import end_alerts_of_gone_suites, report
from include.quality.required import known_suites
from include.quality.run import catch_up, run_draft
from include.quality.suites import SUITES_DIR, Draft, read_drafts
from include.stream.supervision.yielding import YieldToStream

if TYPE_CHECKING:
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)

# Total time for which the checks of one task yield to a stream that is behind.
TIMEOUT_SECONDS = 60.0


def check_suites(directory: str = str(SUITES_DIR), params: Any = None, ti: Any = None) -> None:
    """Run every suite of a directory, and fail at the end with the list of critical failures.

    All suites run in one process, because importing the library takes eight seconds of CPU. An invalid suite counts as
    a failure and does not stop the others. Each failed check has its own alert for as long as it fails.
    """
    read_dsn, write_dsn = dsn_of(QUALITY_CONN_ID), dsn_of(OPS_CONN_ID)
    try:
        drafts = read_drafts(Path(directory))
    except SuiteError as error:
        raise AirflowFailException(f"Nothing was checked: {error}") from error
    outcomes: list[SuiteOutcome] = []
    on_outcome = notifier_of(outcomes, ti)
    yield_to_stream = YieldToStream(write_dsn, timeout_seconds=TIMEOUT_SECONDS)
    scope = (params or {}).get("scope", "window")

    def run(draft: Draft) -> SuiteOutcome:
        yield_to_stream()
        return run_draft(draft, read_dsn=read_dsn, write_dsn=write_dsn, run_id=ti.run_id, scope=scope)

    for draft in drafts:
        for outcome in catch_up(partial(run, draft)):
            on_outcome(outcome)
    # A missing required suite is still a known suite: it holds views back, so its alert ends only when it is restored.
    end_alerts_of_gone_suites(write_dsn, known_suites(Path(directory)))
    send_now(write_dsn)
    failures = [f"- {one.suite.name}: {result}" for one in outcomes for result in one.blockers]
    if failures:
        raise ReportedFailure(f"{len(failures)} critical failures:\n" + "\n".join(failures))


def notifier_of(outcomes: list[SuiteOutcome], ti: Any) -> Callable[[SuiteOutcome], None]:
    """Return a function that logs an outcome, reports it to the alerts, and appends it to a list."""
    views = [f"shop.{name}" for name in view_names()]

    def notify(outcome: SuiteOutcome) -> None:
        _log.log(logging.ERROR if outcome.blockers else logging.INFO, "%s", outcome.summary())
        report(
            outcome,
            dsn_of(OPS_CONN_ID),
            source=f"{ti.dag_id}.{ti.task_id}",
            url=ti.log_url,
            runbook_url=runbook_url(ti.dag_id),
            views=views,
        )
        outcomes.append(outcome)

    return notify
