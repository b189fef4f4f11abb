"""Judges the stream from outside: what is wrong with it, by which limit, and whether only a new driver helps.

The driver watches itself, too. This is for what it cannot see: that it is stopped, that it hangs, that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from include.settings import Settings
from include.stream.status import RECENTLY_SECONDS, StreamStatus


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with the stream.

    Parameters
    ----------
    code:
        Its short name, the same each time: alerts are told apart by it.
    severity:
        ``critical``: it does not load events; ``warning``: it does, but not as it should.
    text:
        What, the value with its limit, and the remedy.
    needs_recycling:
        Whether the driver has to be ended, so that the next one goes on.
    """

    code: str
    severity: Literal["critical", "warning"]
    text: str
    needs_recycling: bool = False


@dataclass(frozen=True)
class Limits:
    """From when on something is wrong: times in seconds.

    Parameters
    ----------
    stall_seconds:
        Longest time without a turn of the loop, or without a commit while files wait.
    max_backlog_files:
        Most files that may wait.
    heartbeat_seconds:
        Longest time without a sign of life of the driver process.
    gone_seconds:
        Time in which a driver that ended is to have a successor.
    start_seconds:
        Time in which the first driver is to appear after the stream was wished to run: Airflow starts meanwhile.
    grace_seconds:
        A run that is younger is not called stuck.
    lag_seconds:
        Longest time that a file waits.
    event_lag_seconds:
        Oldest that the newest event may be while files wait.
    runs:
        Starts within ``RECENTLY_SECONDS`` that make a crash loop.
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
        """The limits of an installation."""
        return cls(stall_seconds=settings.stall_seconds, max_backlog_files=settings.max_backlog_files)


def judge(status: StreamStatus, limits: Limits) -> list[Finding]:
    """What is wrong with the stream; nothing when it is well, or not wished to run."""
    if status.wish != "run":
        return []
    if status.epoch is None or status.ended_at is not None:
        return [*_gone(status, limits), *_crash_loop(status, limits)]
    return [
        *_stuck(status, limits),
        *_crash_loop(status, limits),
        *_paused(status),
        *_behind(status, limits),
    ]


def summary(status: StreamStatus) -> str:
    """What the judgement rests on, in one line."""
    if status.epoch is None:
        return f"The stream has never run; wish: {status.wish}."
    if status.ended_at is not None:
        state = f"ended {_time(status.ended_age_seconds)} ago"
    else:
        state = (
            f"started {_time(status.run_age_seconds)} ago, sign of life {_time(status.heartbeat_age_seconds)} ago, "
            f"loop turned {_time(status.turned_age_seconds)} ago"
        )
    if status.last_commit_age_seconds is not None:
        state += f", last commit {_time(status.last_commit_age_seconds)} ago"
    waiting = "" if status.waiting_seconds is None else f", the oldest for {_time(status.waiting_seconds)}"
    return (
        f"Epoch {status.epoch}: {state}; {status.backlog_files:,} files wait{waiting}; {status.recent_drivers} drivers "
        f"within {_time(RECENTLY_SECONDS)}; wish: {status.wish}."
    )


def _gone(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    """No driver, although one was wished for long ago, and the last one ended some time ago."""
    wished, ended = status.wished_age_seconds, status.ended_age_seconds
    if wished is None and ended is None:
        # Never run, and nobody has asked for it yet: the platform is new, or being started.
        return
    if (wished is not None and wished <= limits.start_seconds) or (ended is not None and ended <= limits.gone_seconds):
        return
    if ended is None:
        since = f"it has never run, {_time(wished)} after it was wished to; limit {_time(limits.start_seconds)}"
    else:
        reason = f" ({status.error.splitlines()[0]})" if status.error else ""
        since = f"the last driver ended {_time(ended)} ago{reason}; limit {_time(limits.gone_seconds)}"
    yield Finding(
        "no_driver",
        "critical",
        f"The stream is wished to run, but no driver does: {since}. Read the log of run_stream in stream_events: "
        "is the Spark master up (`make up` starts what is down), is the DAG paused?",
    )


def _stuck(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    """A driver that has not ended but does not work either; one reason is enough."""
    beat, turned, run = status.heartbeat_age_seconds, status.turned_age_seconds, status.run_age_seconds
    driver = f"epoch {status.epoch}, {status.driver_id or 'a driver unknown to the Spark master'}"
    if not _over(run, limits.grace_seconds):
        return
    if _over(beat, limits.heartbeat_seconds):
        yield Finding(
            "no_sign_of_life",
            "critical",
            f"The driver gave no sign of life for {_time(beat)}; limit {_time(limits.heartbeat_seconds)}: its process "
            f"was killed, stopped or hangs ({driver}).",
            needs_recycling=True,
        )
    elif _over(turned, limits.stall_seconds):
        yield Finding(
            "loop_stands_still",
            "critical",
            f"The driver lives, but its loop has not turned for {_time(turned)}; limit {_time(limits.stall_seconds)}: "
            f"a batch hangs ({driver}). See its thread dump in the Spark UI, and the locks in Postgres.",
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
    # A run that is past its grace has come out of it.
    is_settled = status.ended_at is None and _over(status.run_age_seconds, limits.grace_seconds)
    if status.recent_drivers >= limits.runs and not is_settled:
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
            f"The stream takes in no files: {status.paused}. It goes on by itself once that is mended; "
            f"{status.backlog_files:,} files wait.",
        )


def _behind(status: StreamStatus, limits: Limits) -> Iterator[Finding]:
    if status.backlog_files > limits.max_backlog_files:
        yield Finding(
            "backlog",
            "warning",
            f"{status.backlog_files:,} files wait; limit {limits.max_backlog_files:,} "
            "(SHOPSTREAM_MAX_BACKLOG_FILES). They arrive faster than they are loaded: fewer or larger files, or more "
            "cores for the driver.",
        )
    if status.backlog_files and _over(status.waiting_seconds, limits.lag_seconds):
        yield Finding(
            "lag",
            "warning",
            f"The oldest file waits for {_time(status.waiting_seconds)}; limit {_time(limits.lag_seconds)}: "
            f"{status.backlog_files:,} files are before the stream.",
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
    """For how long a file has waited without a commit in this run; None when none waits."""
    if status.waiting_seconds is None:
        return None
    since = (status.waiting_seconds, status.last_commit_age_seconds, status.run_age_seconds)
    return min(seconds for seconds in since if seconds is not None)


def _over(seconds: float | None, limit: float) -> bool:
    return seconds is not None and seconds > limit


def _time(seconds: float | None) -> str:
    """For people: seconds up to two minutes, then minutes, then hours."""
    if seconds is None or seconds < 120:
        return f"{seconds or 0:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
