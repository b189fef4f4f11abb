"""Measure the objectives: find the minutes to evaluate, and the value of each objective in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from include.db import load_queries
from include.db.views import view_names
from include.objectives.catalog import Objective
from include.objectives.misses import MINUTE, EvaluatedMinute
from include.objectives.waiting import Waiting
from include.quality.required import known_suites
from include.stream.supervision.status import QUERY_NAME

# Airflow starts runs a few seconds late, under load up to a minute.
ON_TIME_MINUTES = 2
# The same time as in watch_stream, in which Airflow and the driver start and the first refreshes run.
START_SECONDS = 180.0
# The records of the stream's runs reach about as far back.
LONGEST = timedelta(days=31)
# These values are known for every minute of the past. For the others, an old minute without data proves nothing.
_OF_EVERY_MINUTE = {"availability", "freshness"}
# While the stream loads the backlog of planned downtime, it is late for a good reason, but it must be alive.
_WHILE_CATCHING_UP = {"availability"}

_SQL = load_queries("objectives")


def minutes_to_evaluate(cursor: Any, now: datetime | None = None) -> list[datetime]:
    """Return the ended minutes that are not evaluated yet and not planned downtime, the oldest first."""
    cursor.execute(
        _SQL["minutes"],
        {
            "query": QUERY_NAME,
            "now": now,
            "start_seconds": START_SECONDS,
            "on_time_minutes": ON_TIME_MINUTES,
            "longest": LONGEST,
        },
    )
    return [minute for (minute,) in cursor]


def measure(
    cursor: Any, objectives: Iterable[Objective], minutes: list[datetime], waiting: Waiting
) -> dict[Objective, list[EvaluatedMinute]]:
    """Measure each objective in each of the minutes, which must be in ascending order.

    A minute is left out of the list of an objective if it cannot be evaluated because the necessary data was not kept.

    Parameters
    ----------
    cursor:
        A cursor of the role ops.
    objectives, minutes:
        The objectives to measure, and the minutes.
    waiting:
        The files that are in the landing folder now.
    """
    parameters = {
        "query": QUERY_NAME,
        "minutes": minutes,
        "first": minutes[0],
        "last": minutes[-1],
        "now_minute": minutes[-1],
        "views": list(view_names()),
        "suites": sorted(known_suites()),
        "waiting_files": waiting.files,
        "waiting_since": waiting.since,
    }
    cursor.execute(_SQL["catching_up"], parameters)
    catching_up = {minute for (minute,) in cursor}
    newest = minutes[-1] - ON_TIME_MINUTES * MINUTE

    def is_known(objective: Objective, one: EvaluatedMinute) -> bool:
        if one.minute in catching_up and objective.name not in _WHILE_CATCHING_UP:
            return False
        return one.value is not None or one.minute > newest or objective.name in _OF_EVERY_MINUTE

    measured = {}
    for objective in objectives:
        cursor.execute(_SQL[objective.name], parameters)
        evaluated = [
            EvaluatedMinute(minute, value, objective.is_met(value)) for minute, value in sorted(cursor.fetchall())
        ]
        measured[objective] = [one for one in evaluated if is_known(objective, one)]
    return measured
