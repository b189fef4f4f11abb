"""What the stream says of itself in Postgres: alive or not, how far, how late; and what it is wished to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Literal

from include.db import load_queries, transaction

QUERY_NAME = "events"
ALIVE_WITHIN_SECONDS = 15.0
RECENTLY_SECONDS = 600.0

Wish = Literal["run", "drain", "stop"]

# As a standalone master names its drivers, and a worker the directory of each; or the pod of one, on Kubernetes.
_DRIVER_ID = re.compile(r"driver-\d{14}-\d{4}|shopstream-[0-9a-f]{12}-driver")

_SQL = load_queries("status")


@dataclass(frozen=True)
class StreamStatus:
    """The state of the stream at one moment; ages and lags in seconds, sums over the asked window.

    Attributes
    ----------
    heartbeat_age_seconds:
        Since the driver process gave a sign of life.
    turned_age_seconds:
        Since the micro-batch loop asked for new files; since the start of the run, if it has not yet.
    paused:
        Why no files are taken in at the moment; None when they are.
    recent_drivers:
        Driver processes that were started within ``RECENTLY_SECONDS``, 100 at most.
    waiting_seconds:
        Since the arrival of the oldest file that is admitted and not loaded; None when there is none.
    wished_age_seconds:
        Since somebody said what the stream should do; None when nobody ever has.
    lag_seconds:
        Commit time of the newest batch minus the arrival of its oldest file.
    event_lag_seconds:
        Since the newest event_time of the newest batch that had events.
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
    waiting_seconds: float | None
    ui_url: str | None
    log_path: str | None
    error: str | None
    wish: str
    wished_age_seconds: float | None
    last_batch_id: int | None
    last_commit_age_seconds: float | None
    lag_seconds: float | None
    event_lag_seconds: float | None
    batches: int
    read: int
    accepted: int
    duplicate: int
    rejected: int

    @property
    def is_alive(self) -> bool:
        """Whether a driver runs: it has recorded no end, and a heartbeat within the last ``ALIVE_WITHIN_SECONDS``."""
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
        The sums cover the batches committed within this time, seconds.
    after_batch_id:
        If given, the sums cover the batches after this one instead.
    """
    with transaction(dsn) as cursor:
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
    """The id, at the Spark master, of the newest driver that a worker of a standalone cluster started."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_log_path"], {"query": QUERY_NAME})
        row = cursor.fetchone()
    return driver_id_of(row[0]) if row else None


def driver_id_of(log_path: str | None) -> str | None:
    """The driver's id at the Spark master, from ``shop.runs.log_path``; None when no standalone worker started it."""
    name = PurePath(log_path or "").name
    return name if _DRIVER_ID.fullmatch(name) else None


def set_wish(dsn: str, wish: Wish) -> None:
    """Ask the stream to run, to drain and end, or to stop after the batch under way (role ops or owner)."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["set_wish"], {"query": QUERY_NAME, "wish": wish})
