"""The cockpit in Airflow's API server, inside the test process: the real auth manager, real users, a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from include.settings import Settings
from tests.support import airflow_home
from tests.support.airflow import connection_variables

ROOT = "/shopstream"
API = f"{ROOT}/api/v1"
ROLES = {"vera": "Viewer", "otto": "Op", "paul": "Public"}


@dataclass(frozen=True)
class Server:
    """Airflow's API server and the tokens of its users, by name."""

    client: Any
    tokens: dict[str, str]

    def get(self, path: str, user: str | None = "vera", **options: Any) -> Any:
        """Ask for a path of the API as one of the users, with a token; or as nobody."""
        return self.send("GET", API + path, user, **options)

    def post(self, path: str, user: str | None = "otto", reason: str = "a test", **options: Any) -> Any:
        """Act as one of the users, with a token; or as nobody."""
        return self.send("POST", API + path, user, **{"json": {"reason": reason}, **options})

    def send(self, method: str, path: str, user: str | None, **options: Any) -> Any:
        """Any request, as one of the users, with a token; or as nobody."""
        headers = {**({"Authorization": f"Bearer {self.tokens[user]}"} if user else {}), **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **options)


def pytest_unconfigure() -> None:
    """Remove Airflow's home."""
    airflow_home.remove()


@pytest.fixture(scope="session")
def airflow_server(cluster: Settings) -> Iterator[Server]:
    """Airflow's whole application with the plugin, prepared as ``make up`` prepares it."""
    from include.platform.environment import settings_environment

    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings_environment(cluster).items():
            environment.setenv(name, value)
        yield from _serve(cluster)


def _serve(cluster: Settings) -> Iterator[Server]:
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    from include.airflow.bootstrap import bootstrap
    from include.airflow.users import make_user
    from include.platform.secrets import ADMIN, admin_password

    bootstrap(cluster)
    passwords = {name: make_user(name, role) for name, role in ROLES.items()} | {ADMIN: admin_password(cluster)}
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        tokens = {}
        for name, password in passwords.items():
            answer = client.post("/auth/token", json={"username": name, "password": password})
            assert answer.status_code == 201, answer.text
            tokens[name] = answer.json()["access_token"]
        # Some answers set cookies; a caller with a token has none.
        client.cookies.clear()
        yield Server(client, tokens)


@pytest.fixture
def server(airflow_server: Server, database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, with a fresh database behind it and nothing kept of the one before."""
    from include.airflow.cockpit.database import close_readers
    from include.airflow.cockpit.kept import kept
    from include.platform.environment import settings_environment

    for name, value in {**connection_variables(database), **settings_environment(database)}.items():
        monkeypatch.setenv(name, value)
    kept.clear()
    yield airflow_server
    close_readers()
    airflow_server.client.cookies.clear()
