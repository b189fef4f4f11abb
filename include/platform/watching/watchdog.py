"""Monitor the platform from outside Airflow, because Airflow cannot report its own failure.

The supervisor restarts programs that exit. Some programs keep running without working:

- A scheduler that lost its database leaves its loop and then waits for its tasks, one of which, the stream, never ends.
  It runs but schedules nothing, and no DAG is left to notice. Its missing heartbeats reveal it.
- A master can forget its Spark worker, and then has no worker to start a driver on.

The watchdog restarts such a program. It raises an alert for each program that does not work, restarted or not, for each
task that failed without a report, and for each monitoring DAG that is paused or cannot be imported. It also starts the
sender of notifications and the cleanup of Airflow's own records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from include.errors import PlatformError
from include.logs import start_logging
from include.platform.programs.catalog import expected_programs
from include.platform.programs.health import heartbeat_file
from include.platform.programs.supervisor import Supervisor
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.airflow_records import RecordsCleaner
from include.platform.services.spark import has_lost_its_workers
from include.platform.watching.alert_sender import AlertSender
from include.platform.watching.outages import Outages
from include.platform.watching.silent_failures import report_silent_failures
from include.platform.watching.watchers import Watchers
from include.settings import Settings

LOOK_SECONDS = 10.0
# Airflow calls a component unhealthy when its last heartbeat is 30 s old.
TIMEOUT_SECONDS = 45.0
# A check may wait for servers that do not answer, but never this long.
LONGEST_GAP_SECONDS = 60.0
# A program that has just started needs some time until its first heartbeat.
START_SECONDS = 60
# On a busy machine the whole platform takes minutes to come up, which needs no alert.
FIRST_START_SECONDS = 180.0

_DATABASE = "metadatabase"
_POSTGRES = "postgres"
_ON_PURPOSE = "STOPPED"
_OUTBOX_SECONDS = 5.0
_FAILURES_SECONDS = 15.0
_CONNECTIONS_SECONDS = 30.0
_RECORDS_SECONDS = 600.0
_WATCHERS_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass
class Watchdog:
    """Diagnose programs from the outside, by their heartbeats and their process states.

    Parameters
    ----------
    find_ill:
        Returns the names of the programs that do not work, whether they run or not.
    supervisor:
        Supervisor of the instance.
    outages:
        Raises and resolves the alerts.
    """

    find_ill: Callable[[], set[str]]
    supervisor: Supervisor
    outages: Outages
    _ill_since: dict[str, float] = field(default_factory=dict)
    _looked_at: float | None = None
    _has_worked: set[str] = field(default_factory=set)

    def look(self, now: float) -> None:
        """Check once: restart programs that run without working, and raise alerts for all that do not work.

        Parameters
        ----------
        now:
            Seconds of a monotonic clock.
        """
        if self._looked_at is not None and now - self._looked_at > LONGEST_GAP_SECONDS:
            # The machine or this process was suspended. Programs that did not work before may be resuming just now.
            self._ill_since = {}
        self._looked_at = now
        states = self.supervisor.states()
        down = {name for name, state in states.items() if not state.is_running and state.state != _ON_PURPOSE}
        ill = self.find_ill() | down
        self._ill_since = {name: self._ill_since.get(name, now) for name in ill}
        overdue = {name: now - since for name, since in self._ill_since.items() if now - since >= TIMEOUT_SECONDS}
        done = {}
        for name in overdue:
            state = states.get(name)
            # No program works without its database, so PostgreSQL itself is never killed here.
            is_up = state is not None and state.is_running and state.uptime_seconds >= START_SECONDS
            if is_up and name != _POSTGRES:
                # Kill it instead of sending SIGTERM, on which it would end its tasks, too. The restarted program
                # adopts them.
                self.supervisor.kill_program(name)
                done[name] = "Its process was running without working and has been restarted; running tasks continue."
                # The restarted program gets the same timeout.
                self._ill_since[name] = now
        self._has_worked |= {*states, _POSTGRES} - ill
        out = {
            name: seconds
            for name, seconds in overdue.items()
            if name in self._has_worked or name in done or seconds >= FIRST_START_SECONDS
        }
        self.outages.notify(ill, out, done)


def unhealthy_programs(api: AirflowApi, settings: Settings) -> set[str]:
    """Return the programs that Airflow reports as unhealthy, and a Spark worker that its master has forgotten."""
    unhealthy = api.unhealthy()
    # Without the database no other component can work, so only PostgreSQL is reported.
    ill = {_POSTGRES} if _DATABASE in unhealthy else {component.replace("_", "-") for component in unhealthy}
    return ill | ({"spark-worker"} if has_lost_its_workers(settings) else set())


@dataclass
class Chore:
    """A periodic job: run ``work`` every ``every_seconds``."""

    every_seconds: float
    work: Callable[[], object]
    _due: float = 0.0
    _complaint: str = ""

    def do(self, now: float) -> None:
        """Run the job if it is due; log any error and try again the next time."""
        if now < self._due:
            return
        self._due = now + self.every_seconds
        complaint = ""
        try:
            self.work()
        except Exception as error:
            complaint = str(error)
            # Log a repeated error once: a database may be down for an hour.
            if complaint != self._complaint:
                _log.error("%s", complaint, exc_info=not isinstance(error, PlatformError))
        self._complaint = complaint


def main() -> None:
    """Run the checks every few seconds, for ever."""
    settings = Settings.from_env()
    heartbeat = heartbeat_file(settings)
    start_logging(settings.log_format)
    dsn, api = settings.dsn("ops"), AirflowApi(settings, timeout_seconds=5.0)
    sender = AlertSender(settings, api)
    outages = Outages(
        dsn,
        [one.name for one in expected_programs(settings)],
        send=sender.send_directly,
        memory=settings.root / "outage.json",
    )
    watchdog = Watchdog(lambda: unhealthy_programs(api, settings), Supervisor(settings), outages)
    watchers = Watchers(api, dsn)
    chores = [
        Chore(LOOK_SECONDS, lambda: watchdog.look(time.monotonic())),
        Chore(_FAILURES_SECONDS, lambda: report_silent_failures(api, dsn)),
        Chore(_WATCHERS_SECONDS, watchers.look),
        Chore(_CONNECTIONS_SECONDS, sender.follow_connections),
        Chore(_RECORDS_SECONDS, RecordsCleaner(settings).clean_when_due),
    ]
    outbox = Chore(_OUTBOX_SECONDS, sender.send_what_is_due)
    while True:
        for chore in chores:
            chore.do(time.monotonic())
            # Check the outbox between the other chores, which may have to wait for Airflow's answers.
            outbox.do(time.monotonic())
        heartbeat.touch()
        time.sleep(1.0)


if __name__ == "__main__":
    main()
