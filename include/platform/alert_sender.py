"""Starts the program that sends alerts when there is something to send: that one imports Airflow, for Connections."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from include.alerts.outbox import known_channels, plan_deliveries
from include.platform.environment import airflow_environment
from include.platform.rest import AirflowApi
from include.settings import REPOSITORY, Settings

_PREFIX = "alert_"
_LONGEST_SECONDS = 600.0

_log = logging.getLogger(__name__)


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
            return False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "include.airflow.dispatch"],
            cwd=REPOSITORY,
            env=airflow_environment(self._settings),
            stdin=subprocess.DEVNULL,
        )
        return True
