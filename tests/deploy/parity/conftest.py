"""Run the services of docker/compose.yaml on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.platform.services.airflow_api import AirflowApi
from include.platform.services.postgres import ensure_passwords
from include.settings import Settings
from tests.support.compose import DOCKER, read_environment
from tests.support.containers import Engine
from tests.support.postgres import temporary_home

# A machine with two cores may start all of Airflow at once, beside other work.
TIMEOUT_SECONDS = 600


class Deployment:
    """Running containers with their secrets, and the access that users and programs have from outside."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.secrets = engine.directory / "secrets"

    @property
    def api(self) -> AirflowApi:
        """Airflow's API as the administrator."""
        address = self.engine.containers["api-server"].address
        return AirflowApi(Settings(airflow_host=address, secrets=self.secrets), timeout_seconds=60)

    def deliver(self) -> None:
        """Deliver new events to the landing folder, without Airflow."""
        generator = [".venv/bin/python", "-m", "include.generator", "--rate", "200", "--duration", "2", "--seed", "9"]
        done = self.engine.execute("api-server", *generator)
        assert done.returncode == 0, done.stderr

    def query(self, statement: str, user: str = "shop_owner") -> list[tuple[Any, ...]]:
        """Query the analytics database over a verified TLS connection."""
        connection = psycopg2.connect(
            host="postgres",
            hostaddr=self.engine.containers["postgres"].address,
            dbname="shop",
            user=user,
            password=ensure_passwords(self.secrets / "pgpass-prepare")[user],
            sslmode="verify-full",
            sslrootcert=str(self.engine.directory / "volumes" / "ca" / "ca.crt"),
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()


@contextmanager
def deployment(
    services: list[str], knobs: Mapping[str, str] | None = None, scale: Mapping[str, int] | None = None
) -> Iterator[Deployment]:
    """Start services in the given order, and stop them all at the end."""
    with temporary_home() as home:
        home.chmod(0o755)
        subprocess.run([DOCKER / "secrets.sh", home / "secrets", home / ".env"], check=True, capture_output=True)
        engine = Engine(home, {**read_environment(home / ".env"), **(knobs or {})}, scale or {})
        try:
            engine.up(services, seconds=TIMEOUT_SECONDS)
            for name, container in engine.containers.items():
                if container.service != "prepare":
                    engine.wait_healthy(name, TIMEOUT_SECONDS)
            yield Deployment(engine)
        finally:
            engine.close()


@pytest.fixture(scope="session", autouse=True)
def _as_root() -> None:
    """Require root, which is needed to create namespaces."""
    import os

    assert os.geteuid() == 0, "these tests need root to create namespaces"


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a directory that other users may traverse."""
    with temporary_home() as home:
        yield home
