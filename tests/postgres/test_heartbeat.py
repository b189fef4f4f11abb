"""Tests of the driver's heartbeat with a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg2
import pytest

from include.db import connect, transaction
from include.errors import FencedError, StalledError
from include.settings import REPOSITORY, Settings
from include.stream.supervision.epoch import Driver, hold_epoch, renew_epoch, take_epoch
from include.stream.supervision.heartbeat import Heartbeat
from include.stream.supervision.status import set_desired_state, stream_status
from tests.support.postgres import database_away
from tests.support.stream import admission_of, next_epoch
from tests.support.waiting import wait_until


@pytest.fixture
def heartbeat(database: Settings) -> Iterator[Heartbeat]:
    """Yield the heartbeat of a run that has just begun."""
    heartbeat = Heartbeat(database.dsn("ingest"), next_epoch(database), stall_seconds=0.5)
    yield heartbeat
    heartbeat.close()


def test_a_heartbeat_is_recorded_and_returns_the_desired_state(database: Settings, heartbeat: Heartbeat) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.runs SET heartbeat_at = now() - interval '1 hour'")
    assert not stream_status(database.dsn("ops")).is_alive
    assert heartbeat.beat() == "run"
    assert stream_status(database.dsn("ops")).is_alive
    set_desired_state(database.dsn("ops"), "drain")
    assert heartbeat.beat() == "drain"


def test_a_stalled_loop_is_noticed(database: Settings, heartbeat: Heartbeat) -> None:
    admission = admission_of(database, heartbeat.epoch)
    admission.next_batch()
    admission.close()

    def is_stalled() -> bool:
        try:
            heartbeat.beat()
        except StalledError as error:
            return "SHOPSTREAM_STALL_SECONDS=0.5" in str(error)
        return False

    began = time.monotonic()
    wait_until(is_stalled, seconds=10, what="the stall to be noticed")
    assert time.monotonic() - began > heartbeat.stall_seconds


def test_an_outage_of_the_database_is_no_stall(database: Settings, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    with database_away(database):
        began = time.monotonic()
        wait_until(
            lambda: heartbeat.beat() is None and time.monotonic() - began > 2 * heartbeat.stall_seconds,
            seconds=10,
            what="heartbeats without a database",
        )
    assert heartbeat.beat() == "run"


def test_only_the_holder_renews_its_epoch(database: Settings, heartbeat: Heartbeat) -> None:
    driver = Driver("continuous", "test", 1)
    renewed = renew_epoch(database.dsn("ingest"), "events", heartbeat.epoch, driver, "Postgres went away")
    assert renewed > heartbeat.epoch
    with pytest.raises(FencedError):
        renew_epoch(database.dsn("ingest"), "events", heartbeat.epoch, driver, "again")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT epoch, ended_at IS NULL, error FROM shop.runs ORDER BY epoch")
        assert cursor.fetchall() == [(heartbeat.epoch, False, "Postgres went away"), (renewed, True, None)]


def test_a_run_that_ended_without_a_word_is_closed_by_the_next(database: Settings, heartbeat: Heartbeat) -> None:
    epoch = next_epoch(database)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT error FROM shop.runs WHERE ended_at IS NOT NULL")
        assert cursor.fetchall() == [(f"it ended without reporting a reason; epoch {epoch} took over",)]


def test_a_driver_that_is_suspended_in_a_batch_does_not_block_the_next(
    database: Settings, heartbeat: Heartbeat
) -> None:
    stopped = connect(database.dsn("ingest"))
    with stopped.cursor() as cursor:
        hold_epoch(cursor, "events", heartbeat.epoch)
        epoch = take_epoch(database.dsn("ingest"), "events", Driver("continuous", "test", 1), timeout_seconds=0.3)
        assert epoch > heartbeat.epoch
        # The transaction of the suspended driver is gone, so the driver cannot continue it later.
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    stopped.close()


# Send five heartbeats a second and print the time of each, for a loop that never turns.
_BEATING = """
import sys, time
from include.errors import StalledError
from include.stream.supervision.heartbeat import Heartbeat

heartbeat = Heartbeat(sys.argv[1], int(sys.argv[2]), stall_seconds=6)
try:
    while True:
        heartbeat.beat()
        print(time.monotonic(), flush=True)
        time.sleep(0.2)
except StalledError:
    print("stalled", flush=True)
"""


def test_a_driver_that_was_suspended_does_not_count_as_stalled(database: Settings) -> None:
    """As after a sleep of the machine, the loop gets its full time once more, and no longer than that."""
    epoch, stopped_seconds = next_epoch(database), 7.0
    with subprocess.Popen(
        [sys.executable, "-c", _BEATING, database.dsn("ingest"), str(epoch)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            stopped_at = time.monotonic()
            wait_until(lambda: time.monotonic() - stopped_at > stopped_seconds, seconds=60, what="a long pause")
            os.kill(process.pid, signal.SIGCONT)
            lines = process.stdout.read().split()
        finally:
            process.kill()
    # Both times are of the same clock. The process sent heartbeats for seconds after it was resumed.
    assert lines[-1] == "stalled"
    assert float(lines[-2]) - stopped_at > stopped_seconds + 4
