"""The driver's heartbeat: it records in Postgres that the process lives, and reads the desired state of the stream."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime

import psycopg2

from include.db import load_queries
from include.db.reconnecting import ReconnectingConnection
from include.errors import PlatformError, StalledError

_SQL = load_queries("epoch")
_log = logging.getLogger(__name__)

# While Postgres takes longer than this to answer, a loop that does not turn may be waiting for Postgres as well.
_PROMPT_SECONDS = 5.0


@dataclass
class Heartbeat:
    """Write the heartbeat of one run, in a thread beside the micro-batch loop.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    epoch:
        The epoch of the run.
    stall_seconds:
        How long the loop may go without turning.
    """

    dsn: str
    epoch: int
    stall_seconds: float
    _connection: ReconnectingConnection = field(init=False)
    _turned_at: datetime | None = None
    _seen_at: float = field(default_factory=time.monotonic)
    _asked_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._connection = ReconnectingConnection(self.dsn)

    def beat(self) -> str | None:
        """Write one heartbeat.

        Returns
        -------
        str or None
            The desired state of the stream; None when Postgres does not answer or has no such run.

        Raises
        ------
        StalledError
            When the loop has not turned for too long although Postgres answers.
        """
        asked_at = time.monotonic()
        pause, self._asked_at = asked_at - self._asked_at, asked_at
        if pause > _PROMPT_SECONDS:
            # The process was suspended, or the machine slept, so the loop could not turn either.
            self._seen_at += pause
        try:
            row = self._ask()
        except (psycopg2.Error, PlatformError) as error:
            _log.warning("the heartbeat could not be written: %s", str(error).strip())
            self.close()
            self._seen_at = time.monotonic()
            return None
        if row is None:
            return None
        turned_at, desired_state = row
        now = time.monotonic()
        if turned_at != self._turned_at or now - asked_at > _PROMPT_SECONDS:
            self._turned_at, self._seen_at = turned_at, now
        elif now - self._seen_at > self.stall_seconds:
            raise StalledError(
                f"the micro-batch loop has not turned for {now - self._seen_at:.0f} s, longer than "
                f"SHOPSTREAM_STALL_SECONDS={self.stall_seconds:g}",
                "The driver ends itself and is started again; its log and the Spark UI show what it was doing",
            )
        return desired_state

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self) -> tuple[datetime | None, str] | None:
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            cursor.execute(_SQL["beat"], {"epoch": self.epoch})
            row: tuple[datetime | None, str] | None = cursor.fetchone()
            return row
