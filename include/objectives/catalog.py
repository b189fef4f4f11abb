"""Define every service level objective, as data.

To change a bound or a target, change it here. To add an objective, add a record and the query that measures it. The
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
    """An objective that is compared with a measured value every minute.

    Parameters
    ----------
    name:
        Its key in the tables, and the name of the query that measures it (``include/sql/queries/objectives.sql``).
    title:
        The objective in a few words, without the bound; used as the title of its alert.
    unit, bound, direction:
        A minute meets the objective when its value is at most, or at least, the bound.
    target:
        Share of the evaluated minutes of a month that should meet it.
    measures:
        Definition of the measured value.
    why:
        The reason for the objective and for its bound.
    runbook:
        The instructions for when it is missed.
    severity, grace_minutes:
        Severity of the alert, and for how many minutes the objective must be missed before the alert is raised. The
        miss is recorded from its first minute. For a fault of the stream, watch_stream alerts immediately, so an alert
        of the objective is useful only when the fault lasts.
    causes:
        The queries of ``objective_causes.sql`` that can explain a miss; ``watch`` stands for the diagnosis of the
        stream.
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
    grace_minutes: int = 1
    causes: tuple[str, ...] = ()

    @property
    def promise(self) -> str:
        """The bound, for people: ``at most 5 s``."""
        return f"{self.direction.replace('_', ' ')} {describe(self.bound, self.unit)}"

    def is_met(self, value: float | None) -> bool:
        """Return whether a value meets the bound; a minute with nothing to measure meets it."""
        if value is None:
            return True
        return value <= self.bound if self.direction == "at_most" else value >= self.bound

    def worst(self, *values: float | None) -> float | None:
        """Return the worst of the values, or None if there are none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return max(known) if self.direction == "at_most" else min(known)


def describe(value: float, unit: Unit) -> str:
    """Format a value with its unit for people: ``4.2 s``, ``16 min``, ``3.1 %``, ``512 files``."""
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
            "Time from the moment a file becomes visible in the landing folder to the commit of its rows, as the 99th "
            "percentile over the rows committed in the minute. A file that is still waiting at the end of the minute, "
            "in the folder or admitted, counts with its age."
        ),
        why=(
            "Users of the shop's figures expect them to be current. The median is under a second on two cores. Five "
            "seconds leave room for a slow batch or a checkpoint of PostgreSQL, but not for a backlog."
        ),
        runbook=(
            "Run `make status`. A backlog means that more arrives than is loaded; use fewer or larger files, or more "
            "cores. Without a backlog the batches are slow, and shop.batches.durations_ms shows in which stage. A "
            "single very large file also causes a miss, for as long as its load takes."
        ),
        grace_minutes=5,
        causes=("watch", "restarts", "large_files", "slowest_batch"),
    ),
    Objective(
        name="backlog",
        title="few files wait",
        unit="files",
        bound=500,
        direction="at_most",
        target=0.99,
        measures=(
            "Number of waiting files, in the landing folder or admitted, at the newest turn of the stream's loop. "
            "While no driver is alive, the evaluation counts them itself."
        ),
        why=(
            "A backlog is a delay that does not show in the figures yet. The bound is `SHOPSTREAM_MAX_BACKLOG_FILES`, "
            "at which the scheduled feed stops by itself."
        ),
        runbook=(
            "The stream is slower than its sources, or takes in no files; the log of watch_stream says which. The "
            "backlog is loaded without intervention once the cause is removed."
        ),
        grace_minutes=5,
        causes=("watch", "restarts", "large_files", "slowest_batch"),
    ),
    Objective(
        name="reject_share",
        title="few rows are rejected",
        unit="share",
        bound=0.05,
        direction="at_most",
        target=0.99,
        measures="Share of rejected rows among all rows read by the batches committed in the minute.",
        why=(
            "Rejected rows are missing from the figures. The generated feed has one percent of them on purpose. Five "
            "percent means that a sender has changed its format."
        ),
        runbook=(
            "shop.rejects has the rows with all reasons. Ask the sender to correct its files and to deliver the "
            "rejected rows again under the same event_id; no event is stored twice."
        ),
        grace_minutes=2,
        causes=("reject_reasons",),
    ),
    Objective(
        name="refresh_age",
        title="the published views are fresh",
        unit="seconds",
        bound=960.0,
        direction="at_most",
        target=0.99,
        measures=(
            "Age, at the end of the minute, of the newest published refresh of the view for which this age is highest."
        ),
        why=(
            "Analysts read the views, not the stream. The views are refreshed every five minutes, so two refreshes in "
            "a row may fail before the objective is missed, as for check_freshness in refresh_views."
        ),
        runbook=(
            "Read the log of the last run of refresh_views. If a view is held back, shop.refreshes.held_because names "
            "the failed checks; correct the data, or the suite if it is wrong."
        ),
        grace_minutes=2,
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
            "Share of the minute in which a driver of the stream was alive, according to its starts, ends and "
            "heartbeats (one per second). Outages of PostgreSQL, Airflow or the machine count; planned work does not."
        ),
        why=(
            "A driver that dies is restarted within about ten seconds, so that much of a minute may be lost. A longer "
            "outage needs an operator, now or soon."
        ),
        runbook=(
            "watch_stream has found the fault, too, and says what is wrong. The log of run_stream in stream_events has "
            "the end of the last driver's log. The column error of shop.runs says why each driver ended."
        ),
        grace_minutes=5,
        causes=("watch", "restarts"),
    ),
    Objective(
        name="quality_age",
        title="every suite was checked lately",
        unit="seconds",
        bound=1800.0,
        direction="at_most",
        target=0.99,
        measures=(
            "Age, at the end of the minute, of the newest verdict of the suite for which this age is highest. An "
            "invalid suite has no verdict."
        ),
        why=(
            "A verdict that is hours old says nothing about the current figures. check_quality runs every ten minutes, "
            "so two runs in a row may end without a verdict. A failed check is a verdict and therefore not a miss."
        ),
        runbook=(
            "Read the log of the last run of check_quality. It names an invalid suite with file and line; "
            "`make check-suites` finds the same fault immediately."
        ),
        causes=("broken_suites",),
    ),
)


def objectives_of(settings: Settings) -> tuple[Objective, ...]:
    """Return the objectives of an installation, in which a setting, also used by the feed, bounds the backlog."""
    bounds = {"backlog": float(settings.max_backlog_files)}
    return tuple(replace(one, bound=bounds.get(one.name, one.bound)) for one in _OBJECTIVES)
