"""Read the state of the stream from Postgres, and set its desired state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal

from include.db import load_queries, transaction

QUERY_NAME = "events"
ALIVE_WITHIN_SECONDS = 15.0
RECENTLY_SECONDS = 600.0

DesiredState = Literal["run", "drain", "stop"]

# The name that a standalone master gives a driver, and a worker its directory; or the name of its pod on Kubernetes.
_DRIVER_ID = re.compile(r"driver-\d{14}-\d{4}|shopstream-[0-9a-f]{12}-driver")

_SQL = load_queries("status")


@dataclass(frozen=True)
class StreamStatus:
    """The state of the stream at one moment; ages and lags in seconds, sums over the requested window.

    Attributes
    ----------
    heartbeat_age_seconds:
        Age of the driver's last heartbeat.
    turned_age_seconds:
        Time since the micro-batch loop last asked for new files; since the start of the run, if it has not done so yet.
    paused:
        Why intake is paused; None when it is not.
    ignored_files, ignored_since, ignored_examples:
        Entries of the landing folder that are not taken in: their number, the last change of the oldest, and some
        names.
    recent_drivers:
        Driver processes that were started within ``RECENTLY_SECONDS``, 100 at most.
    waiting_seconds:
        Time since the arrival of the oldest file that is admitted and not loaded; None when there is none.
    waiting_files:
        Number of files that are admitted and not loaded.
    desired_state_age_seconds:
        Time since the desired state was last set; None when it never was.
    lag_seconds:
        Commit time of the newest batch minus the arrival of its oldest file.
    event_lag_seconds:
        Age of the newest event_time in the newest batch that had events.
    """

    epoch: int | None
    mode: str | None
    started_at: datetime | None
    ended_at: datetime | None
    run_age_seconds: float | None
    ended_age_seconds: float | None
    heartbeat_age_seconds: float | None
    turned_age_seconds: float | None
    paused: str | None
    recent_drivers: int
    backlog_files: int
    backlog_bytes: int
    ignored_files: int
    ignored_since: datetime | None
    ignored_examples: list[str]
    waiting_seconds: float | None
    waiting_files: int
    ui_url: str | None
    log_path: str | None
    error: str | None
    desired_state: str
    desired_state_age_seconds: float | None
    last_batch_id: int | None
    last_commit_age_seconds: float | None
    lag_seconds: float | None
    event_lag_seconds: float | None
    batches: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    admitted_files: int = 0
    admitted_bytes: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether a driver runs: it recorded no end, and its heartbeat is at most ``ALIVE_WITHIN_SECONDS`` old."""
        age = self.heartbeat_age_seconds
        return self.ended_at is None and age is not None and age <= ALIVE_WITHIN_SECONDS

    @property
    def driver_id(self) -> str | None:
        """The driver's id at its Spark cluster; None when it was started by hand."""
        return driver_id_of(self.log_path)


def stream_status(dsn: str, *, window_seconds: float = 60.0, after_batch_id: int | None = None) -> StreamStatus:
    """Read the state of the stream.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop`` (role ops, quality or owner).
    window_seconds:
        The sums cover the batches committed within this many seconds.
    after_batch_id:
        If given, the sums cover the batches after this one instead.
    """
    with transaction(dsn) as cursor:
        return read_status(cursor, window_seconds=window_seconds, after_batch_id=after_batch_id)


def read_status(cursor: Any, *, window_seconds: float = 60.0, after_batch_id: int | None = None) -> StreamStatus:
    """Read the state of the stream over an open connection; see :func:`stream_status`."""
    cursor.execute(
        _SQL["status"],
        {
            "query": QUERY_NAME,
            "window_seconds": window_seconds,
            "after_batch_id": after_batch_id,
            "recently_seconds": RECENTLY_SECONDS,
        },
    )
    row = dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))
    return StreamStatus(**row)


def newest_driver_id(dsn: str) -> str | None:
    """Return the id, at the Spark master, of the newest driver that a worker of a standalone cluster started."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_log_path"], {"query": QUERY_NAME})
        row = cursor.fetchone()
    return driver_id_of(row[0]) if row else None


def driver_id_of(log_path: str | None) -> str | None:
    """Return the driver's id from ``shop.runs.log_path``; None when no standalone worker started it."""
    name = PurePath(log_path or "").name
    return name if _DRIVER_ID.fullmatch(name) else None


def set_desired_state(dsn: str, desired_state: DesiredState) -> None:
    """Set the desired state: run, drain and then end, or stop after the current batch (role ops or owner)."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["set_desired_state"], {"query": QUERY_NAME, "desired_state": desired_state})
