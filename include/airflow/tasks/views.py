"""Facts and materialized views: brought up to date, audited, published, looked at."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.airflow.notifier import ReportedFailure
from include.airflow.tasks.quality import PATIENCE_SECONDS, conclude, teller
from include.db.facts import advance_facts, audit_facts
from include.db.refresh import publish_candidate, stale_views
from include.db.views import view_names
from include.quality.publication import Auditor
from include.quality.suites import SUITES_DIR
from include.stream.precedence import GiveWay

if TYPE_CHECKING:
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)

# A run in which the stream stays behind for longer does its work all the same: its readers must not wait without end.
_FACTS_PATIENCE_SECONDS = 300.0


def list_views() -> list[str]:
    """The materialized views, each after those that it reads."""
    return list(view_names())


def advance(*, timeout_seconds: float) -> None:
    """Add what is new to the facts that the views read, in steps between which a stream that is behind goes first."""
    ops_dsn = dsn_of(OPS_CONN_ID)
    way = GiveWay(ops_dsn, patience_seconds=_FACTS_PATIENCE_SECONDS)
    steps = advance_facts(ops_dsn, timeout_seconds=timeout_seconds, before_step=way)
    for step in steps:
        _log.info(
            "%s events of %s batches are in the facts after %.2f s", f"{step.events:,}", step.batches, step.seconds
        )
    if not steps:
        _log.info("There was nothing new.")


def audit(*, timeout_seconds: float) -> None:
    """Work the facts out anew from the events, and fail when they differ from those that were kept."""
    differing = audit_facts(dsn_of(OPS_CONN_ID), timeout_seconds=timeout_seconds)
    wrong = [f"- shop.fact_{fact}: {rows:,} rows" for fact, rows in differing.items() if rows]
    if wrong:
        # Another try would find the same.
        raise AirflowFailException("facts differ from the events that they were made of:\n" + "\n".join(wrong))
    _log.info("%s agree with the events.", ", ".join(differing))


def build_and_audit(*, timeout_seconds: float, directory: str = str(SUITES_DIR), ti: Any = None) -> dict[str, Any]:
    """Build the candidates of all views aside, and check the new events and the candidates.

    Returns which may be published. Fails when none may, because what was loaded lately is not to be trusted.
    """
    outcomes: list[SuiteOutcome] = []
    found = Auditor(
        Path(directory),
        read_dsn=dsn_of(QUALITY_CONN_ID),
        write_dsn=dsn_of(OPS_CONN_ID),
        run_id=ti.run_id,
        timeout_seconds=timeout_seconds,
        on_outcome=teller(outcomes, ti),
        before_step=GiveWay(dsn_of(OPS_CONN_ID), patience_seconds=PATIENCE_SECONDS),
    ).audit()
    conclude(outcomes)
    if found.gate:
        reasons = "\n".join(f"- {one}" for one in found.gate)
        raise ReportedFailure(f"Nothing is published, readers keep the rows of before:\n{reasons}")
    return asdict(found)


def publish(view_name: str, audited: dict[str, Any], *, timeout_seconds: float) -> None:
    """Let people read the rows that were checked, or fail with the reason why they are held back."""
    if reason := audited["held"].get(view_name):
        raise ReportedFailure(f"shop.{view_name} is held back, readers keep the rows of before: {reason}")
    if reason := audited["unbuilt"].get(view_name):
        raise AirflowFailException(reason)
    refresh_id = audited["ready"][view_name]
    done = publish_candidate(dsn_of(OPS_CONN_ID), view_name, refresh_id, timeout_seconds=timeout_seconds)
    _log.info("%s: %s rows published in %.2f s", done.view_name, f"{done.row_count:,}", done.seconds)


def check_freshness(max_age_seconds: float) -> None:
    """Fail when what people read of a view is out of date, and say which and by how much."""
    stale = stale_views(dsn_of(OPS_CONN_ID), max_age_seconds=max_age_seconds)
    if stale:
        # Another try would find the same.
        raise AirflowFailException(f"{len(stale)} views are stale:\n" + "\n".join(f"- {view}" for view in stale))
    _log.info("Every view is up to date.")
