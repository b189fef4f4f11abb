"""The driver's pulse: each beat says in Postgres that the process lives, and hears what is wished of it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime

import psycopg2

from include.db import load_queries
from include.db.lasting import LastingConnection
from include.errors import PlatformError, StalledError

_SQL = load_queries("epoch")
_log = logging.getLogger(__name__)

# While Postgres takes longer than this to answer, a loop that does not turn may be waiting for it too.
_PROMPT_SECONDS = 5.0


@dataclass
class Pulse:
    """Beats for one run, in a thread beside the micro-batch loop.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    epoch:
        Of the run.
    stall_seconds:
        How long the loop may go without turning.
    """

    dsn: str
    epoch: int
    stall_seconds: float
    _connection: LastingConnection = field(init=False)
    _turned_at: datetime | None = None
    _seen_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._connection = LastingConnection(self.dsn)

    def beat(self) -> str | None:
        """Beat once.

        Returns
        -------
        str or None
            What the stream is wished to do; None when Postgres cannot be asked.

        Raises
        ------
        StalledError
            When the loop has not turned for too long although Postgres answers.
        """
        asked_at = time.monotonic()
        try:
            row = self._ask()
        except (psycopg2.Error, PlatformError) as error:
            _log.warning("no heartbeat: %s", str(error).strip())
            self.close()
            self._seen_at = time.monotonic()
            return None
        if row is None:
            return None
        turned_at, wish = row
        now = time.monotonic()
        if turned_at != self._turned_at or now - asked_at > _PROMPT_SECONDS:
            self._turned_at, self._seen_at = turned_at, now
        elif now - self._seen_at > self.stall_seconds:
            raise StalledError(
                f"the micro-batch loop has not turned for {now - self._seen_at:.0f} s, longer than "
                f"SHOPSTREAM_STALL_SECONDS={self.stall_seconds:g}",
                "The driver ends itself and is started again; its log and the Spark UI tell what it was doing",
            )
        return wish

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self) -> tuple[datetime | None, str] | None:
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            cursor.execute(_SQL["beat"], {"epoch": self.epoch})
            row: tuple[datetime | None, str] | None = cursor.fetchone()
            return row
