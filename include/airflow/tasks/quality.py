"""The expectation suites, as a task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.airflow.dispatch import tell_now
from include.airflow.notifier import ReportedFailure, runbook_url
from include.db.views import view_names
from include.errors import SuiteError
from include.quality.alerting import report
from include.quality.pages import write_pages
from include.quality.run import catch_up, run_draft
from include.quality.suites import SUITES_DIR, Draft, read_drafts
from include.settings import Settings
from include.stream.precedence import GiveWay

if TYPE_CHECKING:
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)

# For so long in all the checks of a task step aside for a stream that is behind.
PATIENCE_SECONDS = 60.0


def check_suites(directory: str = str(SUITES_DIR), params: Any = None, ti: Any = None) -> None:
    """Run every suite of a directory and fail at the end with the list of what is critical.

    All in one process: the library takes eight seconds of CPU to import. A suite that is written wrongly counts as a
    failure and keeps no other from being checked. What fails has an alert of its own for as long as it does.
    """
    read_dsn, write_dsn = dsn_of(QUALITY_CONN_ID), dsn_of(OPS_CONN_ID)
    try:
        drafts = read_drafts(Path(directory))
    except SuiteError as error:
        raise AirflowFailException(f"Nothing was checked: {error}") from error
    outcomes: list[SuiteOutcome] = []
    told = teller(outcomes, ti)
    give_way = GiveWay(write_dsn, patience_seconds=PATIENCE_SECONDS)
    scope = (params or {}).get("scope", "window")

    def run(draft: Draft) -> SuiteOutcome:
        give_way()
        return run_draft(draft, read_dsn=read_dsn, write_dsn=write_dsn, run_id=ti.run_id, scope=scope)

    for draft in drafts:
        for outcome in catch_up(partial(run, draft)):
            told(outcome)
    conclude(outcomes)
    failures = [f"- {one.suite.name}: {result}" for one in outcomes for result in one.blockers]
    if failures:
        raise ReportedFailure(f"{len(failures)} critical failures:\n" + "\n".join(failures))


def teller(outcomes: list[SuiteOutcome], ti: Any) -> Callable[[SuiteOutcome], None]:
    """Whoever is told of an outcome: the log, the alerts, and a list."""
    views = [f"shop.{name}" for name in view_names()]

    def tell(outcome: SuiteOutcome) -> None:
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

    return tell


def conclude(outcomes: list[SuiteOutcome]) -> None:
    """Send the alerts and write the Data Docs. The results are stored: an unwritten page is only told."""
    dsn, directory = dsn_of(OPS_CONN_ID), Settings.from_env().quality_docs_dir
    tell_now(dsn)
    try:
        write_pages(outcomes, directory, dsn)
    except OSError:
        _log.exception("The Data Docs in %s could not be written; the results are in shop.quality_runs.", directory)
