"""Test that a failure opens one alert, and that the next success ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from include.airflow.alerting.notifier import RecoveryNotifier, ReportedFailure, ShopstreamNotifier
from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.alerts import Alert, raise_alert
from include.alerts.state import has_notified
from include.db import transaction
from include.errors import PlatformError
from include.settings import Settings

RUN_ID = "scheduled__2026-03-04T05:00:00+00:00"
TI = {"dag_id": "refresh_views", "task_id": "refresh", "map_index": 3, "run_id": RUN_ID, "log_url": "http://ui/log"}


def _task_context(**changes: Any) -> dict[str, Any]:
    """Return the context that the callback of a task receives, with only the fields that it uses."""
    task = SimpleNamespace(owner="shop-data", downstream_list=[])
    return {"ti": SimpleNamespace(**{**TI, **changes}), "task": task, "exception": None}


def _run_context(dag_id: str = "refresh_views") -> dict[str, Any]:
    return {"dag": DAG(dag_id), "run_id": RUN_ID, "reason": "timed_out"}


def _alerts(settings: Settings) -> list[dict[str, Any]]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute(
            "SELECT severity, source, title, detail, run_id, url, owner, runbook_url FROM shop.alerts ORDER BY alert_id"
        )
        return [dict(zip([column.name for column in cursor.description], row, strict=True)) for row in cursor]


def _states(settings: Settings) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT key, occurrences, run_id, resolution FROM shop.alerts ORDER BY alert_id")
        return list(cursor.fetchall())


def _failure() -> Exception:
    try:
        try:
            raise ValueError("deadlock detected\nDETAIL:  Failing row contains (user-1, Ann, Springfield).\nHINT: wait")
        except ValueError as cause:
            raise PlatformError("the view mart_x could not be refreshed", "Try again") from cause
    except PlatformError as error:
        return error


def test_a_mapped_task_is_identified_by_its_label(airflow: Settings) -> None:
    """The index of a view changes when others are added, so it must not decide which alert a success ends."""
    ShopstreamNotifier()(_task_context(rendered_map_index="mart_b"))
    for label in ("mart_a", "mart_b"):
        context = _task_context(rendered_map_index=label)
        context["task"].downstream_task_ids = {"next"}
        RecoveryNotifier()(context)
        resolution = "recovered" if label == "mart_b" else None
        assert _states(airflow) == [("failed: refresh_views.refresh[mart_b]", 1, RUN_ID, resolution)]


def test_a_failed_task_is_reported_with_its_causes_and_links(airflow: Settings) -> None:
    context = _task_context() | {"exception": _failure()}
    ShopstreamNotifier(severity="warning")(context)
    assert _alerts(airflow) == [
        {
            "severity": "warning",
            "source": "refresh_views.refresh[3]",
            "title": "refresh[3] failed: the view mart_x could not be refreshed. Try again.",
            "detail": "PlatformError: the view mart_x could not be refreshed. Try again.\n\n"
            "caused by ValueError: deadlock detected",
            "run_id": RUN_ID,
            "url": "http://ui/log",
            "owner": "shop-data",
            "runbook_url": "http://airflow.test/dags/refresh_views",
        }
    ]


def test_a_task_that_was_killed_is_reported_without_an_error(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context(map_index=-1))
    (alert,) = _alerts(airflow)
    assert (alert["severity"], alert["source"]) == ("critical", "refresh_views.refresh")
    assert "killed or lost" in alert["title"]


def test_a_failed_run_is_reported_unless_one_of_its_tasks_was(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context())
    ShopstreamNotifier()(_run_context())
    assert [alert["source"] for alert in _alerts(airflow)] == ["refresh_views.refresh[3]"]
    # Scheduled runs of two DAGs can have the same id.
    ShopstreamNotifier()(_run_context("refresh"))
    assert _alerts(airflow)[1] == {
        "severity": "critical",
        "source": "refresh",
        "title": "The run failed: timed out",
        "detail": f"refresh {RUN_ID} failed (timed_out), and none of its tasks could report why.",
        "run_id": RUN_ID,
        "url": "http://airflow.test/dags/refresh/runs/scheduled__2026-03-04T05%3A00%3A00%2B00%3A00",
        "owner": "shopstream",
        "runbook_url": "http://airflow.test/dags/refresh",
    }


def test_a_repeated_failure_is_counted_in_one_alert(airflow: Settings) -> None:
    notifier = ShopstreamNotifier()
    notifier(_task_context(run_id="an earlier run"))
    notifier(_task_context())
    notifier(_task_context(task_id="other"))
    assert _states(airflow) == [
        ("failed: refresh_views.refresh[3]", 2, RUN_ID, None),
        ("failed: refresh_views.other[3]", 1, RUN_ID, None),
    ]


def test_a_warning_about_a_task_does_not_hide_a_failed_run(airflow: Settings) -> None:
    raise_alert(dsn_of(OPS_CONN_ID), Alert("warning", "refresh.task", "title", "detail", run_id=RUN_ID))
    ShopstreamNotifier()(_run_context("refresh"))
    assert [alert["source"] for alert in _alerts(airflow)] == ["refresh.task", "refresh"]


def test_a_task_that_raised_its_own_alerts_gets_no_further_one(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context() | {"exception": ReportedFailure("3 checks failed")})
    assert _alerts(airflow) == []
    # Nor does it count as a task that ended without a report.
    began = datetime.now(UTC) - timedelta(minutes=1)
    assert has_notified(airflow.dsn("ops"), "refresh_views.refresh[3]", "refresh_views", RUN_ID, began)


def test_a_failed_try_is_reported_once_for_each_reason(airflow: Settings) -> None:
    notifier = ShopstreamNotifier(severity="warning", is_event=True, quiet_seconds=60)
    for text in ("the driver is gone", "the driver is gone", "the master is gone"):
        notifier(_task_context() | {"exception": PlatformError(text)})
    assert [(key, resolution) for key, _, _, resolution in _states(airflow)] == [
        ("refresh_views.refresh[3]: refresh[3] failed: the driver is gone.", "event"),
        ("refresh_views.refresh[3]: refresh[3] failed: the master is gone.", "event"),
    ]


def _succeed(*downstream: str, **changes: Any) -> None:
    task = SimpleNamespace(downstream_list=[SimpleNamespace(trigger_rule=rule) for rule in downstream])
    RecoveryNotifier()({"ti": SimpleNamespace(**{**TI, **changes}), "task": task})


def test_the_next_success_of_a_task_ends_its_alert_and_no_other(airflow: Settings) -> None:
    ShopstreamNotifier()(_task_context())
    ShopstreamNotifier()(_task_context(map_index=4))
    _succeed("all_success")
    assert [resolution for *_, resolution in _states(airflow)] == ["recovered", None]


def test_a_later_successful_run_ends_the_alert_of_a_failed_run(airflow: Settings) -> None:
    ShopstreamNotifier()(_run_context())
    for run_id, downstream in ((RUN_ID, []), ("a later run", ["all_done", "one_failed"])):
        _succeed(*downstream, run_id=run_id)
        assert [resolution for *_, resolution in _states(airflow)] == [None]
    _succeed("one_failed", run_id="a later run")
    assert [resolution for *_, resolution in _states(airflow)] == ["recovered"], (
        "a watcher task runs only after a failure, so it is not the last task"
    )


def test_an_alert_that_cannot_be_written_is_logged(
    airflow: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_OPS", '{"conn_type": "postgres", "host": "/nowhere"}')
    with pytest.raises(PlatformError, match="PostgreSQL cannot be reached"):
        ShopstreamNotifier()(_task_context())
    assert "Alert (critical) from refresh_views.refresh[3]: refresh[3] failed" in capfd.readouterr().out
