"""Test the diagnosis of the stream as a task, and the end of a driver that it finds stuck."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from include.airflow.alerting.notifier import ReportedFailure
from include.airflow.tasks import stream
from include.db import transaction
from include.settings import Settings
from include.stream.supervision.status import QUERY_NAME, set_desired_state, stream_status
from tests.support.rows import load_batch, make_event
from tests.support.sockets import free_ports
from tests.support.spark import running_spark, with_spark_ports
from tests.support.waiting import wait_until

TI = SimpleNamespace(dag_id="watch_stream", task_id="diagnose_stream", run_id="run-1", log_url="http://ui/log")
DRIVER = "driver-20261123225240-0007"


def _write(settings: Settings, statement: str, *parameters: object) -> None:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, parameters)


def _alerts(settings: Settings) -> list[tuple[str, str, str]]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT severity, source, title FROM shop.alerts ORDER BY alert_id")
        return cursor.fetchall()


def _open_keys(settings: Settings) -> list[str]:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT key FROM shop.alerts WHERE resolved_at IS NULL ORDER BY key")
        return [key for (key,) in cursor]


def _open_run(settings: Settings, *, log_path: str | None = None) -> None:
    """Insert an hour-old healthy run of the stream."""
    _write(
        settings,
        "INSERT INTO shop.runs (epoch, query, mode, host, pid, log_path, started_at, turned_at) "
        "VALUES (1, %s, 'continuous', 'here', 1, %s, clock_timestamp() - interval '1 h', clock_timestamp())",
        QUERY_NAME,
        log_path,
    )


def _stop_its_heart(settings: Settings) -> None:
    _write(
        settings,
        "UPDATE shop.runs "
        "SET heartbeat_at = clock_timestamp() - interval '40 s', started_at = started_at - interval '1 h'",
    )


def test_a_new_platform_raises_no_alert(airflow: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        stream.diagnose_stream(TI)
    assert "The stream has never run; desired state: run." in caplog.text
    set_desired_state(airflow.dsn("ops"), "run")
    stream.diagnose_stream(TI)
    _write(airflow, "UPDATE shop.stream_control SET requested_at = requested_at - interval '4 min'")
    with pytest.raises(ReportedFailure, match=r"^no driver\n- The stream should run, but .*\nNothing was done"):
        stream.diagnose_stream(TI)
    set_desired_state(airflow.dsn("ops"), "stop")
    stream.diagnose_stream(TI)


def test_each_finding_is_an_alert_until_it_is_gone(airflow: Settings) -> None:
    _open_run(airflow)
    _write(airflow, "UPDATE shop.runs SET paused = 'the disk is full', backlog_files = 501")
    for _ in range(2):
        stream.diagnose_stream(TI)
    source = "watch_stream.diagnose_stream"
    assert _alerts(airflow) == [
        ("warning", source, "the stream: intake paused"),
        ("warning", source, "the stream: backlog"),
    ]
    assert _open_keys(airflow) == ["watch_stream: backlog", "watch_stream: intake_paused"]
    _write(airflow, "UPDATE shop.runs SET backlog_files = 0")
    stream.diagnose_stream(TI)
    assert _open_keys(airflow) == ["watch_stream: intake_paused"]
    _stop_its_heart(airflow)
    with pytest.raises(ReportedFailure, match="no heartbeat"):
        stream.diagnose_stream(TI, second_look_seconds=0)
    # A critical finding as well, with what was done about it.
    assert _open_keys(airflow) == ["watch_stream: intake_paused", "watch_stream: no_heartbeat"]
    _write(airflow, "UPDATE shop.runs SET heartbeat_at = clock_timestamp(), paused = NULL")
    stream.diagnose_stream(TI)
    assert _open_keys(airflow) == []


def test_full_disks_and_many_rejects_are_found(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPSTREAM_MIN_FREE_GIB", "1000000000")
    load_batch(airflow.dsn("owner"), [make_event()])
    _write(airflow, "UPDATE shop.batches SET read = 1000, accepted = 500, rejected = 500")
    stream.diagnose_stream(TI)
    assert _open_keys(airflow) == ["watch_stream: low_disk", "watch_stream: reject_share"]


def test_only_a_confirmed_finding_is_acted_upon(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_run(airflow, log_path=f"/work/{DRIVER}")
    _stop_its_heart(airflow)
    monkeypatch.setattr(stream, "cluster_of", lambda *_: pytest.fail("a driver was ended that had come back"))

    def beat(_: float) -> None:
        _write(airflow, "UPDATE shop.runs SET heartbeat_at = clock_timestamp()")

    monkeypatch.setattr(stream.time, "sleep", beat)
    stream.diagnose_stream(TI)


@pytest.mark.parametrize(
    ("log_path", "outcome"),
    [
        (
            f"/work/{DRIVER}",
            f"the Spark master at .* cannot be asked to end {DRIVER}: .*refused.* `make up`",
        ),
        ("/home/me", r"not started by a Spark cluster, so end it by hand \(it runs in /home/me\)"),
    ],
)
def test_a_driver_that_cannot_be_ended_is_part_of_the_failure(
    airflow: Settings, monkeypatch: pytest.MonkeyPatch, log_path: str, outcome: str
) -> None:
    (port,) = free_ports(1)
    connection = {"conn_type": "spark", "host": "spark://127.0.0.1", "port": 1, "extra": {"rest-port": port}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_CLUSTER", json.dumps(connection))
    _open_run(airflow, log_path=log_path)
    _stop_its_heart(airflow)
    with pytest.raises(ReportedFailure, match=f"^no heartbeat\n- The driver sent .*\n.*{outcome}"):
        stream.diagnose_stream(TI, second_look_seconds=0)


@pytest.mark.timeout(720)
def test_a_stopped_driver_is_replaced(database: Settings, start_dag: Any) -> None:
    settings = with_spark_ports(database)
    ops = settings.dsn("ops")
    with running_spark(settings):
        stream = start_dag(settings, "stream_events")
        _wait_for_turns(ops, after=None)
        first = stream_status(ops)
        with _stopped(_pid(settings)):
            # Time passes, and a stopped process writes no heartbeat.
            _stop_its_heart(settings)
            log = start_dag(settings, "watch_stream").fail(seconds=120)
            assert re.search(r"no heartbeat\W.*The driver sent no heartbeat for \d+ s; limit 30 s", log, re.DOTALL)
            assert re.search(
                f"The Spark cluster was told to end {first.driver_id} .*{first.driver_id}.* submitted", log
            )
            _wait_for_turns(ops, after=first.epoch)
        assert stream_status(ops).driver_id != first.driver_id
        log = start_dag(settings, "watch_stream").succeed(seconds=120)
        assert re.search(r"Epoch \d+: started \d+ s ago, heartbeat \d+ s ago, loop turned \d+ s ago; 0 files", log)
        # One alert of the watch, none of the run whose task has reported, and one of the try that lost its driver.
        assert sorted(_alerts(settings)) == [
            ("critical", "watch_stream.diagnose_stream", "the stream: no heartbeat"),
            ("warning", "stream_events.run_stream", "run_stream failed: The stream's driver ended as KILLED."),
        ]
        set_desired_state(ops, "stop")
        stream.succeed(seconds=60)


def _wait_for_turns(dsn: str, *, after: int | None) -> None:
    """Wait until a driver with the given epoch runs its loop."""

    def turns() -> bool:
        status = stream_status(dsn)
        age, run = status.turned_age_seconds, status.run_age_seconds
        return status.epoch != after and age is not None and run is not None and age < run - 1

    wait_until(turns, seconds=180, what=f"a driver that follows epoch {after}")


def _pid(settings: Settings) -> int:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT pid FROM shop.runs ORDER BY epoch DESC LIMIT 1")
        return int(cursor.fetchone()[0])


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stop a process during the block; kill it afterwards unless its JVM has ended it."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        if process.is_running():
            os.kill(pid, signal.SIGKILL)
