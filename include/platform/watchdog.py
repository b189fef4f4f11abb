"""Looks after the platform from outside, because Airflow cannot report its own death.

The supervisor restarts what ends. But a scheduler that lost its database leaves its loop and then waits for its tasks,
one of which, the stream, never ends: it runs, schedules nothing, and no DAG is left to notice. Its heartbeats do. And a
Spark worker can be forgotten by its master, which then has nobody to start a driver. Such a program is restarted. What
does not work, restarted or not, becomes an alert; so does a task that failed without a word; what waits to be sent is
sent; and Airflow's own records do not grow for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import PlatformError
from include.logs import start_logging
from include.platform.airflow_records import RecordsCleaner
from include.platform.alert_sender import AlertSender
from include.platform.outages import Outages
from include.platform.programs import expected_programs
from include.platform.rest import AirflowApi
from include.platform.silent_failures import report_silent_failures
from include.platform.spark import has_lost_its_workers
from include.platform.supervisor import Supervisor
from include.settings import Settings

LOOK_SECONDS = 10.0
# Airflow calls a component unhealthy when its last heartbeat is 30 s old.
PATIENCE_SECONDS = 45.0
# A program that has just started needs time until its first heartbeat.
START_SECONDS = 60
# On a machine with other work a whole platform takes minutes to come up; nobody need be told of that.
FIRST_START_SECONDS = 180.0

_DATABASE = "metadatabase"
_POSTGRES = "postgres"
_ON_PURPOSE = "STOPPED"
_OUTBOX_SECONDS = 5.0
_FAILURES_SECONDS = 15.0
_CONNECTIONS_SECONDS = 30.0
_RECORDS_SECONDS = 600.0

_log = logging.getLogger(__name__)


@dataclass
class Watchdog:
    """Judges programs by what others say of them.

    Parameters
    ----------
    find_ill:
        The names of the programs that do not work, whether they run or not.
    supervisor:
        Of the instance.
    outages:
        Tells people.
    """

    find_ill: Callable[[], set[str]]
    supervisor: Supervisor
    outages: Outages
    _ill_since: dict[str, float] = field(default_factory=dict)
    _has_worked: set[str] = field(default_factory=set)

    def look(self, now: float) -> None:
        """Look once: restart what runs without working, and tell of all that does not work.

        Parameters
        ----------
        now:
            Seconds of a clock that only goes forward.
        """
        states = self.supervisor.states()
        down = {name for name, state in states.items() if not state.is_running and state.state != _ON_PURPOSE}
        ill = self.find_ill() | down
        self._ill_since = {name: self._ill_since.get(name, now) for name in ill}
        overdue = {name: now - since for name, since in self._ill_since.items() if now - since >= PATIENCE_SECONDS}
        done = {}
        for name in overdue:
            state = states.get(name)
            # Without their database none of them can work, and it is not to blame itself.
            is_up = state is not None and state.is_running and state.uptime_seconds >= START_SECONDS
            if is_up and name != _POSTGRES:
                # Not asked to end: it would end its tasks, too. Its next life picks them up.
                self.supervisor.kill_program(name)
                done[name] = "Its process ran all the same, and was restarted; tasks under way are taken up again."
                # Its next life has as much time.
                self._ill_since[name] = now
        self._has_worked |= {*states, _POSTGRES} - ill
        out = {
            name: seconds
            for name, seconds in overdue.items()
            if name in self._has_worked or name in done or seconds >= FIRST_START_SECONDS
        }
        self.outages.tell(ill, out, done)


def ill_programs(api: AirflowApi, settings: Settings) -> set[str]:
    """What Airflow's health endpoint calls unhealthy, and a Spark worker that its master does not know."""
    unhealthy = api.unhealthy()
    # Without their database none of the others can work.
    ill = {_POSTGRES} if _DATABASE in unhealthy else {component.replace("_", "-") for component in unhealthy}
    return ill | ({"spark-worker"} if has_lost_its_workers(settings) else set())


@dataclass
class Chore:
    """Something that is done again and again: ``work`` every ``every_seconds``."""

    every_seconds: float
    work: Callable[[], object]
    _due: float = 0.0
    _complaint: str = ""

    def do(self, now: float) -> None:
        """Do it, if it is time; whatever goes wrong, the next time may succeed."""
        if now < self._due:
            return
        self._due = now + self.every_seconds
        complaint = ""
        try:
            self.work()
        except Exception as error:
            complaint = str(error)
            # A database that is away for an hour is said once.
            if complaint != self._complaint:
                _log.error("%s", complaint, exc_info=not isinstance(error, PlatformError))
        self._complaint = complaint


def pulse_file(settings: Settings) -> Path:
    """The file that the watchdog touches every second or so, as long as it works itself."""
    return settings.root / "watchdog.pulse"


def main() -> None:
    """Look every few seconds, for ever."""
    settings = Settings.from_env()
    pulse = pulse_file(settings)
    start_logging(settings.log_format)
    dsn, api = settings.dsn("ops"), AirflowApi(settings, timeout_seconds=5.0)
    outages = Outages(dsn, [one.name for one in expected_programs(settings)])
    watchdog = Watchdog(lambda: ill_programs(api, settings), Supervisor(settings), outages)
    sender = AlertSender(settings, api)
    chores = [
        Chore(LOOK_SECONDS, lambda: watchdog.look(time.monotonic())),
        Chore(_FAILURES_SECONDS, lambda: report_silent_failures(api, dsn)),
        Chore(_CONNECTIONS_SECONDS, sender.follow_connections),
        Chore(_RECORDS_SECONDS, RecordsCleaner(settings).clean_when_due),
    ]
    outbox = Chore(_OUTBOX_SECONDS, sender.send_what_is_due)
    while True:
        for chore in chores:
            chore.do(time.monotonic())
            # The others ask Airflow, which may let them wait.
            outbox.do(time.monotonic())
        pulse.touch()
        time.sleep(1.0)


if __name__ == "__main__":
    main()
