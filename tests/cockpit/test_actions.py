"""Actions of users: their effects, the audit trail, repeated actions, and conflicts."""

from __future__ import annotations

import pytest

from include.db import one_row, transaction
from include.db.refresh import build_candidate, hold_candidate, override_candidate, publish_candidate, refresh_view
from include.db.views import view_names
from include.quality.overrides import active_for
from include.settings import Settings
from tests.cockpit.conftest import Server
from tests.support.stream import next_epoch
from tests.support.trust import actions, add_alert, add_miss, minutes_ago

VIEW = "mart_daily_kpis"


def _desired_state(settings: Settings) -> tuple[str, str]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT desired_state, requested_by FROM shop.stream_control")
        desired_state, requested_by = one_row(cursor)
        return desired_state, requested_by


def test_the_stream_is_paused_and_resumed(server: Server, database: Settings) -> None:
    next_epoch(database)
    assert server.get("/stream").json()["state"] == "running"
    paused = server.post("/stream/pause", reason="the disk is changed")
    assert (paused.status_code, paused.json()["state"], paused.json()["requested_by"]) == (200, "stopping", "otto")
    assert _desired_state(database) == ("stop", "otto")
    # The user who acted sees the change at once, because the cache is cleared.
    assert server.get("/stream").json()["desired_state"] == "stop"
    assert server.post("/stream/resume", "admin", reason="  it is changed ").json()["state"] == "running"
    assert _desired_state(database) == ("run", "admin")
    assert actions(database) == [
        ("otto", "stream.pause", "stream events", "the disk is changed"),
        ("admin", "stream.resume", "stream events", "it is changed"),
    ]


def test_pausing_twice_changes_nothing(server: Server, database: Settings) -> None:
    first, second = server.post("/stream/pause"), server.post("/stream/pause", "admin")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["requested_at"] == second.json()["requested_at"]
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
    # Draining again succeeds even if the driver has ended since.
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.runs SET ended_at = clock_timestamp()")
    assert server.post("/stream/drain").json()["state"] == "drained"


def test_an_alert_is_acknowledged_by_one_user_and_resolved(server: Server, database: Settings) -> None:
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
        f"otto has already acknowledged alert {alert_id}. Talk to otto.",
    )

    over = server.post(f"/alerts/{alert_id}/resolve", "admin", reason="a new disk")
    assert over.json()["resolution"] == "a new disk (admin)"
    assert server.post(f"/alerts/{alert_id}/resolve", "admin", reason="a new disk").json() == over.json()
    refused = server.post(f"/alerts/{alert_id}/resolve", reason="another reason")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"alert {alert_id} is already resolved: a new disk (admin).",
    )
    assert server.post(f"/alerts/{alert_id}/acknowledge").status_code == 409
    assert [(actor, action) for actor, action, *_ in actions(database)] == [
        ("otto", "alert.acknowledge"),
        ("otto", "alert.acknowledge"),
        ("admin", "alert.resolve"),
    ]


def test_an_alert_that_recovered_cannot_be_resolved_manually(server: Server, database: Settings) -> None:
    alert_id = add_alert(database, resolved_at=minutes_ago(1), resolution="recovered")
    answer = server.post(f"/alerts/{alert_id}/resolve")
    assert (answer.status_code, answer.json()["detail"]) == (409, f"alert {alert_id} is already resolved: recovered.")


def test_a_miss_that_is_over_can_be_acknowledged(server: Server, database: Settings) -> None:
    miss_id = add_miss(database)
    noted = server.post(f"/objectives/misses/{miss_id}/acknowledge", reason="a file of 2 GiB")
    assert (noted.json()["acknowledged_by"], noted.json()["note"]) == ("otto", "a file of 2 GiB")
    assert server.post(f"/objectives/misses/{miss_id}/acknowledge", "admin").status_code == 409
    assert actions(database) == [("otto", "miss.acknowledge", f"miss {miss_id}", "a file of 2 GiB")]


def _hold(settings: Settings, *names: str) -> None:
    for name in names:
        candidate = build_candidate(settings.dsn("ops"), name)
        hold_candidate(settings.dsn("ops"), candidate.refresh_id, "events: drift", ["events/drift"])


def _view(server: Server, name: str) -> dict[str, object]:
    return next(view for view in server.get("/views").json() if view["view_name"] == name)


