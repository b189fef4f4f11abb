"""Remove Airflow's own records that are past retention: ``python -m include.platform.services.airflow_records``.

Airflow itself keeps the records of every run for ever.

Finished runs, and the records that belong to them, are deleted through the REST API. ``airflow db clean`` would go by
the start of a run, and a run of the stream lasts for weeks. That command removes only the records that belong to no
run. No task could call it, since tasks have no access to Airflow's database.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.errors import PlatformError, ShopstreamError
from include.platform.instance.environment import airflow_environment, base_environment
from include.platform.services.airflow_api import AirflowApi
from include.settings import REPOSITORY, Settings

EVERY = timedelta(days=1)

_OF_NO_RUN = ("log", "job", "import_error", "callback")
_ROWS_AT_ONCE = 10_000
# A page of a hundred runs is deleted in one call.
_CALL_SECONDS = 120.0


class RecordsCleaner:
    """Start the cleanup once a day, one process at a time.

    A file holds the time of the last cleanup, so the interval survives restarts of the caller.

    Parameters
    ----------
    settings:
        Settings of the instance.
    command:
        The command to start; by default this module.
    """

    def __init__(self, settings: Settings, command: tuple[str, ...] = (sys.executable, "-m", __name__)) -> None:
        self._settings = settings
        self._command = command
        self._stamp = settings.root / "airflow" / "cleaned"
        self._process: subprocess.Popen[bytes] | None = None

    def clean_when_due(self) -> None:
        """Check on the running cleanup, or start one if it is due; return without waiting for it.

        Raises
        ------
        PlatformError
            When the last cleanup failed; a later call starts it again.
        """
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            if status:
                raise PlatformError(
                    f"Airflow's records that are past retention were not removed: exit status {status}",
                    "Its output is above; the cleanup is tried again",
                )
            self._stamp.touch()
        elif not self._stamp.exists():
            # A new instance has nothing to remove yet.
            self._stamp.touch()
        elif time.time() - self._stamp.stat().st_mtime >= EVERY.total_seconds():
            self._process = subprocess.Popen(
                self._command, cwd=REPOSITORY, env=base_environment(self._settings), stdin=subprocess.DEVNULL
            )


def main() -> None:
    """Remove the records that are past retention.

    Raises
    ------
    PlatformError
        When Airflow refuses or fails.
    """
    settings = Settings.from_env()
    before = datetime.now(UTC) - timedelta(days=settings.retention_days)
    deleted = AirflowApi(settings, timeout_seconds=_CALL_SECONDS).delete_runs(before)
    print(f"deleted {deleted:,} runs that ended before {before:%Y-%m-%d %H:%M} UTC")
    command = [
        *(str(Path(sys.executable).with_name("airflow")), "db", "clean", "--yes", "--skip-archive"),
        *("--clean-before-timestamp", before.isoformat(), "--tables", ",".join(_OF_NO_RUN)),
        *("--batch-size", str(_ROWS_AT_ONCE), "--error-on-cleanup-failure"),
    ]
    done = subprocess.run(command, env=airflow_environment(settings), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise PlatformError(f"`airflow db clean` ended with exit status {done.returncode}", "See its output above")


if __name__ == "__main__":
    try:
        main()
    except ShopstreamError as error:
        sys.exit(str(error))
