"""Raise an alert when an objective has been missed for some time, and end it with the miss."""

from __future__ import annotations

from include.alerts import Alert, sync_alerts
from include.objectives.catalog import Objective, describe
from include.objectives.evaluate import Evaluation
from include.objectives.misses import MINUTE, Miss

SOURCE = "evaluate_objectives"
KEY_PREFIX = "objective: "


def announce(
    dsn: str,
    evaluation: Evaluation,
    *,
    run_id: str | None = None,
    url: str | None = None,
    runbook_url: str | None = None,
) -> list[Alert]:
    """Raise an alert for each miss that lasts, and end those of objectives that are met again.

    If a crash keeps an alert from being ended, the next call ends it.

    Parameters
    ----------
    dsn:
        A connection as role ops.
    evaluation:
        The result of the evaluation, with the open misses.
    run_id, url, runbook_url:
        The run that found the misses, for the alerts.

    Returns
    -------
    list of Alert
        The open alerts.
    """
    alerts = [
        alert_of(objective, miss, run_id=run_id, url=url, runbook_url=runbook_url)
        for objective, miss in evaluation.open_misses.items()
        if miss.missed_until - miss.began_at >= objective.grace_minutes * MINUTE
    ]
    sync_alerts(dsn, KEY_PREFIX, alerts)
    return alerts


def alert_of(
    objective: Objective, miss: Miss, run_id: str | None = None, url: str | None = None, runbook_url: str | None = None
) -> Alert:
    """Return the alert of a miss; the title is the same for every miss of an objective."""
    minutes = round((miss.missed_until - miss.began_at) / MINUTE)
    worst = "unknown" if miss.worst_value is None else describe(miss.worst_value, objective.unit)
    return Alert(
        severity=objective.severity,
        source=SOURCE,
        title=f"Objective missed: {objective.title}",
        detail=(
            f"{objective.name} was {worst} at worst, the bound is {objective.promise}; "
            f"missed since {miss.began_at:%Y-%m-%d %H:%M} UTC, {minutes} minute{'s' if minutes > 1 else ''}.\n"
            f"Cause: {miss.cause or 'unknown'}\n"
            f"What to do: {objective.runbook}"
        ),
        key=KEY_PREFIX + objective.name,
        run_id=run_id,
        url=url,
        runbook_url=runbook_url,
    )
