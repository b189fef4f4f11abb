"""Provide sensors that gate a DAG by the state of the stream; they defer unless the gate is open immediately."""

from __future__ import annotations

import time
from abc import abstractmethod
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from include.airflow.connections import OPS_CONN_ID
from include.airflow.triggers import StreamReadyTrigger, StreamTrigger, StreamWantedTrigger
from include.settings import Settings

# The trigger has its own deadline and can report what it waited for. Airflow's timeout comes later and is only for a
# dead triggerer.
_GRACE = timedelta(minutes=1)


class StreamSensor(BaseSensorOperator):
    """Succeed when the trigger has nothing left to wait for.

    Parameters
    ----------
    conn_id:
        Airflow connection of the analytics database, role ops.
    options:
        Options of every sensor; ``timeout`` counts from the start of the try.
    """

    def __init__(self, *, conn_id: str = OPS_CONN_ID, **options: Any) -> None:
        super().__init__(**options)
        self.conn_id = conn_id

    @abstractmethod
    def make_trigger(self, deadline: float) -> StreamTrigger:
        """Return the trigger that waits, at the latest until ``deadline`` (Unix time, seconds)."""

    def execute(self, context: Any) -> None:
        """Check once, and wait in the triggerer if the gate is closed."""
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
        """Succeed, fail or skip according to the trigger's event.

        Raises
        ------
        AirflowSensorTimeout
            When the time was up; the message says what the sensor was still waiting for.
        AirflowSkipException
            When the stream was paused or drained on purpose until then, which is not a failure.
        """
        if "desired_state" in event:
            raise AirflowSkipException(f"Skipped: {event['desired_state']}.")
        if event:
            waited = timedelta(seconds=round(self.timeout))
            raise AirflowSensorTimeout(f"The gate stayed closed for {waited}: {'; '.join(event.values())}.")
        self.log.info("The gate is open.")


class StreamWantedSensor(StreamSensor):
    """Open while the desired state of the stream is ``run``, so that a drained or paused stream is not restarted."""

    def make_trigger(self, deadline: float) -> StreamTrigger:
        """Return the trigger that reads the desired state."""
        return StreamWantedTrigger(conn_id=self.conn_id, deadline=deadline)


class StreamReadySensor(StreamSensor):
    """Open while the stream is alive and takes in files, and backlog and free disk space are within the settings."""

    def make_trigger(self, deadline: float) -> StreamTrigger:
        """Return the trigger that reads the stream's state and the free disk space."""
        settings = Settings.from_env()
        return StreamReadyTrigger(
            conn_id=self.conn_id,
            deadline=deadline,
            max_backlog_files=settings.max_backlog_files,
            min_free_gib=settings.min_free_gib,
            directory=str(settings.landing_dir),
        )
