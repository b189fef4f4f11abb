"""Starts the program that sends alerts when there is something to send: that one imports Airflow, for Connections."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from include.alerts.outbox import known_channels, plan_deliveries
from include.platform.environment import airflow_environment
from include.platform.rest import AirflowApi
from include.settings import REPOSITORY, Settings

_PREFIX = "alert_"
# It sends for five minutes at most; what is left then is for the next.
_LONGEST_SECONDS = 600.0


class AlertSender:
    """Looks into the outbox and at the list of channels; runs one sender at a time.

    Parameters
    ----------
    settings:
        Of the instance.
    api:
        Where the Connections are listed.
    """

    def __init__(self, settings: Settings, api: AirflowApi) -> None:
        self._settings = settings
        self._api = api
        self._dsn = settings.dsn("ops")
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._seen = "[]"

    def send_what_is_due(self) -> None:
        """Plan, and start a sender if a message is due."""
        if plan_deliveries(self._dsn, reminder_hours=self._settings.alert_reminder_hours):
            self._start()

    def follow_connections(self) -> None:
        """Let a sender bring the list of channels up to date when somebody has changed a Connection."""
        listed = self._api.connections(_PREFIX)
        present = json.dumps(listed)
        is_unlisted = {one["connection_id"] for one in listed} - set(known_channels(self._dsn))
        if (present != self._seen or is_unlisted) and self._start():
            self._seen = present

    def _start(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            if time.monotonic() - self._started < _LONGEST_SECONDS:
                return False
            self._process.kill()
            self._process.wait()
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "include.airflow.dispatch"],
            cwd=REPOSITORY,
            env=airflow_environment(self._settings),
            stdin=subprocess.DEVNULL,
        )
        return True
