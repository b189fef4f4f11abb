"""Run the cockpit in Airflow's API server inside the test process, with the real auth manager, users and database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from include.settings import Settings
from tests.support import airflow_home
from tests.support.airflow import connection_variables
from tests.support.sockets import free_ports
from tests.support.waiting import wait_until

ROOT = "/shopstream"
API = f"{ROOT}/api/v1"
ROLES = {"vera": "Viewer", "otto": "Op", "paul": "Public"}


@dataclass(frozen=True)
class Server:
    """Airflow's API server and the tokens of its users, by name."""

    client: Any
    tokens: dict[str, str]

    def get(self, path: str, user: str | None = "vera", **options: Any) -> Any:
        """Read an API path with the token of a user, or anonymously."""
        return self.send("GET", API + path, user, **options)

    def post(self, path: str, user: str | None = "otto", reason: str = "a test", **options: Any) -> Any:
        """Send an action with the token of a user, or anonymously."""
        return self.send("POST", API + path, user, **{"json": {"reason": reason}, **options})

    def send(self, method: str, path: str, user: str | None, **options: Any) -> Any:
        """Send any request with the token of a user, or anonymously."""
        headers = {**({"Authorization": f"Bearer {self.tokens[user]}"} if user else {}), **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **options)


def pytest_unconfigure() -> None:
    """Remove Airflow's home."""
    airflow_home.remove()


@pytest.fixture(scope="session")
def airflow_server(cluster: Settings) -> Iterator[Server]:
    """Serve Airflow's whole application with the plugin, prepared as ``make up`` prepares it."""
    from include.platform.instance.environment import settings_environment

    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings_environment(cluster).items():
            environment.setenv(name, value)
        yield from _serve(cluster)


def _serve(cluster: Settings) -> Iterator[Server]:
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    from include.airflow.bootstrap import bootstrap
    from include.airflow.users import make_user
    from include.platform.instance.secrets import ADMIN, admin_password

    bootstrap(cluster)
    passwords = {name: make_user(name, role) for name, role in ROLES.items()} | {ADMIN: admin_password(cluster)}
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        tokens = {}
        for name, password in passwords.items():
            answer = client.post("/auth/token", json={"username": name, "password": password})
            assert answer.status_code == 201, answer.text
            tokens[name] = answer.json()["access_token"]
        # Some responses set cookies, but callers with a token have none.
        client.cookies.clear()
        yield Server(client, tokens)


@pytest.fixture
def server(airflow_server: Server, database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Provide the server with a fresh database and an empty cache."""
    from include.airflow.cockpit.database import close_readers
    from include.airflow.cockpit.responses.cache import cache
    from include.platform.instance.environment import settings_environment

    for name, value in {**connection_variables(database), **settings_environment(database)}.items():
        monkeypatch.setenv(name, value)
    cache.clear()
    yield airflow_server
    close_readers()
    airflow_server.client.cookies.clear()


@pytest.fixture
def known_dag(airflow_server: Server) -> Iterator[None]:
    """Register the DAG ``retract_delivery`` in Airflow."""
    from tests.support.retraction_runs import known_dag

    with known_dag():
        yield


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Let the server listen on a port, and return its URL."""
    (port,) = free_ports(1)
    listening = uvicorn.Server(uvicorn.Config(server.client.app, port=port, lifespan="off", log_level="error"))
    thread = threading.Thread(target=listening.run)
    thread.start()
    wait_until(lambda: listening.started, seconds=30, what="the server to listen")
    yield f"http://127.0.0.1:{port}"
    listening.should_exit = True
    thread.join(30)
