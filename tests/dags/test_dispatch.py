"""Test that alerts reach every channel, including one that was down for a while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.airflow.alerting import dispatch
from include.airflow.alerting.dispatch import send_now
from include.alerts import Alert, raise_alert, resolve_alert
from include.alerts.outbox import known_channels, update_channels
from include.db import transaction
from include.platform.instance.environment import airflow_environment
from include.settings import REPOSITORY, Settings
from tests.support.airflow import connection_variables
from tests.support.postgres import database_away
from tests.support.receivers import HANG, TRICKLE, Mailbox, mail_server, web_hook
from tests.support.rows import load_batch, make_event
from tests.support.sockets import free_ports
from tests.support.validated import query

ALERT = Alert("critical", "dag.task", "title", "detail", key="key")
Channels = Callable[..., None]


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> Channels:
    """Return a function that puts Connections ``alert_<name>`` into the environment."""

    def make(**connections: dict[str, Any]) -> None:
        for name, connection in connections.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_ALERT_{name.upper()}", json.dumps(connection))

    return make


def mail(port: int) -> dict[str, Any]:
    extra = {"disable_tls": True, "disable_ssl": True, "from_email": "shop@example.org", "to": "team@example.org"}
    return {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}


def hook_at(url: str, **extra: Any) -> dict[str, Any]:
    return {"conn_type": "http", "host": url, "extra": extra}


def deliveries(settings: Settings) -> list[tuple[Any, ...]]:
    return query(settings, "SELECT channel, occasion, state, attempts FROM shop.alert_deliveries ORDER BY delivery_id")


def end_pauses(settings: Settings) -> None:
    """End the pauses of channels that have failed, so that they are tried again at once."""
    query(settings, "UPDATE shop.alert_channels SET retry_at = now() RETURNING 1")


def test_every_channel_is_notified_at_once_and_again_at_the_end(airflow: Settings, channels: Channels) -> None:
    ops = airflow.dsn("ops")
    with mail_server() as mailbox, web_hook() as hook, web_hook() as pager:
        pager_connection = hook_at(pager.url, min_severity="critical")
        channels(team=mail(mailbox.port), program=hook_at(hook.url), pager=pager_connection)
        raise_alert(ops, Alert("warning", "dag.task", "slow", "detail", key="slow"))
        raise_alert(ops, ALERT)
        send_now(ops)
        raise_alert(ops, ALERT)
        send_now(ops)
        assert mailbox.subjects == ["[warning] dag.task: slow", "[critical] dag.task: title"]
        assert hook.titles == ["raised: slow", "raised: title"]
        assert pager.titles == ["raised: title"]
        resolve_alert(ops, "key")
        send_now(ops)
        assert mailbox.subjects[2:] == ["[critical] recovered: dag.task: title"]
        assert hook.titles[2:] == pager.titles[1:] == ["recovered: title"]
        assert [body["occurrences"] for body in pager.bodies] == [1, 2]


def test_an_smtp_server_that_is_down_is_retried_until_it_is_up(airflow: Settings, channels: Channels) -> None:
    ops = airflow.dsn("ops")
    mailbox = Mailbox(free_ports(1)[0])
    with web_hook() as hook:
        channels(team=mail(mailbox.port), program=hook_at(hook.url))
        raise_alert(ops, ALERT)
        for _ in range(3):
            send_now(ops)
            end_pauses(airflow)
        assert deliveries(airflow)[:2] == [("alert_program", "raised", "sent", 1), ("alert_team", "raised", "due", 3)]
        ((error,),) = query(airflow, "SELECT DISTINCT last_error FROM shop.alert_deliveries WHERE state = 'due'")
        assert "Connection refused" in error
        # The channel has failed often enough to raise an alert, which the other channel sends.
        assert hook.titles == ["raised: title", "raised: The channel alert_team cannot send messages"]
        with mail_server(mailbox):
            send_now(ops)
        assert mailbox.subjects == ["[critical] dag.task: title"]
        assert hook.titles[2:] == ["recovered: The channel alert_team cannot send messages"]


def test_a_webhook_that_answers_500_is_retried(airflow: Settings, channels: Channels) -> None:
    ops = airflow.dsn("ops")
    with web_hook([500]) as hook:
        channels(program=hook_at(hook.url))
        raise_alert(ops, ALERT)
        send_now(ops)
        assert query(airflow, "SELECT state, attempts, last_error FROM shop.alert_deliveries") == [
            ("due", 1, "127.0.0.1 answered 500: as the test says.")
        ]
        send_now(ops)
        assert len(hook.bodies) == 1, "the channel is not tried again at once"
        end_pauses(airflow)
        send_now(ops)
        assert query(airflow, "SELECT state, attempts, last_error FROM shop.alert_deliveries") == [("sent", 2, None)]
        assert hook.bodies[0]["delivery_id"] == hook.bodies[1]["delivery_id"]


@pytest.mark.parametrize("answer", [HANG, TRICKLE])
def test_a_webhook_that_hangs_blocks_no_other_channel(
    airflow: Settings, channels: Channels, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setattr(dispatch, "SEND_SECONDS", 1.0)
    ops = airflow.dsn("ops")
    with web_hook([answer]) as hanging, web_hook() as hook:
        channels(hanging=hook_at(hanging.url), program=hook_at(hook.url))
        raise_alert(ops, ALERT)
        raise_alert(ops, Alert("critical", "dag.task", "other", "detail"))
        began = time.monotonic()
        send_now(ops)
        assert time.monotonic() - began < 7, "without this limit, a request ends after eight seconds"
        assert hook.titles == ["raised: title", "raised: other"]
        assert query(airflow, "SELECT last_error FROM shop.alert_channels WHERE failures > 0") == [
            ("it took longer than 1 s",)
        ]
        end_pauses(airflow)
        send_now(ops)
        # The message that has not been tried yet is sent first, then the one that hung.
        assert hanging.titles == ["raised: title", "raised: other", "raised: title"]


def test_errors_of_channels_never_reach_the_code_that_raised_the_alert(
    airflow: Settings, channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    channels(program=hook_at("no address at all"))
    ops = airflow.dsn("ops")
    raise_alert(ops, ALERT)
    send_now(ops)
    assert deliveries(airflow) == [("alert_program", "raised", "due", 1)]
    with database_away(airflow):
        send_now(ops)
    assert "they stay in shop.alert_deliveries and are sent later" in caplog.text


def test_no_delivery_is_planned_without_a_channel(airflow: Settings) -> None:
    raise_alert(airflow.dsn("ops"), ALERT)
    send_now(airflow.dsn("ops"))
    assert deliveries(airflow) == []


class AirflowHome:
    """Run commands in an Airflow home with its own metadata database, as the platform's programs do."""

    def __init__(self, settings: Settings, metadata: Path, home: Path) -> None:
        home.mkdir()
        (home / metadata.name).write_bytes(metadata.read_bytes())
        url = f"sqlite:///{home / metadata.name}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN_ALERT_")},
            **airflow_environment(settings),
            **connection_variables(settings),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url.replace("sqlite", "sqlite+aiosqlite"),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=REPOSITORY, env=self.environment, capture_output=True, text=True
        )

    def connect(self, conn_id: str, connection: dict[str, Any]) -> None:
        """Add a Connection as a user does on the command line; the UI writes the same row."""
        completed = self.run("airflow", "connections", "add", conn_id, "--conn-json", json.dumps(connection))
        assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.fixture
