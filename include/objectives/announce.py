"""Tells people of missed objectives: an alert opens when a miss lasts, and ends with it."""

from __future__ import annotations

from include.alerts import Alert, settle_alerts
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

    An alert that a crash kept from being ended is ended by the next call.

    Parameters
    ----------
    dsn:
        A connection as role ops.
    evaluation:
        What is missed now.
    run_id, url, runbook_url:
        Of the run that found it, for the alert.

    Returns
    -------
    list of Alert
        Those that are open.
    """
    alerts = [
        alert_of(objective, miss, run_id=run_id, url=url, runbook_url=runbook_url)
        for objective, miss in evaluation.open_misses.items()
        if miss.missed_until - miss.began_at >= objective.patience_minutes * MINUTE
    ]
    settle_alerts(dsn, KEY_PREFIX, alerts)
    return alerts


def alert_of(
    objective: Objective, miss: Miss, run_id: str | None = None, url: str | None = None, runbook_url: str | None = None
) -> Alert:
    """The alert of a miss; its title is the same each time."""
    minutes = round((miss.missed_until - miss.began_at) / MINUTE)
    worst = "unknown" if miss.worst_value is None else describe(miss.worst_value, objective.unit)
    return Alert(
        severity=objective.severity,
        source=SOURCE,
        title=f"Objective missed: {objective.title}",
        detail=(
            f"{objective.name} was {worst} at worst, promised is {objective.promise}; "
            f"since {miss.began_at:%Y-%m-%d %H:%M} UTC, {minutes} minute{'s' if minutes > 1 else ''}.\n"
            f"Cause: {miss.cause or 'not known'}\n"
            f"What to do: {objective.runbook}"
        ),
        key=KEY_PREFIX + objective.name,
        run_id=run_id,
        url=url,
        runbook_url=runbook_url,
    )
