"""Facts and materialized views: brought up to date, audited, looked at."""

from __future__ import annotations

import logging

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.db.facts import advance_facts, audit_facts
from include.db.refresh import refresh_view, stale_views
from include.db.views import view_names

_log = logging.getLogger(__name__)


def list_views() -> list[str]:
    """The materialized views, each after those that it reads."""
    return list(view_names())


def advance(*, timeout_seconds: float) -> None:
    """Add what is new to the facts that the views read."""
    steps = advance_facts(dsn_of(OPS_CONN_ID), timeout_seconds=timeout_seconds)
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


def refresh(view_name: str, *, timeout_seconds: float) -> None:
    """Refresh one view; the time and the row count are also recorded in ``shop.refreshes``."""
    done = refresh_view(dsn_of(OPS_CONN_ID), view_name, timeout_seconds=timeout_seconds)
    _log.info("%s: %s rows in %.2f s", done.view_name, f"{done.row_count:,}", done.seconds)


def check_freshness(max_age_seconds: float) -> None:
    """Fail when a view is out of date, and say which and by how much."""
    stale = stale_views(dsn_of(OPS_CONN_ID), max_age_seconds=max_age_seconds)
    if stale:
        # Another try would find the same.
        raise AirflowFailException(f"{len(stale)} views are stale:\n" + "\n".join(f"- {view}" for view in stale))
    _log.info("Every view is up to date.")
