"""With a hung database, requests of the cockpit time out, and Airflow keeps its threads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from include.airflow.cockpit.database import close_readers
from include.airflow.cockpit.responses.cache import cache
from include.settings import Settings
from tests.cockpit.conftest import API, Server
from tests.support.airflow import connection_variables

CALLERS = 45
# One request computes the response, and all others wait for it.
PATH = "/overview"


class Stalling:
    """A TCP proxy in front of PostgreSQL that can stop forwarding without closing connections."""

    def __init__(self, socket_path: str) -> None:
        self._behind = socket_path
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Stop forwarding, but continue to accept connections."""
        self._flows.clear()

    def close(self) -> None:
        """Resume forwarding, and accept no further connections."""
        self._flows.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._behind)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                self._flows.wait()
                sink.sendall(content)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(server: Server, database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stalling]:
    """Route the cockpit's connections through a proxy that can stall."""
    found = {name: json.loads(value) for name, value in connection_variables(database).items()}
    shop = found["AIRFLOW_CONN_SHOP_QUALITY"]
    stalling = Stalling(f"{shop['host']}/.s.PGSQL.{shop['port']}")
    for name, one in found.items():
        if one.get("conn_type") == "postgres":
            one |= {"host": "127.0.0.1", "port": stalling.port}
            monkeypatch.setenv(name, json.dumps(one))
    close_readers()
    cache.clear()
    yield stalling
    stalling.close()


def test_a_hung_database_leaves_threads_to_airflow(server: Server, proxy: Stalling) -> None:
    assert server.get("/overview").status_code == 200, "the proxy forwards requests"
    cache.clear()
    proxy.stall()
    headers = {"Authorization": f"Bearer {server.tokens['vera']}"}

    async def ask() -> tuple[float, int, list[tuple[int, float]]]:
        transport = httpx.ASGITransport(app=server.client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow.test", timeout=60) as client:

            async def call() -> tuple[int, float]:
                began = time.monotonic()
                answer = await client.get(API + PATH, headers=headers)
                return answer.status_code, time.monotonic() - began

            callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
            await asyncio.sleep(1)  # By now all of them are being served, or wait for a slot.
            began = time.monotonic()
            unrelated = await client.get("/api/v2/plugins", headers=headers)
            took = time.monotonic() - began
            return took, unrelated.status_code, await asyncio.gather(*callers)

    took, status, answers = asyncio.run(ask())
    assert (status, took < 3) == (200, True), took
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 30


def test_the_cockpit_recovers_with_the_database(server: Server, proxy: Stalling) -> None:
    assert server.get("/views").status_code == 200
    cache.clear()
    proxy.stall()
    began = time.monotonic()
    answer = server.get("/views")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:shopstream:problem:unavailable")
    assert time.monotonic() - began < 10
    assert "127.0.0.1" not in answer.text, "a viewer learns no host, port or role"
    proxy.close()
    assert server.get("/me").status_code == 200


def test_waiting_for_a_cached_value_times_out() -> None:
    from include.airflow.cockpit.responses.cache import Cache
    from include.errors import PlatformError

    values, go_on, began = Cache(timeout_seconds=0.2), threading.Event(), threading.Event()

    def make() -> int:
        began.set()
        go_on.wait(10)
        return 1

    maker = threading.Thread(target=values.get, args=("key", 1.0, make))
    maker.start()
    began.wait(10)
    with pytest.raises(PlatformError, match="has not answered"):
        values.get("key", 1.0, make)
    go_on.set()
    maker.join(10)
    assert values.get("key", 1.0, make) == 1
