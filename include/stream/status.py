"""What the stream says of itself in Postgres: alive or not, how far, how late; and what it is wished to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from include.db import load_queries, transaction

QUERY_NAME = "events"
ALIVE_WITHIN_SECONDS = 15.0

Wish = Literal["run", "drain", "stop"]

_SQL = load_queries("status")


@dataclass(frozen=True)
class StreamStatus:
    """The state of the stream at one moment; ages and lags in seconds, sums over the asked window.

    ``lag_seconds`` is the commit time of the newest batch minus the arrival of its oldest file.
    """

    epoch: int | None
    mode: str | None
    started_at: datetime | None
    ended_at: datetime | None
    heartbeat_age_seconds: float | None
    backlog_files: int
    backlog_bytes: int
    ui_url: str | None
    log_path: str | None
    error: str | None
    wish: str
    last_batch_id: int | None
    last_commit_age_seconds: float | None
    lag_seconds: float | None
    batches: int
    read: int
    accepted: int
    duplicate: int
    rejected: int

    @property
    def is_alive(self) -> bool:
        """Whether a driver runs and its micro-batch loop turned within the last ``ALIVE_WITHIN_SECONDS``."""
        age = self.heartbeat_age_seconds
        return self.ended_at is None and age is not None and age <= ALIVE_WITHIN_SECONDS


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
            {"query": QUERY_NAME, "window_seconds": window_seconds, "after_batch_id": after_batch_id},
        )
        row = dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))
    return StreamStatus(**row)


def set_wish(dsn: str, wish: Wish) -> None:
    """Ask the stream to run, to drain and end, or to stop after the batch under way (role ops or owner)."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["set_wish"], {"query": QUERY_NAME, "wish": wish})