def home(airflow: Settings, metadata: Path, tmp_path: Path) -> AirflowHome:
    return AirflowHome(airflow, metadata, tmp_path / "dispatcher")


def test_the_dispatcher_finds_new_channels_and_forgets_deleted_ones(airflow: Settings, home: AirflowHome) -> None:
    ops = airflow.dsn("ops")
    update_channels(ops, {"alert_gone": "info"})
    with web_hook() as hook:
        home.connect("alert_program", hook_at(hook.url, min_severity="critical"))
        raise_alert(ops, ALERT)
        raise_alert(ops, Alert("warning", "dag.task", "mild", "detail"))
        completed = home.run("include.airflow.alerting.dispatch")
        assert completed.returncode == 0, completed.stdout + completed.stderr
        assert hook.titles == ["raised: title"]
        assert known_channels(ops) == ["alert_program"]


def test_a_test_alert_prints_the_result_for_each_channel(airflow: Settings, home: AirflowHome) -> None:
    completed = home.run("include.airflow.alerting.dispatch", "--test")
    assert completed.returncode == 1
    assert "There is no channel: no Airflow connection has an id that begins with alert_" in completed.stdout
    with web_hook() as hook, web_hook([500]) as broken:
        home.connect("alert_program", hook_at(hook.url))
        home.connect("alert_broken", hook_at(broken.url, min_severity="critical"))
        completed = home.run("include.airflow.alerting.dispatch", "--test")
        assert completed.returncode == 1
        assert [line for line in completed.stdout.splitlines() if "alert_" in line] == [
            "✗ alert_broken (receives critical and worse): 127.0.0.1 answered 500: as the test says.",
            "✓ alert_program (receives warning and worse): sent",
        ]
        assert hook.titles == ["raised: This is a test: alerts reach you here"]
        completed = home.run("include.airflow.alerting.dispatch", "--test")
        assert completed.returncode == 0, completed.stdout


@pytest.mark.timeout(600)
def test_a_failed_task_and_its_next_success_are_reported(airflow: Settings, channels: Channels, start_dag: Any) -> None:
    owner = airflow.dsn("owner")
    load_batch(owner, [make_event(), make_event(event_type="view")])
    query(airflow, "UPDATE shop.fact_products SET views = views + 1 RETURNING 1")
    with mail_server() as mailbox, web_hook() as hook:
        channels(team=mail(mailbox.port), program=hook_at(hook.url))
        log = start_dag(airflow, "refresh_views").succeed(seconds=240)
        assert "Recovered" not in log
        with transaction(owner) as cursor:
            cursor.execute("UPDATE shop.fact_products SET views = views + 1")
        start_dag(airflow, "audit_facts").fail(seconds=240)
        assert hook.titles == ["raised: audit failed: aggregates differ from their events:"]
        (body,) = hook.bodies
        assert (body["severity"], body["source"], body["owner"]) == ("critical", "audit_facts.audit", "shopstream")
        assert "shop.fact_products: 1 rows" in body["detail"]
        assert body["runbook_url"].endswith("/dags/audit_facts")
        assert f"/dags/audit_facts/runs/{body['run_id'].partition('+')[0][:6]}" in body["url"]
        with transaction(owner) as cursor:
            cursor.execute("UPDATE shop.fact_products SET views = views - 1")
        start_dag(airflow, "audit_facts").succeed(seconds=240)
        assert hook.titles[1:] == ["recovered: audit failed: aggregates differ from their events:"]
        assert [subject.partition(": ")[0] for subject in mailbox.subjects] == [
            "[critical] audit_facts.audit",
            "[critical] recovered",
        ]
