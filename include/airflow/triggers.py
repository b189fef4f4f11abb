"""Triggers that wait for the stream in the triggerer, where waiting costs no worker slot."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.airflow.connections import dsn_of
from include.errors import PlatformError
from include.stream.disk import free_gib
from include.stream.status import ALIVE_WITHIN_SECONDS, StreamStatus, stream_status

_REMINDER_SECONDS = 60.0


class StreamTrigger(BaseTrigger):
    """Asks Postgres every few seconds how the stream is, and fires once there is nothing left to wait for.

    Its event is the dictionary of what is still waited for: empty when the gate is open, filled when the time is up.

    Parameters
    ----------
    conn_id:
        Airflow connection of the analytics database, role ops.
    deadline:
        Unix time at which it gives up, seconds.
    poll_seconds:
        Time between two looks.
    """

    def __init__(self, *, conn_id: str, deadline: float, poll_seconds: float = 3.0) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.deadline = deadline
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path and arguments, from which the triggerer makes it anew."""
        arguments = {"conn_id": self.conn_id, "deadline": self.deadline, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    @abstractmethod
    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """What keeps the gate shut: a sentence with the value seen, by a short name of its own."""

    def look(self) -> dict[str, str]:
        """Ask the database once. That it cannot be reached is something to wait for, too."""
        try:
            status = stream_status(dsn_of(self.conn_id))
        except PlatformError as error:
            return {"database": str(error)}
        return self.waits_for(status)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the gate is open or the time is up; the log has every change and a reminder each minute."""
        said: set[str] = set()
        remind_at = 0.0
        while waits := await asyncio.to_thread(self.look):
            if time.time() >= self.deadline:
                break
            if set(waits) != said or time.monotonic() >= remind_at:
                said, remind_at = set(waits), time.monotonic() + _REMINDER_SECONDS
                self.log.info("Waiting: %s", "; ".join(waits.values()))
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent(waits)


class StreamWantedTrigger(StreamTrigger):
    """Waits until the stream is wished to run."""

    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """The wish, while it is another."""
        if status.wish == "run":
            return {}
        return {"wish": f"the stream is wished to {status.wish}; `make up` lets it run again"}


class StreamReadyTrigger(StreamWantedTrigger):
    """Waits until the stream can take more files.

    Parameters
    ----------
    max_backlog_files:
        Most files that may wait in the landing folder.
    min_free_gib:
        Least room on the disk of ``directory``, GiB.
    directory:
        The landing folder.
    options:
        As for ``StreamTrigger``.
    """

    def __init__(self, *, max_backlog_files: int, min_free_gib: float, directory: str, **options: Any) -> None:
        super().__init__(**options)
        self.max_backlog_files = max_backlog_files
        self.min_free_gib = min_free_gib
        self.directory = directory

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path and arguments, from which the triggerer makes it anew."""
        path, arguments = super().serialize()
        return path, arguments | {
            "max_backlog_files": self.max_backlog_files,
            "min_free_gib": self.min_free_gib,
            "directory": self.directory,
        }

    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """A stream that lives and takes in files, a short backlog, room on the disk."""
        waits = super().waits_for(status)
        if not status.is_alive:
            waits["stream"] = _why_not_alive(status)
        elif status.paused is not None:
            waits["intake"] = f"the stream takes in no files: {status.paused}"
        if status.backlog_files > self.max_backlog_files:
            waits["backlog"] = (
                f"{status.backlog_files} files wait in landing, over the limit of {self.max_backlog_files}"
            )
        free = free_gib(Path(self.directory))
        if free < self.min_free_gib:
            waits["disk"] = f"{free:.1f} GiB are free at {self.directory}, below the limit of {self.min_free_gib:g}"
        return waits


def _why_not_alive(status: StreamStatus) -> str:
    if status.epoch is None:
        return "the stream has never run"
    if status.ended_at is not None:
        return f"the stream ended at {status.ended_at:%Y-%m-%d %H:%M:%S} UTC ({status.error or 'by itself'})"
    return (
        f"the stream's driver gave its last sign of life {status.heartbeat_age_seconds:.0f} s ago, and counts as alive "
        f"for {ALIVE_WITHIN_SECONDS:.0f} s"
    )
