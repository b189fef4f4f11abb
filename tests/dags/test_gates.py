"""Test the gates of the feed and the stream: the conditions that they wait for, and what they report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from include.airflow.sensors import StreamReadySensor, StreamWantedSensor
from include.airflow.triggers import StreamReadyTrigger, StreamWantedTrigger
from include.db import transaction
from include.settings import Settings
from include.stream.supervision.status import QUERY_NAME, set_desired_state
from tests.support.postgres import cut_connections
from tests.support.validated import query
from tests.support.waiting import wait_until


@pytest.fixture
def run_row(airflow: Settings) -> Callable[[str], None]:
    """Return a function that updates columns of the stream's only run with SQL assignments."""
    with transaction(airflow.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.runs (epoch, query, mode, host, pid) VALUES (1, %s, 'continuous', 'here', 1)",
            [QUERY_NAME],
        )

    def update(assignments: str) -> None:
        with transaction(airflow.dsn("owner")) as cursor:
            cursor.execute(f"UPDATE shop.runs SET {assignments}")

    return update


def _ready(settings: Settings, **changes: Any) -> StreamReadyTrigger:
    limits = {"max_backlog_files": 10, "min_free_gib": 0.0, "directory": str(settings.landing_dir)}
    common = {"conn_id": "shop_ops", "deadline": time.time() + 60, "poll_seconds": 0.05}
    return StreamReadyTrigger(**{**limits, **common, **changes})


def _execute(sensor: Any) -> None:
    """Execute a sensor without the guard that allows this only in the process of a task."""
    sensor.execute.__wrapped__(sensor, {})


async def _first_event(trigger: Any) -> dict[str, str]:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def test_the_feed_waits_for_the_first_run_of_the_stream(airflow: Settings) -> None:
    assert _ready(airflow).look() == {"stream": "the stream has never run"}


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ("backlog_files = 10", {}),
        ("paused = 'the disk is full'", {"intake": "the stream takes in no files: the disk is full"}),
        ("backlog_files = 11", {"backlog": "11 files wait in the landing folder, over the limit of 10"}),
        (
            "heartbeat_at = clock_timestamp() - interval '40 s'",
            {"stream": "the stream's driver sent its last heartbeat 40 s ago, and counts as alive for 15 s"},
        ),
        (
            "ended_at = '2026-03-04 05:06:07Z', error = 'disk full', paused = 'no room'",
            {"stream": "the stream ended at 2026-03-04 05:06:07 UTC (disk full)"},
        ),
    ],
)
def test_the_feed_waits_for_a_live_stream_that_keeps_up(
    airflow: Settings, run_row: Callable[[str], None], assignments: str, expected: dict[str, str]
) -> None:
    run_row(assignments)
    assert _ready(airflow).look() == expected


def test_the_feed_waits_for_free_space_on_every_disk(airflow: Settings, run_row: Any) -> None:
    trigger = _ready(airflow, min_free_gib=1e6, directory=str(airflow.landing_dir / "not" / "yet"))
    assert trigger.look()["disk"].endswith("below the limit of 1e+06")


def test_the_feed_waits_until_every_condition_is_met(airflow: Settings, run_row: Callable[[str], None]) -> None:
    run_row("backlog_files = 99")
    set_desired_state(airflow.dsn("ops"), "drain")
    assert set(_ready(airflow, min_free_gib=1e6).look()) == {"desired_state", "backlog", "disk"}


