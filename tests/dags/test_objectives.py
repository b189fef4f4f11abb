"""Test that the task that evaluates the objectives reports a miss as an alert, and does not fail."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from include.airflow.tasks.objectives import evaluate_objectives
from include.db import transaction
from include.settings import Settings


def test_a_missed_objective_is_reported_but_does_not_fail_the_task(
    airflow: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction(airflow.dsn("owner")) as cursor:
        older = "started_at = started_at - interval '3 hours', published_at = published_at - interval '3 hours'"
        cursor.execute(f"UPDATE shop.refreshes SET {older}, finished_at = finished_at - interval '3 hours'")
        cursor.execute(
            "INSERT INTO shop.runs (epoch, query, mode, host, pid, started_at)"
            " VALUES (1, 'events', 'continuous', 'here', 1, now() - interval '1 hour')"
        )
    run = SimpleNamespace(dag_id="evaluate_objectives", run_id="scheduled__1", log_url="http://ui/log")
    with caplog.at_level("INFO"):
        evaluate_objectives(ti=run)
    assert re.search(r"refresh_age: MISSED, \d+ min", caplog.text)
    assert "freshness: met, nothing to measure; bound: at most 5 s" in caplog.text
    with transaction(airflow.dsn("ops")) as cursor:
        cursor.execute("SELECT key, run_id, url, runbook_url FROM shop.alerts")
        assert cursor.fetchall() == [
            (
                "objective: refresh_age",
                "scheduled__1",
                "http://ui/log",
                "http://airflow.test/dags/evaluate_objectives",
            )
        ]
