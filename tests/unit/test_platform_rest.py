"""Tests of the session with Airflow's REST API, against a server whose tokens expire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.errors import PlatformError
from include.platform.instance.secrets import admin_password
from include.platform.services.airflow_api import AirflowApi
from include.settings import Settings


class Server(ThreadingHTTPServer):
    """Issue tokens as long as the user is known; only the newest token is valid."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens = 0
        self.knows_the_user = True


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens += 1
        self._answer(201 if self.server.knows_the_user else 401, {"access_token": str(self.server.tokens)})

    def do_GET(self) -> None:
        is_good = self.headers["Authorization"] == f"Bearer {self.server.tokens}"
        self._answer(200 if is_good else 401, {"dags": []})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> AirflowApi:
    settings = Settings(home=tmp_path, port=server.server_port)
    settings.secrets_dir.mkdir()
    admin_password(settings)
    return AirflowApi(settings)


def test_a_token_is_used_until_it_expires_and_then_renewed(server: Server, api: AirflowApi) -> None:
    assert api.dags() == api.dags() == {}
    assert server.tokens == 1
    server.tokens = 7
    assert api.dags() == {}
    assert server.tokens == 8


def test_a_refused_password_is_reported_with_its_file(server: Server, api: AirflowApi) -> None:
    api.dags()
    server.tokens, server.knows_the_user = 7, False
    with pytest.raises(PlatformError, match=r"refuses the password of 'admin' in .*admin-password"):
        api.dags()
