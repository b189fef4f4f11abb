"""Restarts a program that runs but has stopped working, and says so: Airflow cannot report its own death.

The supervisor restarts what ends. But a scheduler that lost its database leaves its loop and then waits for its tasks,
one of which, the stream, never ends: it runs, schedules nothing, and no DAG is left to notice. Its heartbeats do. And a
Spark worker can be forgotten by its master, which then has nobody to start a driver.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from include.alerts import Alert, record
from include.errors import PlatformError
from include.logs import start_logging
from include.platform.rest import AirflowApi
from include.platform.spark import has_lost_its_workers
from include.platform.supervisor import Supervisor
from include.settings import Settings

SOURCE = "watchdog"
LOOK_SECONDS = 10.0
# Airflow calls a component unhealthy when its last heartbeat is 30 s old.
PATIENCE_SECONDS = 45.0
# A program that has just started needs time until its first heartbeat.
START_SECONDS = 60

_DATABASE = "metadatabase"

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
    tell:
        Records an alert.
    """

    find_ill: Callable[[], set[str]]
    supervisor: Supervisor
    tell: Callable[[Alert], None]
    _ill_since: dict[str, float] = field(default_factory=dict)

    def look(self, now: float) -> list[str]:
        """Look once; returns the programs that were restarted.

        Parameters
        ----------
        now:
            Seconds of a clock that only goes forward.
        """
        self._ill_since = {name: self._ill_since.get(name, now) for name in self.find_ill()}
        restarted = []
        for name, since in self._ill_since.items():
            state = self.supervisor.states().get(name)
            is_up = state is not None and state.is_running and state.uptime_seconds >= START_SECONDS
            if is_up and now - since >= PATIENCE_SECONDS:
                self._restart(name, now - since)
                restarted.append(name)
        for name in restarted:
            del self._ill_since[name]
        return restarted

    def _restart(self, name: str, seconds: float) -> None:
        # Not asked to end: it would end its tasks, too. Its next life picks them up.
        self.supervisor.kill_program(name)
        title = f"{name} ran, but did not work, and was restarted"
        detail = (
            f"It did not do its part for {seconds:.0f} s, though its process ran. What it ran into is at the end of "
            f"`make logs NAME={name}`. Tasks that were under way are taken up again."
        )
        _log.warning("%s. %s", title, detail)
        self.tell(Alert("critical", SOURCE, title, detail))


def ill_programs(api: AirflowApi, settings: Settings) -> set[str]:
    """What Airflow's health endpoint calls unhealthy, and a Spark worker that its master does not know."""
    unhealthy = api.unhealthy()
    # Without their database none of them can work, and none is to blame.
    ill = set() if _DATABASE in unhealthy else {component.replace("_", "-") for component in unhealthy}
    return ill | ({"spark-worker"} if has_lost_its_workers(settings) else set())


def main() -> None:
    """Look every few seconds, for ever."""
    settings = Settings.from_env()
    start_logging(settings.log_format)

    def tell(alert: Alert) -> None:
        try:
            record(settings.dsn("ops"), alert)
        except PlatformError as error:
            _log.error("the alert cannot be recorded: %s", error)

    api = AirflowApi(settings)
    watchdog = Watchdog(lambda: ill_programs(api, settings), Supervisor(settings), tell)
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            watchdog.look(time.monotonic())
        except Exception:
            # Whatever it was, the next look may succeed, and nobody else looks.
            _log.exception("this look failed")


if __name__ == "__main__":
    main()