def test_a_held_view_is_published_with_an_override(server: Server, database: Settings) -> None:
    ops = database.dsn("ops")
    refresh_view(ops, VIEW)
    _hold(database, VIEW)
    assert _view(server, VIEW)["is_held"] is True
    done = server.post(f"/views/{VIEW}/publish", reason="a sale, I asked the shop")
    assert done.status_code == 200, done.text
    decided = {"pending_by": "otto", "pending_reason": "a sale, I asked the shop", "pending_until": None}
    assert {key: done.json()[key] for key in decided} == decided
    assert server.post(f"/views/{VIEW}/publish", reason="a sale, I asked the shop").json() == done.json()
    (override,) = active_for(ops, VIEW)
    assert (override.covers, override.granted_by) == ({"events/drift"}, "otto")
    # Do what the next refresh does.
    candidate = build_candidate(ops, VIEW)
    override_candidate(ops, candidate.refresh_id, override.override_id, "events: drift")
    publish_candidate(ops, VIEW, candidate.refresh_id)
    server.post("/stream/pause")
    shown = _view(server, VIEW)
    assert {key: shown[key] for key in ("is_held", "overrode", "overridden_by", "override_reason", "pending_by")} == {
        "is_held": False,
        "overrode": "events: drift",
        "overridden_by": "otto",
        "override_reason": "a sale, I asked the shop",
        "pending_by": None,
    }
    assert actions(database)[0][:3] == ("otto", "view.publish", f"view {VIEW}")
    assert len(actions(database)) == 2, "repeating the action changes nothing"


def test_an_override_for_all_views_lasts_hours_and_can_be_revoked(server: Server, database: Settings) -> None:
    _hold(database, *view_names())
    shown = server.post("/views/publish", json={"reason": "a sale", "hours": 2}).json()
    assert [view["pending_by"] for view in shown] == ["otto"] * len(view_names())
    assert all(view["pending_until"] for view in shown)
    again = server.post(f"/views/{VIEW}/hold", "admin", reason="the sale is over").json()
    assert (again["is_held"], again["pending_by"]) == (True, None)
    assert [(actor, action, subject) for actor, action, subject, _ in actions(database)] == [
        ("otto", "view.publish", "all views"),
        ("admin", "view.hold", f"view {VIEW}"),
    ]


def test_a_view_that_is_not_held_cannot_be_overridden(server: Server, database: Settings) -> None:
    refresh_view(database.dsn("ops"), VIEW)
    for path, detail in ((f"/views/{VIEW}/publish", f"shop.{VIEW} is not held back"), ("/views/publish", "no view is")):
        answer = server.post(path)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:shopstream:problem:conflict")
        assert answer.json()["detail"].startswith(detail)
    for act in ("publish", "hold"):
        answer = server.post(f"/views/mart_daily_kpi/{act}")
        assert (answer.status_code, f"Perhaps {VIEW} is meant" in answer.json()["detail"]) == (404, True)
    for hours in (0, 25, "many"):
        assert server.post(f"/views/{VIEW}/publish", json={"reason": "a sale", "hours": hours}).status_code == 422
    assert actions(database) == []


@pytest.mark.parametrize("path", ["/alerts/9/acknowledge", "/alerts/9/resolve", "/objectives/misses/9/acknowledge"])
def test_actions_on_missing_objects_are_not_found(server: Server, database: Settings, path: str) -> None:
    answer = server.post(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert actions(database) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "  a  "},
        {"reason": "x" * 1001},
        {"reason": 7},
        {"reason": "why", "desired_state": "run"},
    ],
)
def test_every_action_needs_a_reason(server: Server, database: Settings, body: dict[str, object]) -> None:
    answer = server.post("/stream/pause", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["name"].startswith("body.")
    assert actions(database) == []


def test_viewers_can_read_the_audit_trail(server: Server) -> None:
    for reason in ("one reason", "<script>alert(1)</script>"):
        server.post("/stream/pause", reason=reason)
        server.post("/stream/resume", reason=reason)
    page = server.get("/actions?limit=3").json()
    assert [item["action"] for item in page["items"]] == ["stream.resume", "stream.pause", "stream.resume"]
    assert page["items"][0]["reason"] == "<script>alert(1)</script>"
    rest = server.get(f"/actions?before={page['next']}").json()
    assert ([item["action"] for item in rest["items"]], rest["next"]) == (["stream.pause"], None)
