"""Airflow keeps records of every run for ever; ``python -m include.platform.airflow_records`` removes those past
retention.

Runs, and what belongs to them, go by the REST API once they are over: ``airflow db clean`` would look at when a run
began, and one of the stream lasts for weeks. What belongs to no run is left to that command; a task could not call it,
since it has no access to Airflow's database.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.errors import PlatformError, ShopstreamError
from include.platform.environment import airflow_environment, base_environment
from include.platform.rest import AirflowApi
from include.settings import REPOSITORY, Settings

EVERY = timedelta(days=1)

_OF_NO_RUN = ("log", "job", "import_error", "callback")
_ROWS_AT_ONCE = 10_000
# A page of a hundred runs is deleted in one call.
_CALL_SECONDS = 120.0


class RecordsCleaner:
    """Starts the program once a day, counted over restarts of whoever calls it, and one at a time.

    Parameters
    ----------
    settings:
        Of the instance.
    command:
        What to start: this module, unless given.
    """

    def __init__(self, settings: Settings, command: tuple[str, ...] = (sys.executable, "-m", __name__)) -> None:
        self._settings = settings
        self._command = command
        self._stamp = settings.root / "airflow" / "cleaned"
        self._process: subprocess.Popen[bytes] | None = None

    def clean_when_due(self) -> None:
        """Look how it stands, and start it if it is time; returns at once.

        Raises
        ------
        PlatformError
            When the last one failed; a later call starts it again.
        """
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            if status:
                raise PlatformError(
                    f"Airflow's records that are past retention were not removed: exit status {status}",
                    "What it said is above; it is tried again",
                )
            self._stamp.touch()
        elif not self._stamp.exists():
            # A new instance has nothing to remove, and better things to do.
            self._stamp.touch()
        elif time.time() - self._stamp.stat().st_mtime >= EVERY.total_seconds():
            self._process = subprocess.Popen(
                self._command, cwd=REPOSITORY, env=base_environment(self._settings), stdin=subprocess.DEVNULL
            )


def main() -> None:
    """Remove them.

    Raises
    ------
    PlatformError
        When Airflow does not do it.
    """
    settings = Settings.from_env()
    before = datetime.now(UTC) - timedelta(days=settings.retention_days)
    deleted = AirflowApi(settings, timeout_seconds=_CALL_SECONDS).delete_runs(before)
    print(f"{deleted:,} runs that ended before {before:%Y-%m-%d %H:%M} UTC are deleted")
    command = [
        *(str(Path(sys.executable).with_name("airflow")), "db", "clean", "--yes", "--skip-archive"),
        *("--clean-before-timestamp", before.isoformat(), "--tables", ",".join(_OF_NO_RUN)),
        *("--batch-size", str(_ROWS_AT_ONCE), "--error-on-cleanup-failure"),
    ]
    done = subprocess.run(command, env=airflow_environment(settings), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise PlatformError(f"`airflow db clean` ended with exit status {done.returncode}", "See what it said above")


if __name__ == "__main__":
    try:
        main()
    except ShopstreamError as error:
        sys.exit(str(error))
