"""Update and audit the aggregates, and build, check and publish the materialized views, as tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.alerting.dispatch import send_now
from include.airflow.alerting.notifier import ReportedFailure
from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.airflow.tasks.quality import TIMEOUT_SECONDS, notifier_of
from include.db.facts import advance_facts, audit_facts
from include.db.refresh import publish_candidate, stale_views
from include.db.views import suggest, view_names
from include.quality.publication import Auditor
from include.quality.suites import SUITES_DIR
from include.stream.supervision.yielding import YieldToStream

if TYPE_CHECKING:
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)

# An alias, because the list of views is not known when the DAG is parsed.
PUBLISHED = AssetAlias("published_views")

# After this time a run goes on even if the stream is still behind, so that the readers of the views never wait forever.
_FACTS_TIMEOUT_SECONDS = 300.0


def list_views(params: Mapping[str, Any] | None = None) -> list[str]:
    """Return the materialized views, or those that ``params`` names, each after the views that it reads."""
    names, wanted = view_names(), (params or {}).get("views") or []
    if unknown := [one for one in wanted if one not in names]:
        raise AirflowFailException(f"The view {unknown[0]!r} does not exist. {suggest(unknown[0], names)}.")
    return [name for name in names if not wanted or name in wanted]


def advance(*, timeout_seconds: float) -> None:
    """Add new events to the aggregates that the views read, and yield to the stream between steps if it is behind."""
    ops_dsn = dsn_of(OPS_CONN_ID)
    way = YieldToStream(ops_dsn, timeout_seconds=_FACTS_TIMEOUT_SECONDS)
    steps = advance_facts(ops_dsn, timeout_seconds=timeout_seconds, before_step=way)
    for step in steps:
        _log.info(
            "added %s events of %s batches to the aggregates in %.2f s", f"{step.events:,}", step.batches, step.seconds
        )
    if not steps:
        _log.info("There were no new events.")


def audit(*, timeout_seconds: float) -> None:
    """Recompute the aggregates from the events, and fail when they differ from the stored ones."""
    differing = audit_facts(dsn_of(OPS_CONN_ID), timeout_seconds=timeout_seconds)
    wrong = [f"- shop.fact_{fact}: {rows:,} rows" for fact, rows in differing.items() if rows]
    if wrong:
        # Do not retry: another try would find the same.
        raise AirflowFailException("aggregates differ from their events:\n" + "\n".join(wrong))
    _log.info("The aggregates %s match the events.", ", ".join(differing))


def build_and_audit(
    *,
    timeout_seconds: float,
    directory: str = str(SUITES_DIR),
    params: Mapping[str, Any] | None = None,
    ti: Any = None,
) -> dict[str, Any]:
    """Build the candidates of the views, then check the new events and the candidates.

    Return which candidates may be published. Fail when none may, because a gate suite found the new events faulty.
    """
    outcomes: list[SuiteOutcome] = []
    found = Auditor(
        Path(directory),
        read_dsn=dsn_of(QUALITY_CONN_ID),
        write_dsn=dsn_of(OPS_CONN_ID),
        run_id=ti.run_id,
        timeout_seconds=timeout_seconds,
        on_outcome=notifier_of(outcomes, ti),
        before_step=YieldToStream(dsn_of(OPS_CONN_ID), timeout_seconds=TIMEOUT_SECONDS),
        views=list_views(params),
    ).audit()
    send_now(dsn_of(OPS_CONN_ID))
    for name, decision in found.overridden.items():
        _log.warning("shop.%s is published despite failed checks: %s", name, decision)
    if found.gate and not found.ready:
        reasons = "\n".join(f"- {one}" for one in found.gate)
        raise ReportedFailure(f"Nothing is published, readers keep the previous rows:\n{reasons}")
    return asdict(found)


def publish(view_name: str, audited: dict[str, Any], *, timeout_seconds: float, outlet_events: Any = None) -> None:
    """Publish the checked rows of a view, or fail with the reason why they are held back.

    Each publication is an event of the view's asset, on which other DAGs can be scheduled.
    """
    if reason := audited["held"].get(view_name):
        raise ReportedFailure(f"shop.{view_name} is held back, readers keep the previous rows: {reason}")
    if reason := audited["unbuilt"].get(view_name):
        raise AirflowFailException(reason)
    refresh_id = audited["ready"][view_name]
    done = publish_candidate(dsn_of(OPS_CONN_ID), view_name, refresh_id, timeout_seconds=timeout_seconds)
    _log.info("%s: %s rows published in %.2f s", done.view_name, f"{done.row_count:,}", done.seconds)
    if outlet_events is not None:
        outlet_events[PUBLISHED].add(asset_of(view_name), extra={"refresh_id": refresh_id, "rows": done.row_count})


def asset_of(view_name: str) -> Asset:
    """Return the asset of a view; ``schedule=[asset_of("mart_daily_kpis")]`` runs a DAG after each publication."""
    return Asset(name=view_name, uri=f"shopstream://shop/{view_name}", group="views")


def check_freshness(max_age_seconds: float) -> None:
    """Fail when the published rows of a view are out of date; name the views and their age.

    A view that is held back already has the alert of the check that failed, and gets no second one.
    """
    stale = stale_views(dsn_of(OPS_CONN_ID), max_age_seconds=max_age_seconds)
    if stale:
        message = f"{len(stale)} views are stale:\n" + "\n".join(f"- {view}" for view in stale)
        is_notified = all(view.held_because for view in stale)
        # Do not retry: another try would find the same.
        raise ReportedFailure(message) if is_notified else AirflowFailException(message)
    _log.info("Every view is up to date.")


def watch() -> None:
    """Fail the run, since Airflow counts a run as successful when its last task succeeds, even if others failed."""
    raise ReportedFailure("A task of this run failed; see its log and its alert for the reason.")
