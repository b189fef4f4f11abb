"""Provide triggers that wait for the stream in the triggerer, where waiting costs no worker slot."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.airflow.connections import dsn_of
from include.db import AWAY
from include.stream.supervision.disk import free_gib
from include.stream.supervision.status import ALIVE_WITHIN_SECONDS, StreamStatus, stream_status

_REMINDER_SECONDS = 60.0


class StreamTrigger(BaseTrigger):
    """Poll the state of the stream in Postgres every few seconds, and fire when there is nothing left to wait for.

    The event is the dictionary of unmet conditions: empty when the gate is open, not empty when the time is up.

    Parameters
    ----------
    conn_id:
        Airflow connection of the analytics database, role ops.
    deadline:
        Unix time at which the trigger gives up, seconds.
    poll_seconds:
        Time between two polls.
    """

    def __init__(self, *, conn_id: str, deadline: float, poll_seconds: float = 3.0) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.deadline = deadline
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments from which the triggerer recreates the trigger."""
        arguments = {"conn_id": self.conn_id, "deadline": self.deadline, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    @abstractmethod
    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """Return the conditions that keep the gate closed: a short name and a sentence with the current value."""

    def look(self) -> dict[str, str]:
        """Check once; an unreachable database also counts as a condition to wait for."""
        try:
            status = stream_status(dsn_of(self.conn_id))
        except AWAY as error:
            return {"database": str(error)}
        return self.waits_for(status)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Check until the gate is open or the time is up; log every change, and a reminder each minute."""
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
    """Wait until the desired state of the stream is ``run``."""

    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """Return the desired state if it is not ``run``."""
        if status.desired_state == "run":
            return {}
        return {
            "desired_state": f"the stream was asked to {status.desired_state}; start it again with `make up`, or "
            "Resume in the cockpit"
        }


class StreamReadyTrigger(StreamWantedTrigger):
    """Wait until the stream can take more files.

    Parameters
    ----------
    max_backlog_files:
        Maximum number of files that may wait in the landing folder.
    min_free_gib:
        Minimum free space on the disk of ``directory``, GiB.
    directory:
        The landing folder.
    options:
        Options of ``StreamTrigger``.
    """

    def __init__(self, *, max_backlog_files: int, min_free_gib: float, directory: str, **options: Any) -> None:
        super().__init__(**options)
        self.max_backlog_files = max_backlog_files
        self.min_free_gib = min_free_gib
        self.directory = directory

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments from which the triggerer recreates the trigger."""
        path, arguments = super().serialize()
        return path, arguments | {
            "max_backlog_files": self.max_backlog_files,
            "min_free_gib": self.min_free_gib,
            "directory": self.directory,
        }

    def waits_for(self, status: StreamStatus) -> dict[str, str]:
        """Return what is missing: a stream that is alive and takes in files, a short backlog, free disk space."""
        waits = super().waits_for(status)
        if not status.is_alive:
            waits["stream"] = _why_not_alive(status)
        elif status.paused is not None:
            waits["intake"] = f"the stream takes in no files: {status.paused}"
        if status.backlog_files > self.max_backlog_files:
            waits["backlog"] = (
                f"{status.backlog_files} files wait in the landing folder, over the limit of {self.max_backlog_files}"
            )
        free = free_gib(Path(self.directory))
        if free < self.min_free_gib:
            waits["disk"] = f"{free:.1f} GiB are free in {self.directory}, below the limit of {self.min_free_gib:g}"
        return waits


def _why_not_alive(status: StreamStatus) -> str:
    if status.epoch is None:
        return "the stream has never run"
    if status.ended_at is not None:
        return f"the stream ended at {status.ended_at:%Y-%m-%d %H:%M:%S} UTC ({status.error or 'by itself'})"
    return (
        f"the stream's driver sent its last heartbeat {status.heartbeat_age_seconds:.0f} s ago, and counts as alive "
        f"for {ALIVE_WITHIN_SECONDS:.0f} s"
    )
