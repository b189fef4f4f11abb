"""What people do: what becomes of it, the audit trail, what is done twice, and what contradicts."""

from __future__ import annotations

import pytest

from include.db import one_row, transaction
from include.settings import Settings
from tests.cockpit.conftest import Server
from tests.support.stream import next_epoch
from tests.support.trust import actions, add_alert, add_miss, minutes_ago


def _wish(settings: Settings) -> tuple[str, str]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT wish, wished_by FROM shop.stream_control")
        wish, wished_by = one_row(cursor)
        return wish, wished_by


def test_the_stream_is_paused_and_resumed(server: Server, database: Settings) -> None:
    next_epoch(database)
    assert server.get("/stream").json()["state"] == "running"
    paused = server.post("/stream/pause", reason="the disk is changed")
    assert (paused.status_code, paused.json()["state"], paused.json()["wished_by"]) == (200, "stopping", "otto")
    assert _wish(database) == ("stop", "otto")
    # Who acted sees it at once, whatever is kept for the others.
    assert server.get("/stream").json()["wish"] == "stop"
    assert server.post("/stream/resume", "admin", reason="  it is changed ").json()["state"] == "running"
    assert _wish(database) == ("run", "admin")
    assert actions(database) == [
        ("otto", "stream.pause", "stream events", "the disk is changed"),
        ("admin", "stream.resume", "stream events", "it is changed"),
    ]


def test_pausing_twice_is_pausing_once(server: Server, database: Settings) -> None:
    first, second = server.post("/stream/pause"), server.post("/stream/pause", "admin")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["wished_at"] == second.json()["wished_at"]
    assert [actor for actor, *_ in actions(database)] == ["otto"]
    assert server.post("/stream/resume").status_code == server.post("/stream/resume").status_code == 200
    assert len(actions(database)) == 2


def test_a_stream_that_does_not_run_cannot_drain(server: Server, database: Settings) -> None:
    answer = server.post("/stream/drain")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:shopstream:problem:conflict")
    assert "Resume it first" in answer.json()["detail"]
    assert actions(database) == []
    next_epoch(database)
    assert server.post("/stream/drain").json()["state"] == "draining"
    # Also when it has ended since.
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.runs SET ended_at = clock_timestamp()")
    assert server.post("/stream/drain").json()["state"] == "drained"


def test_an_alert_is_acknowledged_by_one_and_resolved(server: Server, database: Settings) -> None:
    alert_id = add_alert(database, title="the view is stale")
    taken = server.post(f"/alerts/{alert_id}/acknowledge", reason="I look at it").json()
    assert (taken["acknowledged_by"], taken["note"]) == ("otto", "I look at it")
    again = server.post(f"/alerts/{alert_id}/acknowledge", reason="I look at it").json()
    assert again == taken
    mended = server.post(f"/alerts/{alert_id}/acknowledge", reason="found: the disk").json()
    assert (mended["note"], mended["acknowledged_at"]) == ("found: the disk", taken["acknowledged_at"])

    refused = server.post(f"/alerts/{alert_id}/acknowledge", "admin")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"otto has acknowledged alert {alert_id} already. Talk to otto.",
    )

    over = server.post(f"/alerts/{alert_id}/resolve", "admin", reason="a new disk")
    assert over.json()["resolution"] == "a new disk (admin)"
    assert server.post(f"/alerts/{alert_id}/resolve", "admin", reason="a new disk").json() == over.json()
    refused = server.post(f"/alerts/{alert_id}/resolve", reason="another reason")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"alert {alert_id} is over already: a new disk (admin).",
    )
    assert server.post(f"/alerts/{alert_id}/acknowledge").status_code == 409
    assert [(actor, action) for actor, action, *_ in actions(database)] == [
        ("otto", "alert.acknowledge"),
        ("otto", "alert.acknowledge"),
        ("admin", "alert.resolve"),
    ]


def test_an_alert_that_ended_by_itself_is_not_resolved_by_hand(server: Server, database: Settings) -> None:
    alert_id = add_alert(database, resolved_at=minutes_ago(1), resolution="recovered")
    answer = server.post(f"/alerts/{alert_id}/resolve")
    assert (answer.status_code, answer.json()["detail"]) == (409, f"alert {alert_id} is over already: recovered.")


def test_a_miss_is_annotated_also_when_it_is_over(server: Server, database: Settings) -> None:
    miss_id = add_miss(database)
    noted = server.post(f"/objectives/misses/{miss_id}/acknowledge", reason="a file of 2 GiB")
    assert (noted.json()["acknowledged_by"], noted.json()["note"]) == ("otto", "a file of 2 GiB")
    assert server.post(f"/objectives/misses/{miss_id}/acknowledge", "admin").status_code == 409
    assert actions(database) == [("otto", "miss.acknowledge", f"miss {miss_id}", "a file of 2 GiB")]


@pytest.mark.parametrize("path", ["/alerts/9/acknowledge", "/alerts/9/resolve", "/objectives/misses/9/acknowledge"])
def test_what_is_not_there_cannot_be_acted_upon(server: Server, database: Settings, path: str) -> None:
    answer = server.post(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert actions(database) == []


@pytest.mark.parametrize(
    "body",
    [{}, {"reason": ""}, {"reason": "  a  "}, {"reason": "x" * 1001}, {"reason": 7}, {"reason": "why", "wish": "run"}],
)
def test_every_act_needs_a_reason(server: Server, database: Settings, body: dict[str, object]) -> None:
    answer = server.post("/stream/pause", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["name"].startswith("body.")
    assert actions(database) == []


def test_the_audit_trail_is_read_by_viewers(server: Server) -> None:
    for reason in ("one reason", "<script>alert(1)</script>"):
        server.post("/stream/pause", reason=reason)
        server.post("/stream/resume", reason=reason)
    page = server.get("/actions?limit=3").json()
    assert [item["action"] for item in page["items"]] == ["stream.resume", "stream.pause", "stream.resume"]
    assert page["items"][0]["reason"] == "<script>alert(1)</script>"
    rest = server.get(f"/actions?before={page['next']}").json()
    assert ([item["action"] for item in rest["items"]], rest["next"]) == (["stream.pause"], None)
