"""Run a whole platform for the end-to-end tests, with its own home and ports, by the commands of users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from include.platform.instance.environment import INSTANCE_VARIABLE
from include.platform.instance.secrets import admin_password
from include.settings import REPOSITORY, Settings
from tests.support.sockets import free_ports

_PORTS = (
    "SHOPSTREAM_PORT",
    "SHOPSTREAM_SPARK_MASTER_PORT",
    "SHOPSTREAM_SPARK_REST_PORT",
    "SHOPSTREAM_SPARK_MASTER_UI_PORT",
    "SHOPSTREAM_SPARK_WORKER_PORT",
    "SHOPSTREAM_SPARK_WORKER_UI_PORT",
    "SHOPSTREAM_SPARK_DRIVER_UI_PORT",
    "SHOPSTREAM_METRICS_PORT",
)


class Platform:
    """One instance below ``home``.

    Parameters
    ----------
    become:
        What to put before each command, so that another user runs it; see :mod:`tests.support.users`.
    umask:
        With which the commands start.
    """

    def __init__(self, home: Path, *, become: Sequence[str] = (), umask: int = -1) -> None:
        self._become, self._umask = become, umask
        ports = {name: str(port) for name, port in zip(_PORTS, free_ports(len(_PORTS)), strict=True)}
        self.variables = {"SHOPSTREAM_HOME": str(home), **ports}
        self.settings = Settings.from_env(self.variables)

    @property
    def url(self) -> str:
        """Return the URL of the Airflow UI."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def password(self) -> str:
        """Return the password of the user ``admin``."""
        return admin_password(self.settings)

    def environment(self) -> dict[str, str]:
        """Return the caller's environment with the settings of this instance and no others."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("SHOPSTREAM_")}
        return {**others, **self.variables}

    def run(self, *arguments: str, timeout_seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``python -m`` with the arguments; the caller checks the exit status."""
        return subprocess.run(
            [*self._become, sys.executable, "-m", *arguments],
            cwd=REPOSITORY,
            env=self.environment(),
            umask=self._umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )

    def succeed(self, *arguments: str, timeout_seconds: float = 300) -> str:
        """Run ``python -m`` with the arguments, which must succeed, and return its output."""
        done = self.run(*arguments, timeout_seconds=timeout_seconds)
        assert done.returncode == 0, f"{' '.join(arguments)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self) -> str:
        """Run ``make up``."""
        return self.succeed("include.platform", "up", timeout_seconds=600)

    def status(self) -> dict[str, Any]:
        """Run ``make status JSON=1``."""
        status: dict[str, Any] = json.loads(self.run("include.platform", "status", "--json").stdout)
        return status

    def pids(self) -> list[int]:
        """Return every process that has this home in its environment or on its command line."""
        home = str(self.settings.root)
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(INSTANCE_VARIABLE) == home or any(
                    home in one for one in process.cmdline()
                )
            except psutil.Error:
                continue
            if is_ours:
                found.append(process.pid)
        return found
