"""Why an objective was missed, as far as the database can tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from include.db import load_queries
from include.db.views import view_names
from include.objectives.catalog import Objective
from include.objectives.misses import Miss
from include.quality.suites import suite_names
from include.settings import Settings
from include.stream.status import QUERY_NAME
from include.stream.watch import Finding

WATCH = "watch"

# What is seen as a miss may have begun shortly before.
_BEFORE = timedelta(minutes=1)
_LONGEST = 2000
_SQL = load_queries("objective_causes")


def find_cause(
    cursor: Any,
    objective: Objective,
    miss: Miss,
    *,
    settings: Settings,
    findings: Sequence[Finding],
    until: datetime,
) -> str | None:
    """Everything that was found to explain a miss, or None.

    Parameters
    ----------
    cursor:
        Of the role ops.
    objective, miss:
        What was missed, and when.
    settings:
        Tell what a large file is.
    findings:
        What is wrong with the stream at this moment; they explain only a miss that is not over.
    until:
        The end of the time that is looked at.
    """
    parameters = {
        "query": QUERY_NAME,
        "since": miss.began_at - _BEFORE,
        "until": until,
        "bound": objective.bound,
        "large_bytes": settings.max_bytes_per_batch // 2,
        "views": list(view_names()),
        "suites": list(suite_names()),
    }
    found: list[str] = []
    for cause in objective.causes:
        if cause == WATCH:
            found += [one.text for one in findings if not miss.is_over]
            continue
        cursor.execute(_SQL[cause], parameters)
        found += [text for (text,) in cursor.fetchall()]
    return "\n".join(found)[:_LONGEST] or None
