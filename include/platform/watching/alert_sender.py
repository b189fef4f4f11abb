"""Start the program that sends alerts, when there is something to send.

Sending runs in its own process because it imports Airflow to read the Connections.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time

from include.alerts.notice import ANSWER, Notice
from include.alerts.outbox import known_channels, plan_deliveries
from include.platform.instance.environment import airflow_environment
from include.platform.services.airflow_api import AirflowApi
from include.settings import REPOSITORY, Settings

_PREFIX = "alert_"
# A sender works for five minutes at most and leaves the rest to the next one.
_LONGEST_SECONDS = 600.0
# Importing Airflow takes time, and each channel has ten seconds.
_NOTICE_SECONDS = 60.0

_log = logging.getLogger(__name__)


class AlertSender:
    """Watch the outbox and the list of channels, and run one sender at a time.

    Parameters
    ----------
    settings:
        Settings of the instance.
    api:
        API client that lists the Connections.
    """

    def __init__(self, settings: Settings, api: AirflowApi) -> None:
        self._settings = settings
        self._api = api
        self._dsn = settings.dsn("ops")
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._seen = "[]"

    def send_what_is_due(self) -> None:
        """Plan the deliveries and start a sender if one is due."""
        if plan_deliveries(self._dsn, reminder_hours=self._settings.alert_reminder_hours):
            self._start()

    def follow_connections(self) -> None:
        """Start a sender, which updates the list of channels, when a Connection has changed."""
        listed = self._api.connections(_PREFIX)
        present = json.dumps(listed)
        is_unlisted = {one["connection_id"] for one in listed} - set(known_channels(self._dsn))
        if (present != self._seen or is_unlisted) and self._start():
            self._seen = present

    def send_directly(self, notice: Notice) -> list[str]:
        """Send a notice while the outbox's database is unreachable, and return the channels that accepted it."""
        try:
            done = subprocess.run(
                [sys.executable, "-m", "include.airflow.alerting.direct"],
                cwd=REPOSITORY,
                env=airflow_environment(self._settings),
                input=notice.to_json().encode(),
                stdout=subprocess.PIPE,
                timeout=_NOTICE_SECONDS,
                check=True,
            )
            answers = [line for line in done.stdout.decode().splitlines() if line.startswith(ANSWER)]
            sent: list[str] = json.loads(answers[-1].removeprefix(ANSWER))
        except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
            _log.error("The notice that the database is unreachable could not be sent: %s", error)
            return []
        return sent

    def _start(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            if time.monotonic() - self._started < _LONGEST_SECONDS:
                return False
            self._process.kill()
            self._process.wait()
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "include.airflow.alerting.dispatch"],
            cwd=REPOSITORY,
            env=airflow_environment(self._settings),
            stdin=subprocess.DEVNULL,
        )
        return True
