"""Test that faults of a running platform are reported to a channel that was added the way a user adds one.

With ``pytest -s`` it also prints how long each kind of fault took to be reported: the rows of the table in
docs/alerting.md.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests

from include.alerts.outbox import known_channels
from include.db import transaction
from include.platform.services.airflow_api import AirflowApi
from tests.support.csv_files import deliver
from tests.support.platform import Platform
from tests.support.receivers import Hook, web_hook
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1200)

CHANNEL = "alert_e2e"


@dataclass
class AlertTimer:
    """Measure the time from a fault on the platform to its message at the receiver."""

    platform: Platform
    api: AirflowApi
    hook: Hook

    def wait_for_message(
        self, occasion: str, key: str, *, since: float, seconds: float = 300
    ) -> tuple[float, dict[str, Any]]:
        """Wait for a message about the alert with this key, and return its arrival time and its body."""

        def arrived() -> list[tuple[float, dict[str, Any]]]:
            return [
                (at, body)
                for at, body in zip(self.hook.arrivals, self.hook.bodies, strict=True)
                if body["occasion"] == occasion and body["key"] == key and at >= since
            ]

        wait_until(
            arrived, seconds=seconds, what=f"the message ({occasion}) about {key}; received before: {self.hook.titles}"
        )
        return arrived()[0]

    def seconds_to_message(self, occasion: str, key: str, *, since: float) -> float:
        """Wait for a message about the alert with this key, and return how long after the fault it arrived."""
        return self.wait_for_message(occasion, key, since=since)[0] - since

    def print_row(self, fault: str, seconds: float) -> None:
        """Print one row of the table."""
        print(f"\n| {fault} | {seconds:.1f} s |")


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with web_hook() as hook:
        yield hook


@pytest.fixture
def timer(platform: Platform, hook: Hook) -> AlertTimer:
    """Return a timer for the running platform; if the channel is missing, add it first as a user would."""
    timer = AlertTimer(platform, AirflowApi(platform.settings, timeout_seconds=60), hook)
    if CHANNEL not in known_channels(platform.settings.dsn("ops")):
        _add_connection(platform, hook.url)
        began = time.time()
        wait_until(lambda: CHANNEL in known_channels(platform.settings.dsn("ops")), seconds=90, what="the new channel")
        timer.print_row("a channel is added in the UI: until it is known", time.time() - began)
    return timer


def _add_connection(platform: Platform, url: str) -> None:
    """Add the connection of the channel, as the form under Admin, Connections does."""
    connection = {"connection_id": CHANNEL, "conn_type": "generic", "host": url}
    _request_as_admin(platform, "POST", "connections", {**connection, "extra": '{"min_severity": "warning"}'})


def _request_as_admin(platform: Platform, method: str, path: str, body: dict[str, Any]) -> None:
    """Send a request to Airflow's REST API as the administrator."""
    login = {"username": "admin", "password": platform.password}
    token = requests.post(f"{platform.url}/auth/token", json=login, timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    response = requests.request(method, f"{platform.url}/api/v2/{path}", json=body, headers=headers, timeout=60)
    assert response.ok, response.text


def _execute(platform: Platform, statement: str) -> None:
    with transaction(platform.settings.dsn("owner")) as cursor:
        cursor.execute(statement)


def _ended_at(api: AirflowApi, dag_id: str, run_id: str, task_id: str) -> float:
    """Wait until a task has ended, and return the timestamp of its end."""
    found: list[str] = []

    def ended() -> bool:
        tasks = {task["task_id"]: task for task in api.tasks(dag_id, run_id)}
        found[:] = [end for end in [tasks.get(task_id, {}).get("end_date")] if end]
        return bool(found)

    wait_until(ended, seconds=180, what=f"the end of {dag_id}.{task_id}")
    return datetime.fromisoformat(found[0]).timestamp()


def test_a_failed_task_and_its_recovery_are_reported(timer: AlertTimer) -> None:
    api, key = timer.api, "failed: audit_facts.audit"
    one_product = "product_id = (SELECT min(product_id) FROM shop.fact_products)"
    tampered = f"UPDATE shop.fact_products SET views = views {{}} 1 WHERE {one_product}"
    _execute(timer.platform, tampered.format("+"))
    began = time.time()
    # Unpausing the DAG also starts the run of last night; either run may fail first.
    api.set_paused("audit_facts", False)
    api.trigger("audit_facts", {}, "a test of alerts")
    arrived_at, body = timer.wait_for_message("raised", key, since=began)
    # Airflow records the end of a failed task only after its callbacks. The time of the alert is closer to the fault.
    timer.print_row("a task fails", arrived_at - datetime.fromisoformat(body["raised_at"]).timestamp())
    wait_until(lambda: not api.active_runs("audit_facts"), seconds=180, what="the end of both runs")
    _execute(timer.platform, tampered.format("-"))
    began = time.time()
    run_id = api.trigger("audit_facts", {}, "a test of alerts")
    arrived_at, _ = timer.wait_for_message("recovered", key, since=began)
    timer.print_row("that task succeeds again", arrived_at - _ended_at(api, "audit_facts", run_id, "audit"))


def test_a_task_is_reported_when_each_of_its_tries_is_killed(timer: AlertTimer) -> None:
    api, dag_id, killed_at = timer.api, "generate_events", []
    run_id = api.trigger(dag_id, {"duration_seconds": 900, "events_per_second": 1}, "a test of alerts")

    def messages() -> list[tuple[float, str]]:
        return [
            (at, body["title"])
            for at, body in zip(timer.hook.arrivals, timer.hook.bodies, strict=True)
            if body["source"].startswith(dag_id) and body["run_id"] == run_id
        ]

    def kill_each_try() -> list[tuple[float, str]]:
        for task in api.tasks(dag_id, run_id):
            if task["task_id"] == "generate" and task["state"] == "running" and psutil.pid_exists(task["pid"]):
                os.kill(task["pid"], signal.SIGKILL)
                killed_at.append(time.time())
        return messages()

    wait_until(kill_each_try, seconds=300, what="an alert about the task whose tries are all killed")
    (at, title), *_ = messages()
    assert len(killed_at) >= 3
    timer.print_row(f"the last try of a task is killed with -9 ({title})", at - killed_at[-1])


def test_a_task_that_fails_without_its_callback_is_reported_while_the_run_continues(timer: AlertTimer) -> None:
    api, dag_id = timer.api, "audit_facts"
    api.set_paused(dag_id, False)
    run_id = api.trigger(dag_id, {}, "a test of alerts")
    _ended_at(api, dag_id, run_id, "audit")
    wait_until(lambda: not api.active_runs(dag_id), seconds=180, what="the end of the run")
    began = time.time()
    # No callback runs, just as after kill -9.
    _request_as_admin(
        timer.platform, "PATCH", f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/audit", {"new_state": "failed"}
    )
    arrived_at, body = timer.wait_for_message("raised", f"failed: {dag_id}.audit", since=began)
    assert body["title"] == "audit failed without a report"
    assert body["url"].startswith(f"{timer.platform.url}/dags/{dag_id}/runs/")
    timer.print_row("a task fails without its callback, in a run that continues", arrived_at - began)


def test_a_damaged_file_that_the_spark_job_finds_is_reported(timer: AlertTimer) -> None:
    began = time.time()
    deliver(timer.platform.settings.landing_dir, b"\x1f\x8b not gzip at all", "damaged.csv.gz")
    key = "stream: files are in quarantine: gzip_damaged"
    timer.print_row(
        "a damaged file arrives, found by the Spark job", timer.seconds_to_message("raised", key, since=began)
    )


def test_a_hanging_scheduler_is_reported_and_restarted(timer: AlertTimer) -> None:
    (pid,) = [process["pid"] for process in timer.platform.status()["processes"] if process["name"] == "scheduler"]
    began = time.time()
    os.kill(pid, signal.SIGSTOP)
    key = "platform: scheduler"
    timer.print_row("the scheduler hangs (SIGSTOP)", timer.seconds_to_message("raised", key, since=began))
    timer.print_row("it is restarted and works again", timer.seconds_to_message("recovered", key, since=began))
