"""Retraction of a delivery through the API: the request, the dry run, the answer of a user, and the lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.airflow.approval import approver
from include.airflow.retraction_runs import DAG_ID
from include.airflow.tasks import retraction
from include.db import transaction
from include.db.facts import advance_facts
from include.db.refresh import refresh_view
from include.retraction import Selection, retract
from include.settings import Settings
from tests.cockpit.conftest import Server
from tests.support.retraction_runs import RunningTask
from tests.support.rows import load_batch, make_event
from tests.support.trust import actions

REQUESTS = "/retractions/requests"


def _request(server: Server, file_id: int = 1, **options: Any) -> str:
    asked = server.post(f"/files/{file_id}/retract", reason="wrong prices", **options)
    assert asked.status_code == 202, asked.text
    return str(asked.json()["dag_run_id"])


def _preview(server: Server, run_id: str) -> None:
    """Make the dry run with the task's own code, and let the next task wait for an answer."""
    params = server.send("GET", f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}", "otto").json()["conf"]
    task = RunningTask(run_id, "preview")
    task.ends("success", retraction.preview(timeout_seconds=60, params=params, ti=task))
    RunningTask(run_id, "approve").asks()


def _published(settings: Settings) -> None:
    advance_facts(settings.dsn("ops"))
    refresh_view(settings.dsn("ops"), "mart_daily_kpis")


def test_a_request_starts_the_dag_that_asks_for_an_approval(
    server: Server, known_dag: None, database: Settings
) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    answer = server.post("/files/1/retract", reason="wrong prices")
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["dag_run_id"]
    run = server.send("GET", f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}", "otto").json()
    assert run["conf"] == {"file_id": 1, "reason": "wrong prices"}
    assert run["triggering_user_name"] == "otto"
    assert answer.json()["approval_url"].startswith(f"http://airflow.test/dags/{DAG_ID}/runs/")
    assert actions(database) == [("otto", "file.retract", "file 1 (prices.csv)", "wrong prices")]
    (listed,) = server.get(REQUESTS).json()
    assert (listed["dag_run_id"], listed["phase"], listed["requested_by"]) == (run_id, "previewing", "otto")
    assert (listed["file_name"], listed["reason"], listed["selection"]) == (
        "prices.csv",
        "wrong prices",
        {"file_id": 1},
    )


