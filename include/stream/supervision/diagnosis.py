"""Diagnose the stream from outside: what is wrong, by which limit, and whether only a new driver helps.

The driver also watches itself. This module finds what the driver cannot detect: that it is suspended, hangs, or is
gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from include.settings import Settings
from include.stream.supervision.status import RECENTLY_SECONDS, StreamStatus


@dataclass(frozen=True)
class Finding:
    """A problem of the stream.

    Parameters
    ----------
    code:
        Short, stable name, by which alerts are identified.
    severity:
        ``critical``: no events are loaded; ``warning``: they are, but not as they should be.
    text:
        The problem, the value with its limit, and the remedy.
    needs_recycling:
        Whether the driver has to be ended so that the next one continues.
    """

    code: str
    severity: Literal["critical", "warning"]
    text: str
    needs_recycling: bool = False


@dataclass(frozen=True)
class Limits:
    """The limits beyond which something is a problem; times in seconds.

    Parameters
    ----------
    stall_seconds:
        Longest time without a turn of the loop, or without a commit while files wait.
    max_backlog_files:
        Most files that may wait.
    heartbeat_seconds:
        Longest time without a heartbeat of the driver process.
    gone_seconds:
        Time within which a driver that ended must have a successor.
    start_seconds:
        Time within which the first driver must appear after the stream was asked to run; Airflow starts meanwhile.
    grace_seconds:
        A younger run is not considered stuck.
    lag_seconds:
        Longest time that a file may wait.
    event_lag_seconds:
        Greatest age of the newest event while files wait.
    runs:
        Number of starts within ``RECENTLY_SECONDS`` that make a crash loop.
    """

    stall_seconds: float
    max_backlog_files: int
    heartbeat_seconds: float = 30.0
    gone_seconds: float = 60.0
    start_seconds: float = 180.0
    grace_seconds: float = 60.0
    lag_seconds: float = 60.0
    event_lag_seconds: float = 900.0
    runs: int = 5

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that the settings define."""
        return cls(stall_seconds=settings.stall_seconds, max_backlog_files=settings.max_backlog_files)


def diagnose(status: StreamStatus, limits: Limits) -> list[Finding]:
    """Diagnose the stream; return no findings when it is well or its desired state is not ``run``."""
    if status.desired_state != "run":
        return []
    if status.epoch is None or status.ended_at is not None:
        return [*_gone(status, limits), *_crash_loop(status, limits)]
    return [
        *_stuck(status, limits),
        *_crash_loop(status, limits),
        *_paused(status),
        *_behind(status, limits),
        *_ignored(status),
    ]


def notes(status: StreamStatus, files_in_landing: int) -> list[str]:
    """Return remarks about a requested state that is still good to know, for an operator and not for an alert.

    Parameters
    ----------
    status:
        The state of the stream.
    files_in_landing:
        Files in the landing folder now; the database has no count of them while no driver runs.
    """
    waiting = status.waiting_files + files_in_landing
    if status.desired_state != "stop" or not waiting:
        return []
    since = "" if status.desired_state_age_seconds is None else f" {_time(status.desired_state_age_seconds)} ago"
    return [
        f"The stream was asked to stop{since}, and {waiting:,} {'file waits' if waiting == 1 else 'files wait'}: "
        "they are loaded once it runs again (`make up`, or unpause stream_events)."
    ]


def summary(status: StreamStatus) -> str:
    """Summarize in one line the values on which the diagnosis is based."""
    if status.epoch is None:
        return f"The stream has never run; desired state: {status.desired_state}."
    if status.ended_at is not None:
        state = f"ended {_time(status.ended_age_seconds)} ago"
    else:
        state = (
            f"started {_time(status.run_age_seconds)} ago, heartbeat {_time(status.heartbeat_age_seconds)} ago, "
            f"loop turned {_time(status.turned_age_seconds)} ago"
        )
    if status.last_commit_age_seconds is not None:
        state += f", last commit {_time(status.last_commit_age_seconds)} ago"
    waiting = "" if status.waiting_seconds is None else f", the oldest for {_time(status.waiting_seconds)}"
    return (
        f"Epoch {status.epoch}: {state}; {status.backlog_files:,} files wait{waiting}; {status.recent_drivers} drivers "
        f"within {_time(RECENTLY_SECONDS)}; desired state: {status.desired_state}."
    )


