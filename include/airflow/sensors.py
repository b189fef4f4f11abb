"""Sensors that gate a DAG by the state of the stream; both are deferred unless the gate is open at once."""

from __future__ import annotations

import time
from abc import abstractmethod
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout

from include.airflow.connections import OPS_CONN_ID
from include.airflow.triggers import StreamReadyTrigger, StreamTrigger, StreamWantedTrigger
from include.settings import Settings

# The trigger knows its own deadline and can say what it waited for; Airflow's comes later, for a dead triggerer.
_GRACE = timedelta(minutes=1)


class StreamSensor(BaseSensorOperator):
    """Succeeds when its trigger has nothing left to wait for.

    Parameters
    ----------
    conn_id:
        Airflow connection of the analytics database, role ops.
    options:
        As for every sensor; ``timeout`` is counted from the start of the try.
    """

    def __init__(self, *, conn_id: str = OPS_CONN_ID, **options: Any) -> None:
        super().__init__(**options)
        self.conn_id = conn_id

    @abstractmethod
    def make_trigger(self, deadline: float) -> StreamTrigger:
        """The trigger that waits, until ``deadline`` (unix time, seconds) at the latest."""

    def execute(self, context: Any) -> None:
        """Look once, and wait in the triggerer when the gate is shut."""
        trigger = self.make_trigger(time.time() + self.timeout)
        waits = trigger.look()
        if waits:
            self.defer(
                trigger=trigger,
                method_name=self.resume.__name__,
                timeout=timedelta(seconds=self.timeout) + _GRACE,
            )
        self.resume(context, waits)

    def resume(self, context: Any, event: dict[str, str]) -> None:
        """End with what the trigger found.

        Raises
        ------
        AirflowSensorTimeout
            When the time was up; it says what was still waited for.
        """
        if event:
            waited = timedelta(seconds=round(self.timeout))
            raise AirflowSensorTimeout(f"The gate stayed shut for {waited}: {'; '.join(event.values())}.")
        self.log.info("Open.")


class StreamWantedSensor(StreamSensor):
    """Opens while the stream is wished to run, so that a drained or stopped stream is not started again at once."""

    def make_trigger(self, deadline: float) -> StreamTrigger:
        """The trigger that reads the wish."""
        return StreamWantedTrigger(conn_id=self.conn_id, deadline=deadline)


class StreamReadySensor(StreamSensor):
    """Opens while the stream lives and takes in files, its backlog is short and the disk has room, by the settings."""

    def make_trigger(self, deadline: float) -> StreamTrigger:
        """The trigger that reads the stream's state and the disk."""
        settings = Settings.from_env()
        return StreamReadyTrigger(
            conn_id=self.conn_id,
            deadline=deadline,
            max_backlog_files=settings.max_backlog_files,
            min_free_gib=settings.min_free_gib,
            directory=str(settings.landing_dir),
        )
