"""Start a second driver of the same stream by hand, as a person in a hurry might."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil

from include.platform.installation.java import java_home
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.settings import REPOSITORY, Settings
from tests.programs.chaos.instance import Identity, Instance
from tests.programs.chaos.waiting import wait_for
from tests.support.sockets import free_ports

_START_SECONDS = 90.0
_STOP_SECONDS = 20.0


class Rival:
    """A driver outside Airflow and outside the Spark cluster.

    Parameters
    ----------
    instance:
        Whose files and tables it takes.
    has_own_checkpoint:
        Whether its checkpoint lies elsewhere than the instance's.
    """

    def __init__(self, instance: Instance, *, has_own_checkpoint: bool) -> None:
        self._instance = instance
        settings = instance.settings
        (port,) = free_ports(1)
        changes: dict[str, object] = {"spark_driver_ui_port": port, "landing": settings.landing_dir}
        if has_own_checkpoint:
            changes |= {
                "home": _other_home(settings),
                "database_host": str(settings.socket_dir),
                "java_home": java_home(settings),
            }
        self._settings = settings.model_copy(update=changes)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Rival:
        with (self._instance.settings.log_dir / "chaos-rival.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(package_directory("pyspark") / "bin" / "spark-submit"),
                    *("--master", "local[2]", "--driver-memory", "700m"),
                    *("--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1"),
                    str(REPOSITORY / "jobs" / "stream_events.py"),
                ],
                cwd=self._instance.settings.log_dir,
                env=spark_environment(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return

    @property
    def runs(self) -> bool:
        """Return whether it is still running."""
        return self._process is not None and self._process.poll() is None

    def wait_for_takeover(self) -> Identity:
        """Wait until it holds an epoch."""
        return wait_for(self._epoch, seconds=_START_SECONDS, what="the second driver to take an epoch")

    def _epoch(self) -> Identity | None:
        assert self._process is not None
        pids = {self._process.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            pids |= {one.pid for one in psutil.Process(self._process.pid).children(recursive=True)}
        rows = self._instance.rows(
            "SELECT pid, epoch FROM shop.runs WHERE pid = ANY(%(pids)s) AND started_at > %(since)s"
            " ORDER BY epoch DESC LIMIT 1",
            pids=list(pids),
            since=_started_at(self._process.pid),
        )
        return Identity(*rows[0]) if rows else None


def _started_at(pid: int) -> datetime:
    return datetime.fromtimestamp(psutil.Process(pid).create_time() - 1, UTC)


def _other_home(settings: Settings) -> Path:
    """Return a home that shares only the passwords."""
    home = settings.root / "rival"
    home.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (home / "secrets").symlink_to(settings.secrets_dir)
    return home
