"""The examples of docs/api.md, run with curl against the server behind a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from include.platform.secrets import admin_password_file
from include.settings import Settings
from tests.cockpit.conftest import Server
from tests.support.api_page import run_examples
from tests.support.rows import load_batch, make_event
from tests.support.sockets import free_ports
from tests.support.trust import actions, add, add_alert, add_quality_run, minutes_ago
from tests.support.waiting import wait_until


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The address of the server, while it listens."""
    (port,) = free_ports(1)
    listening = uvicorn.Server(uvicorn.Config(server.client.app, port=port, lifespan="off", log_level="error"))
    thread = threading.Thread(target=listening.run)
    thread.start()
    wait_until(lambda: listening.started, seconds=30, what="the server to listen")
    yield f"http://127.0.0.1:{port}"
    listening.should_exit = True
    thread.join(30)


def test_every_example_does_what_it_says(url: str, database: Settings, cluster: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    for number in range(3):
        add(
            database,
            "files",
            "file_id",
            name=f"{number}.csv",
            size_bytes=9,
            arrived_at=minutes_ago(1),
            state="quarantined",
            settled_at=minutes_ago(0),
            fault="not_utf8",
        )
    add_quality_run(database)
    alert_id = add_alert(database)

    me, overview, files, again, acted, alert, problem = run_examples(url, admin_password_file(cluster))

    assert json.loads(me) == {"name": "admin", "can_act": True}
    assert overview.splitlines()[0] == "EUR 10.00 today, 10.00 in the last hour"
    assert files.splitlines() == ["2.csv not_utf8", "1.csv not_utf8", "0.csv not_utf8"]
    assert again == "304"
    assert [item["action"] for item in json.loads(acted)["items"]] == ["stream.resume", "stream.pause"]
    assert alert.endswith("}")
    assert json.loads(problem)["errors"][0]["name"] == "query.limit"
    assert [action for _, action, *_ in actions(database)] == [
        "stream.pause",
        "stream.resume",
        "alert.acknowledge",
        "alert.resolve",
    ]
    assert actions(database)[-1] == ("admin", "alert.resolve", f"alert {alert_id}", "the sender has mended its files")
