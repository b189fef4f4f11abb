"""Let work that can wait yield to the stream while files wait to be loaded."""

from __future__ import annotations

import logging
import time

from include.db.reconnecting import ReconnectingConnection
from include.stream.supervision.status import read_status

_log = logging.getLogger(__name__)

# A stream that keeps up has loaded a file within a second.
BEHIND_SECONDS = 1.0
_LOOK_EVERY_SECONDS = 0.5


class YieldToStream:
    """Yield to the stream between the steps of other work: a call returns once the stream is not behind.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop`` (role ops, quality or owner).
    timeout_seconds:
        Total time to wait over all calls, seconds; after that, every call returns at once.

    Attributes
    ----------
    waited_seconds:
        Time waited so far.
    """

    def __init__(self, dsn: str, *, timeout_seconds: float) -> None:
        self._dsn = dsn
        self._timeout_seconds = timeout_seconds
        self.waited_seconds = 0.0

    def __call__(self) -> None:
        before = self.waited_seconds
        connection = ReconnectingConnection(self._dsn, autocommit=True)
        try:
            while self.waited_seconds < self._timeout_seconds and _is_behind(connection):
                time.sleep(_LOOK_EVERY_SECONDS)
                self.waited_seconds += _LOOK_EVERY_SECONDS
        finally:
            connection.close()
        if self.waited_seconds > before:
            _log.info("waited %.1f s for the stream, which was behind", self.waited_seconds - before)


def _is_behind(connection: ReconnectingConnection) -> bool:
    with connection.get().cursor() as cursor:
        status = read_status(cursor)
    # If no driver is loading the files at the moment, waiting does not help.
    return status.is_alive and status.paused is None and (status.waiting_seconds or 0) > BEHIND_SECONDS