def test_the_feed_waits_while_the_database_is_down(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_OPS", '{"conn_type": "postgres", "host": "/nowhere"}')
    assert "PostgreSQL cannot be reached" in _ready(airflow).look()["database"]


def test_the_trigger_fires_when_the_stream_is_ready_and_logs_each_reason_to_wait(
    airflow: Settings, run_row: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    log = ""

    async def until_logged(text: str) -> None:
        nonlocal log
        while text not in log:
            await asyncio.sleep(0.02)
            log += capfd.readouterr().out

    async def scenario() -> dict[str, str]:
        run_row("backlog_files = 11")
        event = asyncio.create_task(_first_event(_ready(airflow)))
        await until_logged("11 files wait")
        run_row("ended_at = clock_timestamp()")
        await until_logged("the stream ended at")
        run_row("backlog_files = 0, ended_at = NULL")
        return await event

    assert asyncio.run(asyncio.wait_for(scenario(), 20)) == {}
    # There is one line for each change, not for each poll.
    assert log.count("Waiting:") == 2


def test_waiting_does_not_block_the_event_loop(airflow: Settings) -> None:
    """A database that does not answer must not block the other triggers."""

    async def scenario() -> int:
        turns = 0
        event = asyncio.create_task(_first_event(_ready(airflow, deadline=time.time() + 1)))
        with transaction(airflow.dsn("owner")) as cursor:
            cursor.execute("LOCK TABLE shop.runs")
            for _ in range(20):
                await asyncio.sleep(0.01)
                turns += 1
            assert not event.done()
        await event
        return turns

    assert asyncio.run(asyncio.wait_for(scenario(), 20)) == 20


def test_the_trigger_ends_at_its_deadline_and_reports_the_missing_conditions(airflow: Settings) -> None:
    event = asyncio.run(_first_event(_ready(airflow, deadline=time.time())))
    assert event == {"stream": "the stream has never run"}


@pytest.mark.parametrize("kind", [StreamReadyTrigger, StreamWantedTrigger])
def test_a_trigger_can_be_serialized(airflow: Settings, kind: type) -> None:
    trigger = _ready(airflow) if kind is StreamReadyTrigger else StreamWantedTrigger(conn_id="shop_ops", deadline=1.0)
    path, arguments = trigger.serialize()
    assert path == f"include.airflow.triggers.{kind.__name__}"
    assert kind(**arguments).serialize() == (path, arguments)
    assert "password" not in str(arguments)


def test_a_closed_gate_is_deferred_with_the_limits_of_the_settings(
    airflow: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPSTREAM_MAX_BACKLOG_FILES", "7")
    monkeypatch.setenv("SHOPSTREAM_MIN_FREE_GIB", "0.5")
    with pytest.raises(TaskDeferred) as deferred:
        _execute(StreamReadySensor(task_id="gate", timeout=100))
    trigger = deferred.value.trigger
    assert (trigger.max_backlog_files, trigger.min_free_gib) == (7, 0.5)
    assert trigger.directory == str(airflow.landing_dir)
    assert time.time() + 90 < trigger.deadline <= time.time() + 100
    # Airflow's own timeout is longer, so that the trigger can first report what it waited for.
    assert deferred.value.timeout.total_seconds() > 100


def test_an_open_gate_is_passed_at_once(airflow: Settings, run_row: Any) -> None:
    _execute(StreamWantedSensor(task_id="gate"))


def test_the_stream_is_not_started_while_its_desired_state_is_stop(airflow: Settings) -> None:
    set_desired_state(airflow.dsn("ops"), "stop")
    with pytest.raises(TaskDeferred):
        _execute(StreamWantedSensor(task_id="gate"))
    assert "asked to stop" in StreamWantedTrigger(conn_id="shop_ops", deadline=0).look()["desired_state"]


def test_a_gate_that_stays_closed_reports_the_reasons() -> None:
    sensor = StreamReadySensor(task_id="gate", timeout=1800)
    with pytest.raises(AirflowSensorTimeout, match=r"stayed closed for 0:30:00: no stream; no room\."):
        sensor.resume({}, {"stream": "no stream", "disk": "no room"})


def test_a_long_pause_of_the_stream_does_not_fail_a_gate() -> None:
    """The pause is planned, so the feed skips its run and does not mention the missing driver."""
    sensor = StreamReadySensor(task_id="gate", timeout=1800)
    with pytest.raises(AirflowSkipException, match="the stream was asked to stop"):
        sensor.resume({}, {"desired_state": "the stream was asked to stop", "stream": "the stream ended"})


def test_a_database_outage_during_a_query_is_tolerated(airflow: Settings) -> None:
    waiting_queries = "SELECT FROM pg_locks WHERE relation = 'shop.runs'::regclass AND NOT granted"
    with ThreadPoolExecutor(1) as threads, transaction(airflow.dsn("owner")) as cursor:
        cursor.execute("LOCK TABLE shop.runs")
        result = threads.submit(_ready(airflow).look)
        wait_until(
            lambda: query(airflow, waiting_queries) == [()], seconds=10, what="the query that waits for the lock"
        )
        cut_connections(airflow, "shop_ops")
        assert set(result.result(10)) == {"database"}
