"""Viewers read no personal data: every GET route is requested on a database full of recognizable values."""

from __future__ import annotations

import re

import pytest

from include.airflow.tasks.retraction import preview
from include.db import transaction
from include.settings import Settings
from tests.cockpit.conftest import API, Server
from tests.support.retraction_runs import RunningTask
from tests.support.rows import load_batch, make_event
from tests.support.stream import next_epoch
from tests.support.trust import add, add_alert, add_quality_run, minutes_ago

SECRET = "Jane-Roe-4711"
QUOTED = f"the row cannot be stored\nDETAIL: Failing row contains (a,\n{SECRET})."


@pytest.fixture
def full(database: Settings) -> dict[str, int]:
    """Store a personal value wherever a text may quote a row, and return the ids of the stored rows."""
    load_batch(
        database.dsn("owner"),
        [make_event(user_id=SECRET, session_id=SECRET, order_id=SECRET, city=SECRET)],
        rejects=[{"raw": f"{SECRET},1", "reasons": ["row_ragged"]}],
    )
    next_epoch(database)
    file_id = add(
        database,
        "files",
        "file_id",
        name="a.csv",
        size_bytes=9,
        arrived_at=minutes_ago(1),
        state="quarantined",
        finished_at=minutes_ago(0),
        fault="header_missing",
        fault_detail=f"the first line is {SECRET}",
        last_error=QUOTED,
        failures=1,
    )
    run = add_quality_run(database, verdict="failed", critical_failures=1, error=QUOTED)
    add(
        database,
        "quality_results",
        "result_id",
        quality_run_id=run,
        run_id="r",
        suite="events",
        table_name="shop.events",
        duration_ms=1.0,
        check_name="bad",
        severity="critical",
        status="failed",
        sample=f'["{SECRET}"]',
        error=QUOTED,
    )
    alert_id = add_alert(database, detail=QUOTED)
    add(
        database,
        "alert_deliveries",
        "delivery_id",
        alert_id=alert_id,
        channel="mail",
        occasion="raised",
        severity="critical",
        state="failed",
        due_at=minutes_ago(1),
        last_error=QUOTED,
    )
    add(database, "refreshes", "refresh_id", view_name="mart_daily_kpis", started_at=minutes_ago(0), error=QUOTED)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.runs SET error = %s", [QUOTED])
        cursor.execute("SELECT min(file_id) FROM shop.rejects")
        ((rejected,),) = cursor.fetchall()
    return {"file_id": rejected, "quality_run_id": run, "alert_id": alert_id, "quarantined": file_id}


def test_a_viewer_reads_no_personal_data(server: Server, full: dict[str, int], known_dag: None) -> None:
    run_id = server.post(f"/files/{full['file_id']}/retract").json()["dag_run_id"]
    task = RunningTask(run_id, "preview")
    task.ends("success", preview(timeout_seconds=60, params={"file_id": full["file_id"]}, ti=task))
    paths = [
        path.removeprefix("/api/v1")
        for path, methods in server.get("/openapi.json").json()["paths"].items()
        if "get" in methods
    ]
    names = {**full, "dag_run_id": run_id, "reason": "row_ragged", "suite": "events", "view": "mart_daily_kpis"}
    for path in paths:
        answer = server.get(re.sub(r"\{(\w+)\}", lambda found: str(names[found[1]]), path))
        assert answer.status_code == 200, path
        assert SECRET not in answer.text, path


def test_operators_see_what_is_hidden_from_viewers(server: Server, full: dict[str, int]) -> None:
    # The viewer asks first: the cached response must not be shared with the operator.
    for path in ("/stream", "/stream/files", f"/quality/runs/{full['quality_run_id']}", f"/alerts/{full['alert_id']}"):
        server.get(path)
        assert SECRET in server.get(path, "otto").text, path


def test_an_error_names_no_host_or_role(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.airflow.cockpit.database import close_readers
    from include.airflow.cockpit.responses.cache import cache

    close_readers()
    cache.clear()
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_QUALITY", "postgres://shop_quality:x@127.0.0.1:9/secret_database")
    answer = server.get("/views")
    assert answer.status_code == 503
    for name in ("127.0.0.1", "shop_quality", "secret_database", "port"):
        assert name not in answer.text
    assert API in answer.json()["instance"]
