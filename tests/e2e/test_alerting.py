"""Test the way from a fault to its message on a whole platform, with a channel added as a user adds it.

With ``pytest -s`` it prints how long each kind of fault took to be reported, as the table in docs/alerting.md.
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
class Watch:
    """The platform and its receiver; measures the time from a fault to its message."""

    platform: Platform
    api: AirflowApi
    hook: Hook

    def message(self, occasion: str, key: str, *, since: float, seconds: float = 300) -> tuple[float, dict[str, Any]]:
        """Wait for a message about a key, and return its arrival time and text."""

        def arrived() -> list[tuple[float, dict[str, Any]]]:
            return [
                (at, body)
                for at, body in zip(self.hook.arrivals, self.hook.bodies, strict=True)
                if body["occasion"] == occasion and body["key"] == key and at >= since
            ]

        wait_until(arrived, seconds=seconds, what=f"{occasion} {key}; so far {self.hook.titles}")
        return arrived()[0]

    def told(self, occasion: str, key: str, *, since: float) -> float:
        """Wait for a message about a key, and return the seconds since a fault."""
        return self.message(occasion, key, since=since)[0] - since

    def report(self, fault: str, seconds: float) -> None:
        """Print one row of the table."""
        print(f"\n| {fault} | {seconds:.1f} s |")


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with web_hook() as hook:
        yield hook


@pytest.fixture
def watch(platform: Platform, hook: Hook) -> Watch:
    """Return the running platform, to which a user has added the channel."""
    watch = Watch(platform, AirflowApi(platform.settings, timeout_seconds=60), hook)
    if CHANNEL not in known_channels(platform.settings.dsn("ops")):
        _add_connection(platform, hook.url)
        began = time.time()
        wait_until(lambda: CHANNEL in known_channels(platform.settings.dsn("ops")), seconds=90, what="the new channel")
        watch.report("a channel is added in the UI: until it is known", time.time() - began)
    return watch


def _add_connection(platform: Platform, url: str) -> None:
    """Add a connection as the form under Admin, Connections does."""
    connection = {"connection_id": CHANNEL, "conn_type": "generic", "host": url}
    _ask(platform, "POST", "connections", {**connection, "extra": '{"min_severity": "warning"}'})


def _ask(platform: Platform, method: str, path: str, body: dict[str, Any]) -> None:
    """Send a request of the UI as the administrator."""
    login = {"username": "admin", "password": platform.password}
    token = requests.post(f"{platform.url}/auth/token", json=login, timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.request(method, f"{platform.url}/api/v2/{path}", json=body, headers=headers, timeout=60)
    assert answer.ok, answer.text


def _run(platform: Platform, statement: str) -> None:
    with transaction(platform.settings.dsn("owner")) as cursor:
        cursor.execute(statement)


def _ended_at(api: AirflowApi, dag_id: str, run_id: str, task_id: str) -> float:
    """Return when a task ended, or None if it has not."""
    found: list[str] = []

    def ended() -> bool:
        tasks = {task["task_id"]: task for task in api.tasks(dag_id, run_id)}
        found[:] = [end for end in [tasks.get(task_id, {}).get("end_date")] if end]
        return bool(found)

    wait_until(ended, seconds=180, what=f"the end of {dag_id}.{task_id}")
    return datetime.fromisoformat(found[0]).timestamp()


def test_a_task_that_fails_and_recovers(watch: Watch) -> None:
    api, key = watch.api, "failed: audit_facts.audit"
    one = "product_id = (SELECT min(product_id) FROM shop.fact_products)"
    tampered = f"UPDATE shop.fact_products SET views = views {{}} 1 WHERE {one}"
    _run(watch.platform, tampered.format("+"))
    began = time.time()
    # Once unpaused, it also runs for last night; either run may fail first.
    api.set_paused("audit_facts", False)
    api.trigger("audit_facts", {}, "a test of alerts")
    told, body = watch.message("raised", key, since=began)
    # Airflow records the end of a failed task only after its callbacks, so the alert is nearer to the fault.
    watch.report("a task fails", told - datetime.fromisoformat(body["raised_at"]).timestamp())
    wait_until(lambda: not api.active_runs("audit_facts"), seconds=180, what="the end of both")
    _run(watch.platform, tampered.format("-"))
    began = time.time()
    run_id = api.trigger("audit_facts", {}, "a test of alerts")
    told, _ = watch.message("recovered", key, since=began)
    watch.report("that task succeeds again", told - _ended_at(api, "audit_facts", run_id, "audit"))


def test_a_task_that_is_killed_with_its_callback(watch: Watch) -> None:
    api, feed, killed = watch.api, "generate_events", []
    run_id = api.trigger(feed, {"duration_seconds": 900, "events_per_second": 1}, "a test of alerts")

    def told() -> list[tuple[float, str]]:
        return [
            (at, body["title"])
            for at, body in zip(watch.hook.arrivals, watch.hook.bodies, strict=True)
            if body["source"].startswith(feed) and body["run_id"] == run_id
        ]

    def kill_every_try() -> list[tuple[float, str]]:
        for task in api.tasks(feed, run_id):
            if task["task_id"] == "generate" and task["state"] == "running" and psutil.pid_exists(task["pid"]):
                os.kill(task["pid"], signal.SIGKILL)
                killed.append(time.time())
        return told()

    wait_until(kill_every_try, seconds=300, what="an alert about a task whose every try is killed")
    (at, title), *_ = told()
    assert len(killed) >= 3
    watch.report(f"the last try of a task is killed with -9 ({title})", at - killed[-1])


def test_a_task_that_ends_silently_in_a_running_run(watch: Watch) -> None:
    api, dag_id = watch.api, "audit_facts"
    api.set_paused(dag_id, False)
    run_id = api.trigger(dag_id, {}, "a test of alerts")
    _ended_at(api, dag_id, run_id, "audit")
    wait_until(lambda: not api.active_runs(dag_id), seconds=180, what="the end of the run")
    began = time.time()
    # As after kill -9, no callback runs.
    _ask(watch.platform, "PATCH", f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/audit", {"new_state": "failed"})
    told, body = watch.message("raised", f"failed: {dag_id}.audit", since=began)
    assert body["title"] == "audit failed without a report"
    assert body["url"].startswith(f"{watch.platform.url}/dags/{dag_id}/runs/")
    watch.report("a task fails without a word, its run goes on", told - began)


def test_a_fault_found_by_the_spark_job(watch: Watch) -> None:
    began = time.time()
    deliver(watch.platform.settings.landing_dir, b"\x1f\x8b not gzip at all", "damaged.csv.gz")
    key = "stream: files are in quarantine: gzip_damaged"
    watch.report("a damaged file arrives, found by the Spark job", watch.told("raised", key, since=began))


def test_a_scheduler_that_hangs(watch: Watch) -> None:
    (pid,) = [one["pid"] for one in watch.platform.status()["processes"] if one["name"] == "scheduler"]
    began = time.time()
    os.kill(pid, signal.SIGSTOP)
    key = "platform: scheduler"
    watch.report("the scheduler hangs (SIGSTOP)", watch.told("raised", key, since=began))
    watch.report("it is restarted and works: until the notice", watch.told("recovered", key, since=began))
