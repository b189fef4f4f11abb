"""The stream goes first: work that can wait steps aside while files wait to be loaded."""

from __future__ import annotations

import logging
import time

from include.stream.status import stream_status

_log = logging.getLogger(__name__)

# A stream that keeps up has loaded a file within a second.
BEHIND_SECONDS = 1.0
_LOOK_EVERY_SECONDS = 0.5


class GiveWay:
    """Called between the steps of a piece of work: returns once the stream is not behind.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop`` (role ops, quality or owner).
    patience_seconds:
        For so long in all it waits, seconds; then every call returns at once.

    Attributes
    ----------
    waited_seconds:
        How long it has waited.
    """

    def __init__(self, dsn: str, *, patience_seconds: float) -> None:
        self._dsn = dsn
        self._patience_seconds = patience_seconds
        self.waited_seconds = 0.0

    def __call__(self) -> None:
        before = self.waited_seconds
        while self.waited_seconds < self._patience_seconds and self._is_behind():
            time.sleep(_LOOK_EVERY_SECONDS)
            self.waited_seconds += _LOOK_EVERY_SECONDS
        if self.waited_seconds > before:
            _log.info("The stream was behind: it went first for %.1f s.", self.waited_seconds - before)

    def _is_behind(self) -> bool:
        status = stream_status(self._dsn)
        # For files that nobody loads at the moment there is nothing to step aside for.
        return status.is_alive and status.paused is None and (status.waiting_seconds or 0) > BEHIND_SECONDS