def _gone(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    """Report that no driver runs, although one was asked for long ago and the last one ended some time ago."""
    wished, ended = status.desired_state_age_seconds, status.ended_age_seconds
    if wished is None and ended is None:
        # The stream never ran and was not asked to: the platform is new, or is being started.
        return
    if (wished is not None and wished <= limits.start_seconds) or (ended is not None and ended <= limits.gone_seconds):
        return
    if ended is None:
        since = f"it has never run, {_time(wished)} after it was asked to; limit {_time(limits.start_seconds)}"
    else:
        reason = f" ({status.error.splitlines()[0]})" if status.error else ""
        since = f"the last driver ended {_time(ended)} ago{reason}; limit {_time(limits.gone_seconds)}"
    yield Finding(
        "no_driver",
        "critical",
        f"The stream should run, but no driver does: {since}. Read the log of run_stream in stream_events: "
        "is the Spark master up (`make up` starts what is down), is the DAG paused?",
    )


def _stuck(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    """Report a driver that has not ended but does not work either; one reason is enough."""
    beat, turned, run = status.heartbeat_age_seconds, status.turned_age_seconds, status.run_age_seconds
    driver = f"epoch {status.epoch}, {status.driver_id or 'a driver unknown to the Spark master'}"
    if not _over(run, limits.grace_seconds):
        return
    if _over(beat, limits.heartbeat_seconds):
        yield Finding(
            "no_heartbeat",
            "critical",
            f"The driver sent no heartbeat for {_time(beat)}; limit {_time(limits.heartbeat_seconds)}: its process "
            f"was killed, is suspended or hangs ({driver}).",
            needs_recycling=True,
        )
    elif _over(turned, limits.stall_seconds):
        yield Finding(
            "loop_stalled",
            "critical",
            f"The driver lives, but its loop has not turned for {_time(turned)}; limit {_time(limits.stall_seconds)}: "
            f"a batch hangs ({driver}). See the thread dump in the Spark UI, and the locks in Postgres.",
            needs_recycling=True,
        )
    elif status.paused is None and _over(_idle_seconds(status), limits.stall_seconds):
        yield Finding(
            "no_progress",
            "critical",
            f"{status.backlog_files:,} files wait, the oldest for {_time(status.waiting_seconds)}, and nothing was "
            f"committed for {_time(_idle_seconds(status))}; limit {_time(limits.stall_seconds)} ({driver}).",
            needs_recycling=True,
        )


def _crash_loop(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    # A run that is past its grace period is out of the crash loop.
    is_stable = status.ended_at is None and _over(status.run_age_seconds, limits.grace_seconds)
    if status.recent_drivers >= limits.runs and not is_stable:
        yield Finding(
            "crash_loop",
            "critical",
            f"A driver was started {status.recent_drivers} times within {_time(RECENTLY_SECONDS)}; limit "
            f"{limits.runs}. The column error of shop.runs says why each ended, shop.files.last_error with which file.",
        )


def _paused(status: StreamStatus) -> Iterator[Finding]:
    if status.paused is not None:
        yield Finding(
            "intake_paused",
            "warning",
            f"The stream takes in no files: {status.paused}. It continues by itself once that is fixed; "
            f"{status.backlog_files:,} files wait.",
        )


def _ignored(status: StreamStatus) -> Iterator[Finding]:
    if not status.ignored_files:
        return
    since = "" if status.ignored_since is None else f", the oldest since {status.ignored_since:%Y-%m-%d %H:%M} UTC"
    names = ", ".join(repr(name) for name in status.ignored_examples)
    yield Finding(
        "ignored_files",
        "warning",
        f"{status.ignored_files:,} entries of the landing folder are not taken in{since}: {names}. Only files named "
        "*.csv or *.csv.gz are loaded, in any case, and none whose name begins with . or _. Rename the files that are "
        "to be loaded, and move the rest away: unfinished uploads, folders, other formats.",
    )


def _behind(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    if status.backlog_files > limits.max_backlog_files:
        yield Finding(
            "backlog",
            "warning",
            f"{status.backlog_files:,} files wait; limit {limits.max_backlog_files:,} "
            "(SHOPSTREAM_MAX_BACKLOG_FILES). They arrive faster than they are loaded: deliver fewer, larger files, or "
            "give the driver more cores.",
        )
    if status.backlog_files and _over(status.waiting_seconds, limits.lag_seconds):
        yield Finding(
            "lag",
            "warning",
            f"The oldest file waits for {_time(status.waiting_seconds)}; limit {_time(limits.lag_seconds)}: "
            f"{status.backlog_files:,} files wait in all.",
        )
    is_loading = not _over(status.last_commit_age_seconds, limits.lag_seconds)
    if status.backlog_files and is_loading and _over(status.event_lag_seconds, limits.event_lag_seconds):
        yield Finding(
            "event_lag",
            "warning",
            f"The newest event is {_time(status.event_lag_seconds)} old; limit {_time(limits.event_lag_seconds)}: old "
            "events are being loaded, or the source delivers late.",
        )


def _idle_seconds(status: StreamStatus) -> float | None:
    """Return how long a file has waited without a commit in this run; None when none waits."""
    if status.waiting_seconds is None:
        return None
    since = (status.waiting_seconds, status.last_commit_age_seconds, status.run_age_seconds)
    return min(seconds for seconds in since if seconds is not None)


def _over(seconds: float | None, limit: float) -> bool:
    return seconds is not None and seconds > limit


def _time(seconds: float | None) -> str:
    """Format a duration: seconds up to two minutes, then minutes, then hours."""
    if seconds is None or seconds < 120:
        return f"{seconds or 0:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
