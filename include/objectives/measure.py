"""Measures the objectives: which minutes are to be judged, and the value of each in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from include.db import load_queries
from include.db.views import view_names
from include.objectives.catalog import Objective
from include.objectives.misses import JudgedMinute
from include.quality.suites import suite_names
from include.stream.status import QUERY_NAME

# Runs of Airflow begin some seconds late, under load a minute.
ON_TIME_MINUTES = 2
# As watch_stream allows: Airflow, the driver and the first refreshes start meanwhile.
START_SECONDS = 180.0

_SQL = load_queries("objectives")


def minutes_to_judge(cursor: Any, now: datetime | None = None) -> list[datetime]:
    """The minutes that have ended, are not judged yet, and can be judged honestly; the oldest first."""
    cursor.execute(
        _SQL["minutes"],
        {
            "query": QUERY_NAME,
            "now": now,
            "start_seconds": START_SECONDS,
            "on_time_minutes": ON_TIME_MINUTES,
        },
    )
    return [minute for (minute,) in cursor]


def measure(
    cursor: Any, objectives: Iterable[Objective], minutes: list[datetime]
) -> dict[Objective, list[JudgedMinute]]:
    """Measure each objective in each of the minutes, which are in order.

    A minute that cannot be judged for an objective, because what it needs was not kept, is left out of its list.
    """
    parameters = {
        "query": QUERY_NAME,
        "minutes": minutes,
        "first": minutes[0],
        "last": minutes[-1],
        "now_minute": minutes[-1],
        "views": list(view_names()),
        "suites": list(suite_names()),
    }
    measured = {}
    for objective in objectives:
        cursor.execute(_SQL[objective.name], parameters)
        measured[objective] = [
            JudgedMinute(minute, value, objective.is_met(value)) for minute, value in sorted(cursor.fetchall())
        ]
    return measured
