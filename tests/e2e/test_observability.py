"""Test the metrics, readiness, objectives and missed deadlines that a running platform reports."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import psycopg2
import pytest
from playwright.sync_api import Page, expect

from include.db import transaction
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.postgres import AIRFLOW_DATABASE
from tests.e2e.test_browser import page  # noqa: F401 - a fixture
from tests.support.platform import Platform
from tests.support.waiting import wait_until
from tests.unit.test_dashboards import SPARK

pytestmark = pytest.mark.timeout(900)


def get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return response.read().decode()


def value(text: str, series: str) -> float:
    """Return the value of a series in Prometheus' text format, or 0 if it is absent."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_endpoint_reports_the_state_of_the_platform(platform: Platform) -> None:
    url = f"http://127.0.0.1:{platform.settings.ports['metrics']}"
    assert json.loads(get(f"{url}/ready")) == {"status": "ready"}
    wait_until(
        lambda: value(get(f"{url}/metrics"), 'shopstream_rows_total{outcome="accepted"}') > 0,
        seconds=60,
        what="rows to be counted",
    )
    text = get(f"{url}/metrics")
    assert value(text, "shopstream_stream_up") == value(text, "shopstream_database_up") == 1


def test_spark_serves_metrics_for_prometheus(platform: Platform) -> None:
    ports = platform.settings.ports
    text = get(f"http://127.0.0.1:{ports['spark-master-ui']}/metrics/master/prometheus/")
    text += get(f"http://127.0.0.1:{ports['spark-worker-ui']}/metrics/prometheus/")
    names = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    # The dashboards use these metrics.
    assert names >= SPARK
    driver = get(f"http://127.0.0.1:{ports['spark-driver-ui']}/metrics/prometheus/")
    assert re.search(r"^metrics_shopstream_driver_spark_streaming_events_latency_Value", driver, re.MULTILINE)
    assert "metrics_executor_totalTasks_total" in get(
        f"http://127.0.0.1:{ports['spark-driver-ui']}/metrics/executors/prometheus/"
    )


def test_objectives_are_evaluated_each_minute(platform: Platform) -> None:
    def evaluated() -> set[str]:
        with transaction(platform.settings.dsn("analyst")) as cursor:
            cursor.execute("SELECT DISTINCT objective FROM shop.objective_minutes")
            return {name for (name,) in cursor}

    # Objectives do not count in the first three minutes after `make up`.
    wait_until(
        lambda: evaluated() >= {"freshness", "availability", "refresh_age", "reject_share"},
        seconds=420,
        what="the first evaluated minute",
    )
    assert "freshness" in platform.succeed("include.objectives")


def deadlines(platform: Platform) -> list[dict[str, Any]]:
    """Return the missed deadlines that Airflow's page of deadlines lists."""
    found: list[dict[str, Any]] = AirflowApi(platform.settings)._call(
        "GET", "/ui/dags/~/dagRuns/~/deadlines?limit=100&missed=true"
    )["deadlines"]
    return found


def test_a_late_run_is_listed_and_reported(platform: Platform, page: Page) -> None:  # noqa: F811
    """Set the deadline of a running feed, which takes minutes, to the present moment."""
    api = AirflowApi(platform.settings)
    if not api.active_runs("generate_events"):
        api.trigger("generate_events", {"duration_seconds": 120, "events_per_second": 1}, "late on purpose")
    wait_until(lambda: api.active_runs("generate_events"), seconds=30, what="a run of the feed")
    run_id = api.active_runs("generate_events")[0]
    connection = psycopg2.connect(platform.settings.dsn("airflow", AIRFLOW_DATABASE))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE deadline SET deadline_time = now() FROM dag_run"
            " WHERE dag_run.id = deadline.dagrun_id AND dag_run.run_id = %s AND dag_run.dag_id = 'generate_events'",
            [run_id],
        )
        assert cursor.rowcount == 1, "the run has one deadline"
    connection.close()

    def alerts() -> list[Any]:
        with transaction(platform.settings.dsn("ops")) as cursor:
            cursor.execute("SELECT severity, detail FROM shop.alerts WHERE title = 'A run missed its deadline'")
            return cursor.fetchall()

    wait_until(
        lambda: run_id in {deadline["dag_run_id"] for deadline in deadlines(platform)}, seconds=60, what="the miss"
    )
    wait_until(alerts, seconds=60, what="the alert")
    ((severity, detail),) = alerts()
    assert severity == "warning"
    assert f"{run_id} had to succeed within 45 min" in detail

    page.goto(f"{platform.url}/deadlines")
    expect(page.get_by_text("generate_events").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Missed").first).to_be_visible(timeout=60_000)
