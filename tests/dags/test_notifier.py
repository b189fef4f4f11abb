"""What fails becomes a row of shop.alerts, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.airflow.notifier import ShopstreamNotifier
from include.alerts import Alert, record
from include.db import transaction
from include.errors import PlatformError
from include.settings import Settings

RUN_ID = "scheduled__2026-03-04T05:00:00+00:00"


def _task_context(**changes: Any) -> dict[str, Any]:
    """What a task's callback is given, as far as it matters here."""
    ti = {"dag_id": "refresh_views", "task_id": "refresh", "map_index": 3, "run_id": RUN_ID, "log_url": "http://ui/log"}
    return {"ti": SimpleNamespace(**{**ti, **changes}), "exception": None}


def _run_context(dag_id: str = "refresh_views") -> dict[str, Any]:
    return {"dag": DAG(dag_id), "run_id": RUN_ID, "reason": "timed_out"}


def _alerts(settings: Settings) -> list[dict[str, Any]]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT severity, source, title, detail, run_id, url FROM shop.alerts ORDER BY alert_id")
        return [dict(zip([column.name for column in cursor.description], row, strict=True)) for row in cursor]


def _failure() -> Exception:
    try:
        try:
            raise ValueError("deadlock detected\nDETAIL:  Failing row contains (user-1, Ann, Springfield).\nHINT: wait")
        except ValueError as cause:
            raise PlatformError("the view mart_x could not be refreshed", "Try again") from cause
    except PlatformError as error:
        return error


def test_a_failed_task_is_reported_with_its_causes_and_where_to_look(airflow: Settings) -> None:
    context = _task_context() | {"exception": _failure()}
    ShopstreamNotifier(severity="warning")(context)
    assert _alerts(airflow) == [
        {
            "severity": "warning",
            "source": "refresh_views.refresh[3]",
            "title": "refresh[3] failed: the view mart_x could not be refreshed. Try again.",
            "detail": "PlatformError: the view mart_x could not be refreshed. Try again.\n\n"
            "caused by ValueError: deadlock detected\nHINT: wait",
            "run_id": RUN_ID,
            "url": "http://ui/log",
        }
    ]


def test_a_task_that_was_killed_is_reported_without_an_error(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context(map_index=-1))
    (alert,) = _alerts(airflow)
    assert (alert["severity"], alert["source"]) == ("critical", "refresh_views.refresh")
    assert "killed or lost" in alert["title"]


def test_a_failed_run_is_reported_unless_its_task_was(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context())
    ShopstreamNotifier()(_run_context())
    assert [one["source"] for one in _alerts(airflow)] == ["refresh_views.refresh[3]"]
    # Scheduled runs of two DAGs have the same id.
    ShopstreamNotifier()(_run_context("refresh"))
    assert _alerts(airflow)[1] == {
        "severity": "critical",
        "source": "refresh",
        "title": "The run failed: timed out",
        "detail": f"refresh {RUN_ID} failed (timed_out), and none of its tasks could report why.",
        "run_id": RUN_ID,
        "url": "http://airflow.test/dags/refresh/runs/scheduled__2026-03-04T05%3A00%3A00%2B00%3A00",
    }


def test_a_repeated_failure_is_quiet_for_as_long_as_asked(airflow: Settings) -> None:
    notifier = ShopstreamNotifier(quiet_seconds=60)
    notifier(_task_context())
    notifier(_task_context())
    notifier(_task_context(task_id="other"))
    assert [one["source"] for one in _alerts(airflow)] == ["refresh_views.refresh[3]", "refresh_views.other[3]"]
    ShopstreamNotifier()(_task_context())
    assert len(_alerts(airflow)) == 3


def test_a_run_is_quiet_too_when_the_alert_of_its_task_was_kept_back(airflow: Settings) -> None:
    notifier = ShopstreamNotifier(quiet_seconds=60)
    notifier(_task_context(run_id="an earlier run"))
    notifier(_task_context())
    notifier(_run_context())
    assert [one["run_id"] for one in _alerts(airflow)] == ["an earlier run"]
    # A warning of the DAG does not hide that a run of it was lost; nor does another DAG's alert.
    record(dsn_of(OPS_CONN_ID), Alert("warning", "refresh.task", "title", "detail"))
    notifier(_run_context("refresh"))
    notifier(_run_context("refresh"))
    assert [one["source"] for one in _alerts(airflow)][1:] == ["refresh.task", "refresh"]


def test_quiet_ends(airflow: Settings) -> None:
    alert = Alert("info", "dag.task", "title", "detail")
    assert record(dsn_of(OPS_CONN_ID), alert, quiet_seconds=60)
    with transaction(airflow.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.alerts SET raised_at = raised_at - interval '61 s'")
    assert record(dsn_of(OPS_CONN_ID), alert, quiet_seconds=60)


def test_an_alert_that_cannot_be_written_is_in_the_log(
    airflow: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_OPS", '{"conn_type": "postgres", "host": "/nowhere"}')
    with pytest.raises(PlatformError, match="PostgreSQL cannot be reached"):
        ShopstreamNotifier()(_task_context())
    assert "Alert (critical) from refresh_views.refresh[3]: refresh[3] failed" in capfd.readouterr().out
