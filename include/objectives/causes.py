"""Find the causes of a missed objective in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from include.db import load_queries
from include.db.views import view_names
from include.objectives.catalog import Objective
from include.objectives.misses import Miss
from include.quality.required import known_suites
from include.settings import Settings
from include.stream.supervision.diagnosis import Finding
from include.stream.supervision.status import QUERY_NAME

WATCH = "watch"

# The cause of a miss may have begun shortly before it.
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
    """Return all causes found for a miss, one per line, or None.

    Parameters
    ----------
    cursor:
        A cursor of the role ops.
    objective, miss:
        The missed objective and the miss.
    settings:
        They define the size of a large file.
    findings:
        Current findings about the stream; they explain only a miss that is not over.
    until:
        End of the time range that is searched.
    """
    parameters = {
        "query": QUERY_NAME,
        "since": miss.began_at - _BEFORE,
        "until": until,
        "bound": objective.bound,
        "large_bytes": settings.max_bytes_per_batch // 2,
        "views": list(view_names()),
        "suites": sorted(known_suites()),
    }
    found: list[str] = []
    for cause in objective.causes:
        if cause == WATCH:
            found += [one.text for one in findings if not miss.is_over]
            continue
        cursor.execute(_SQL[cause], parameters)
        found += [text for (text,) in cursor.fetchall()]
    return "\n".join(found)[:_LONGEST] or None
