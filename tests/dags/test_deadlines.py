"""Test the alert about a run that missed its deadline."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.airflow.deadlines import deadline_of, miss_alert, notify_miss
from include.db import transaction
from include.settings import Settings

DEADLINE = datetime(2026, 11, 24, 9, 10, tzinfo=UTC)


def context(state: str = "running", deadline: Any = DEADLINE) -> dict[str, Any]:
    """Return the context that the scheduler passes to the callback, with only the fields that it uses."""
    run = {"dag_id": "refresh_views", "dag_run_id": "scheduled__2026-11-24T09:00:00+00:00", "state": state}
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": deadline}}


def test_the_alert_names_the_run_and_its_deadline() -> None:
    alert = miss_alert(context(), seconds=600, now=DEADLINE + timedelta(seconds=5))
    assert alert is not None
    assert (alert.severity, alert.source, alert.title) == ("warning", "refresh_views", "A run missed its deadline")
    assert alert.detail == (
        "scheduled__2026-11-24T09:00:00+00:00 had to succeed within 10 min after it was queued, by 2026-11-24 09:10:00 "
        "UTC; it is running."
    )
    assert alert.url == "http://airflow.test/dags/refresh_views/runs/scheduled__2026-11-24T09%3A00%3A00%2B00%3A00"
    assert alert.runbook_url == "http://airflow.test/dags/refresh_views"


def test_a_failed_run_is_not_reported_again_at_its_deadline() -> None:
    assert miss_alert(context("failed"), seconds=600, now=DEADLINE) is None


def test_a_miss_noticed_hours_later_is_only_recorded() -> None:
    alert = miss_alert(context(deadline=DEADLINE.isoformat()), seconds=10800, now=DEADLINE + timedelta(hours=8))
    assert alert is not None
    assert alert.severity == "info"
    assert "within 3 h after" in alert.detail
    assert alert.detail.endswith("only at 2026-11-24 17:10:00 UTC, because Airflow did not run meanwhile.")


def test_no_deadline_is_set_where_airflow_cannot_handle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deadline_of(None) is None
    monkeypatch.setattr("sys.argv", ["/venv/bin/airflow", "dags", "test", "refresh_views"])
    assert deadline_of(timedelta(minutes=10)) is None


def test_the_callback_writes_the_alert_once_an_hour(airflow: Settings) -> None:
    deadline = deadline_of(timedelta(minutes=10))
    assert deadline is not None
    callback = deadline.callback
    for _ in range(2):
        asyncio.run(notify_miss(**callback.kwargs, context=context(deadline=datetime.now(UTC))))
    with transaction(airflow.dsn("ops")) as cursor:
        cursor.execute("SELECT source, severity, resolution FROM shop.alerts")
        assert cursor.fetchall() == [("refresh_views", "warning", "event")]