def test_a_file_has_one_request_at_a_time(server: Server, known_dag: None, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    assert _request(server) == _request(server, user="admin")
    assert len(actions(database)) == 1
    assert len(server.get(REQUESTS).json()) == 1


def test_the_dry_run_is_shown_and_approved_in_the_name_of_the_user(
    server: Server, known_dag: None, database: Settings
) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    day = datetime.now(UTC).date().isoformat()
    bought = {"event_type": "purchase", "order_id": "1", "unit_price": "100.00", "quantity": 1}
    load_batch(database.dsn("owner"), [make_event(**bought)], name="good.csv")
    load_batch(database.dsn("owner"), [make_event(**{**bought, "order_id": "2"})], name="prices.csv")
    _published(database)
    run_id = _request(server, file_id=2)
    early = server.post(f"{REQUESTS}/{run_id}/approve")
    assert (early.status_code, "its dry run is not complete" in early.json()["detail"]) == (409, True)
    _preview(server, run_id)

    shown = server.get(f"{REQUESTS}/{run_id}").json()
    assert (shown["phase"], shown["answered_by"], shown["retraction"]) == ("waiting", None, None)
    assert shown["dry_run"]["brought"][0].startswith("file 2 (prices.csv): 1 rows read = 1 accepted")
    (change,) = [one for one in shown["dry_run"]["changes"] if one["view_name"] == "mart_daily_kpis"]
    assert change["key"]["day"] == day
    assert (change["before"]["revenue"], change["after"]["revenue"]) == ("200.00", "100.00")
    assert shown["dry_run"]["rows"]["mart_daily_kpis"] == 1

    approved = server.post(f"{REQUESTS}/{run_id}/approve", "admin", reason="I have compared it with the shop")
    assert approved.status_code == 200, approved.text
    assert (approved.json()["phase"], approved.json()["answered_by"]) == ("retracting", "admin")
    again = server.post(f"{REQUESTS}/{run_id}/approve", "admin", reason="I have compared it with the shop")
    assert again.json() == approved.json()
    for user, act in (("otto", "approve"), ("otto", "reject"), ("admin", "reject")):
        refused = server.post(f"{REQUESTS}/{run_id}/{act}", user)
        assert (refused.status_code, "admin has approved it" in refused.json()["detail"]) == (409, True)
    assert actions(database)[1:] == [
        ("admin", "retraction.approve", "file 2 (prices.csv)", "I have compared it with the shop")
    ]
    # Airflow continues the task on its own.
    with create_session() as session:
        task = session.scalars(select(TaskInstance).where(TaskInstance.task_id == "approve")).one()
        assert task.state == "scheduled"
        event = (task.next_kwargs or {})["event"]
    assert event["chosen_options"] == ["Approve"]

    approval = RunningTask(run_id, "approve")
    approval.ends("success", {"responded_by_user": {"id": "1", "name": "admin"}})
    assert approver(approval) == "admin"
    done = RunningTask(run_id, "retract")
    params = {"file_id": 2, "reason": "wrong prices"}
    done.ends("success", retraction.retract(timeout_seconds=60, params=params, ti=done))
    over = server.get(f"{REQUESTS}/{run_id}").json()
    assert (over["phase"], over["retraction_id"]) == ("done", 1)
    assert (over["retraction"]["done_by"], over["retraction"]["events"]) == ("admin", 1)
    assert over["retraction"]["names"] == ["prices.csv"]


def test_a_request_that_is_rejected_changes_nothing(server: Server, known_dag: None, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    run_id = _request(server)
    _preview(server, run_id)
    rejected = server.post(f"{REQUESTS}/{run_id}/reject", reason="the prices were right").json()
    assert (rejected["phase"], rejected["answered_by"]) == ("rejected", "otto")
    assert server.post(f"{REQUESTS}/{run_id}/approve", "admin").status_code == 409
    assert actions(database)[-1][:3] == ("otto", "retraction.reject", "file 1 (prices.csv)")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT count(*) FROM shop.events")
        assert cursor.fetchone() == (1,)


def test_a_request_that_fails_says_why(server: Server, known_dag: None, database: Settings) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    run_id = _request(server)
    retract(database.dsn("owner"), Selection(file_id=1), by="ada", reason="wrong")
    task = RunningTask(run_id, "preview")
    with pytest.raises(AirflowFailException):
        retraction.preview(timeout_seconds=60, params={"file_id": 1, "reason": "wrong prices"}, ti=task)
    task.ends("failed")
    shown = server.get(f"{REQUESTS}/{run_id}").json()
    assert shown["phase"] == "failed"
    assert shown["fault"].startswith("no delivery with rows matches: file_id 1")
    assert server.post(f"{REQUESTS}/{run_id}/approve").status_code == 409


def test_a_viewer_can_neither_request_nor_answer_a_retraction(
    server: Server, known_dag: None, database: Settings
) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    assert server.post("/files/1/retract", "vera").status_code == 403
    run_id = _request(server)
    _preview(server, run_id)
    for act in ("approve", "reject"):
        assert server.post(f"{REQUESTS}/{run_id}/{act}", "vera").status_code == 403
    # The cookie is not enough without the header that only our own pages send.
    server.client.cookies.set("_token", server.tokens["otto"])
    for path in ("/files/1/retract", f"{REQUESTS}/{run_id}/approve"):
        assert server.post(path, None).status_code == 403
        forged = {"X-Requested-With": "shopstream", "Sec-Fetch-Site": "same-site"}
        assert server.post(path, None, headers=forged).status_code == 403
    server.client.cookies.clear()
    assert server.get(f"{REQUESTS}/{run_id}").json()["phase"] == "waiting"
    assert [action for _, action, *_ in actions(database)] == ["file.retract"]


def test_the_dry_run_names_no_customer(server: Server, known_dag: None, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event(user_id="Hildegard-von-Bingen")], name="prices.csv")
    run_id = _request(server)
    _preview(server, run_id)
    shown = server.get(f"{REQUESTS}/{run_id}")
    assert "mart_customer_value" in shown.json()["dry_run"]["rows"]
    assert "Hildegard" not in shown.text


def test_impossible_retractions_are_refused(server: Server, database: Settings) -> None:
    assert server.post("/files/1/retract").status_code == 404
    assert server.get(f"{REQUESTS}/no-such-run").status_code == 404
    assert server.post(f"{REQUESTS}/no-such-run/approve").status_code == 404
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    retract(database.dsn("owner"), Selection(file_id=1), by="ada", reason="wrong")
    refused = server.post("/files/1/retract")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "file 1 (prices.csv) has no stored rows to retract.",
    )
    assert actions(database) == []


def test_a_viewer_reads_the_retractions(server: Server, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    load_batch(database.dsn("owner"), [make_event()], name="good.csv")
    before = datetime.now(UTC)
    retract(database.dsn("owner"), Selection(name="prices.csv"), by="ada", reason="wrong prices")
    (listed,) = server.get("/retractions").json()["items"]
    assert datetime.fromisoformat(listed.pop("done_at")) >= before
    assert listed == {
        "retraction_id": 1,
        "done_by": "ada",
        "reason": "wrong prices",
        "selection": {"name": "prices.csv"},
        "names": ["prices.csv"],
        "files": 1,
        "events": 1,
        "reassigned": 0,
        "rejects": 0,
        "duplicates": 0,
    }


def test_the_list_of_files_marks_retracted_files(server: Server, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()], name="prices.csv")
    load_batch(database.dsn("owner"), [make_event()], name="good.csv")
    retract(database.dsn("owner"), Selection(name="prices.csv"), by="ada", reason="wrong prices")
    answer = server.get("/stream/files")
    assert answer.status_code == 200, answer.text
    good, taken = answer.json()["items"]
    assert (good["state"], good["retracted"]) == ("loaded", None)
    assert (taken["state"], taken["read"], taken["retracted"]["read"]) == ("retracted", 0, 1)
    assert (taken["retracted"]["done_by"], taken["retracted"]["reason"]) == ("ada", "wrong prices")
    only = server.get("/stream/files?state=retracted").json()["items"]
    assert [file["name"] for file in only] == ["prices.csv"]
