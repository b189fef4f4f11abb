"""Run the examples of docs/api.md with curl, against the server on a real socket."""

from __future__ import annotations

import json

from include.platform.instance.secrets import admin_password_file
from include.settings import Settings
from tests.support.api_page import run_examples
from tests.support.rows import load_batch, make_event
from tests.support.trust import actions, add, add_alert, add_quality_run, minutes_ago


def test_every_example_does_what_it_says(url: str, database: Settings, cluster: Settings, known_dag: None) -> None:
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
            finished_at=minutes_ago(0),
            fault="not_utf8",
        )
    add_quality_run(database)
    alert_id = add_alert(database)

    me, overview, files, again, acted, alert, asked, problem = run_examples(url, admin_password_file(cluster))

    assert json.loads(me) == {"name": "admin", "can_act": True}
    assert overview.splitlines()[0] == "EUR 10.00 today, 10.00 in the last hour"
    assert files.splitlines() == ["2.csv not_utf8", "1.csv not_utf8", "0.csv not_utf8"]
    assert again == "304"
    assert [item["action"] for item in json.loads(acted)["items"]] == ["stream.resume", "stream.pause"]
    assert alert.endswith("}")
    assert asked == "previewing"
    assert json.loads(problem)["errors"][0]["name"] == "query.limit"
    assert [action for _, action, *_ in actions(database)] == [
        "stream.pause",
        "stream.resume",
        "alert.acknowledge",
        "alert.resolve",
        "file.retract",
    ]
    assert actions(database)[-2] == ("admin", "alert.resolve", f"alert {alert_id}", "the sender has mended its files")
