"""What is promised: every service level objective, as data.

To change a bound or a target, change it here; to add an objective, add a record and the query that measures it. The
table in ``docs/objectives.md`` is generated from this file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from include.alerts import Severity
from include.settings import Settings

Unit = Literal["seconds", "files", "share"]
Direction = Literal["at_most", "at_least"]


@dataclass(frozen=True)
class Objective:
    """A promise that is held against a measured value each minute.

    Parameters
    ----------
    name:
        Its key in the tables, and the name of the query that measures it (``include/sql/queries/objectives.sql``).
    title:
        What is promised, without the bound: the title of its alert.
    unit, bound, direction:
        A minute meets the objective when its value is at most, or at least, the bound.
    target:
        Share of the judged minutes of a month that should meet it.
    measures:
        What the value is.
    why:
        Why it is promised, and why with this bound.
    runbook:
        What to do when it is missed.
    severity, patience_minutes:
        Of the alert, and how long the objective is missed before it is raised. The miss is on record from its first
        minute; of a fault of the stream watch_stream tells at once, and need not be echoed unless it lasts.
    causes:
        The queries of ``objective_causes.sql`` that can tell why it was missed; ``watch`` asks the judge of the stream.
    """

    name: str
    title: str
    unit: Unit
    bound: float
    direction: Direction
    target: float
    measures: str
    why: str
    runbook: str
    severity: Severity = "warning"
    patience_minutes: int = 1
    causes: tuple[str, ...] = ()

    @property
    def promise(self) -> str:
        """The bound, for people: ``at most 5 s``."""
        return f"{self.direction.replace('_', ' ')} {describe(self.bound, self.unit)}"

    def is_met(self, value: float | None) -> bool:
        """Whether a value meets the bound. With nothing to measure nothing was broken."""
        if value is None:
            return True
        return value <= self.bound if self.direction == "at_most" else value >= self.bound

    def worst(self, *values: float | None) -> float | None:
        """The value that is furthest on the wrong side; None without any."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return max(known) if self.direction == "at_most" else min(known)


def describe(value: float, unit: Unit) -> str:
    """A value with its unit, for people: ``4.2 s``, ``16 min``, ``3.1 %``, ``512 files``."""
    if unit == "share":
        return f"{100 * value:.3g} %"
    if unit == "files":
        return f"{value:,.0f} files"
    return f"{value:.3g} s" if value < 120 else f"{value / 60:,.0f} min"


_OBJECTIVES = (
    Objective(
        name="freshness",
        title="events are in PostgreSQL in time",
        unit="seconds",
        bound=5.0,
        direction="at_most",
        target=0.99,
        measures=(
            "From the moment that a file becomes visible in the landing folder to the commit of its rows: the 99th "
            "percentile over the rows committed in the minute. A file that is admitted and still waits at the end of "
            "the minute counts with its age."
        ),
        why=(
            "Whoever looks at the shop's numbers takes them for now. The median is under a second on two cores; five "
            "seconds leave room for a slow batch or a checkpoint of PostgreSQL, not for a backlog."
        ),
        runbook=(
            "Look at `make status`: a backlog means that more arrives than is loaded (fewer or larger files, more "
            "cores); none means slow batches, shop.batches.durations_ms says in which stage. A very large file misses "
            "it by itself, for as long as it takes."
        ),
        patience_minutes=5,
        causes=("watch", "restarts", "large_files", "slowest_batch"),
    ),
    Objective(
        name="backlog",
        title="few files wait",
        unit="files",
        bound=500,
        direction="at_most",
        target=0.99,
        measures="Files that wait, in the landing folder or admitted, at the newest turn of the stream's loop.",
        why=(
            "A backlog is delay that nobody has felt yet. The bound is `SHOPSTREAM_MAX_BACKLOG_FILES`, at which the "
            "scheduled feed stops by itself."
        ),
        runbook=(
            "The stream is slower than its sources, or takes in nothing: the log of watch_stream says which. The rest "
            "is worked off by itself once the cause is gone."
        ),
        patience_minutes=5,
        causes=("watch", "restarts", "large_files", "slowest_batch"),
    ),
    Objective(
        name="reject_share",
        title="few rows are rejected",
        unit="share",
        bound=0.05,
        direction="at_most",
        target=0.99,
        measures="Rejected rows, of all rows that were read by the batches committed in the minute.",
        why=(
            "Rejects are data that the numbers lack. The made-up feed has one percent of them on purpose; five percent "
            "is a sender that has changed its format."
        ),
        runbook=(
            "shop.rejects has the rows with every reason. Have the sender mend its files and deliver the rejected rows "
            "again under the same event_id; nothing is doubled."
        ),
        patience_minutes=2,
        causes=("reject_reasons",),
    ),
    Objective(
        name="refresh_age",
        title="the published views are fresh",
        unit="seconds",
        bound=960.0,
        direction="at_most",
        target=0.99,
        measures="Age, at the end of the minute, of the newest published refresh of the view whose one is oldest.",
        why=(
            "Analysts read the views, not the stream. They are refreshed every five minutes: two refreshes in a row "
            "may fail before it counts, as for check_freshness in refresh_views."
        ),
        runbook=(
            "Read the last run of refresh_views. A view that is held back by its checks is named with them in "
            "shop.refreshes.held_because: mend the data, or the suite when it is wrong."
        ),
        patience_minutes=2,
        causes=("held_views", "failed_refreshes"),
    ),
    Objective(
        name="availability",
        title="the stream is alive",
        unit="share",
        bound=0.75,
        direction="at_least",
        target=0.995,
        measures=(
            "Share of the minute in which a driver of the stream lived, by its starts, ends and signs of life (one a "
            "second). Only while the stream is wished to run."
        ),
        why=(
            "A driver that dies is started again within some ten seconds: that much of a minute may be lost; for all "
            "else somebody is needed, or soon will be."
        ),
        runbook=(
            "watch_stream has found it too and says what is wrong; the log of run_stream in stream_events has the end "
            "of the last driver's log. The column error of shop.runs says why each ended."
        ),
        patience_minutes=5,
        causes=("watch", "restarts"),
    ),
    Objective(
        name="quality_age",
        title="every suite was checked lately",
        unit="seconds",
        bound=1800.0,
        direction="at_most",
        target=0.99,
        measures="Age, at the end of the minute, of the newest results of the suite whose results are oldest.",
        why=(
            "A verdict that is hours old says nothing of the numbers of now. check_quality runs every ten minutes: two "
            "runs in a row may fail to say anything. A check that fails is no miss: it is an answer."
        ),
        runbook=(
            "Read the last run of check_quality. A suite that cannot be read is named with file and line: "
            "`make check-suites` finds the same at once."
        ),
        causes=("broken_suites",),
    ),
)


def objectives_of(settings: Settings) -> tuple[Objective, ...]:
    """The objectives of an installation: the bound of the backlog is a setting that the feed obeys, too."""
    bounds = {"backlog": float(settings.max_backlog_files)}
    return tuple(replace(one, bound=bounds.get(one.name, one.bound)) for one in _OBJECTIVES)
