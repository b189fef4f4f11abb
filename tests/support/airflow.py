"""Run DAGs as ``airflow dags test`` does: the real tasks, in one process, without a scheduler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from include.platform.instance.environment import airflow_environment
from include.platform.services.connections import airflow_connections
from include.settings import REPOSITORY, Settings

_AIRFLOW = str(Path(sys.executable).with_name("airflow"))


def connection_variables(settings: Settings) -> dict[str, str]:
    """Return the platform's Connections as environment variables."""
    return {f"AIRFLOW_CONN_{one.pop('conn_id').upper()}": json.dumps(one) for one in airflow_connections(settings)}


def make_metadata(home: Path) -> Path:
    """Create and migrate a metadata database of Airflow, and return its file."""
    environment = {**os.environ, "AIRFLOW_HOME": str(home)}
    done = subprocess.run([_AIRFLOW, "db", "migrate"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "airflow.db"


class DagTest:
    """A running ``airflow dags test DAG --conf PARAMS``.

    Parameters
    ----------
    settings:
        The database and the Spark cluster that the DAG works with.
    metadata:
        A metadata database, of which this run gets a copy.
    home:
        A directory of its own, made here.
    variables:
        Of its environment, beside those of the platform: for example another Connection.
    """

    def __init__(
        self,
        settings: Settings,
        dag_id: str,
        params: Mapping[str, object] | None,
        *,
        metadata: Path,
        home: Path,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        home.mkdir()
        shutil.copy(metadata, home)
        url = f"sqlite:///{home / metadata.name}"
        environment = {
            **airflow_environment(settings),
            **connection_variables(settings),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url.replace("sqlite", "sqlite+aiosqlite"),
            **variables,
        }
        self.dag_id = dag_id
        self.metadata = home / metadata.name
        self._log = home / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [_AIRFLOW, "dags", "test", dag_id, "--conf", json.dumps(params or {})],
                env=environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """Return the output so far."""
        return self._log.read_text(errors="replace")

    def succeed(self, *, seconds: float) -> str:
        """Wait for the run to succeed, and return its log."""
        assert self.end(seconds=seconds) == 0, f"{self.dag_id} failed:\n{self.log[-8000:]}"
        return self.log

    def fail(self, *, seconds: float) -> str:
        """Wait for the run to fail, and return its log."""
        assert self.end(seconds=seconds) != 0, f"{self.dag_id} succeeded:\n{self.log[-8000:]}"
        return self.log

    def end(self, *, seconds: float) -> int:
        """Wait for the end of the run, and return 0 if it succeeded."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.dag_id} did not end within {seconds:.0f} s:\n{self.log[-8000:]}")

    def stop(self) -> None:
        """End the run if it is still active."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
