"""The driver's pulse on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg2
import pytest

from include.db import connect, transaction
from include.errors import FencedError, StalledError
from include.settings import Settings
from include.stream.epoch import Driver, hold_epoch, renew_epoch, take_epoch
from include.stream.pulse import Pulse
from include.stream.status import set_wish, stream_status
from tests.support.postgres import database_away
from tests.support.stream import admission_of, next_epoch
from tests.support.waiting import wait_until


@pytest.fixture
def pulse(database: Settings) -> Iterator[Pulse]:
    """Of a run that has just begun."""
    pulse = Pulse(database.dsn("ingest"), next_epoch(database), stall_seconds=0.5)
    yield pulse
    pulse.close()


def test_a_beat_says_that_the_process_lives_and_hears_the_wish(database: Settings, pulse: Pulse) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.runs SET heartbeat_at = now() - interval '1 hour'")
    assert not stream_status(database.dsn("ops")).is_alive
    assert pulse.beat() == "run"
    assert stream_status(database.dsn("ops")).is_alive
    set_wish(database.dsn("ops"), "drain")
    assert pulse.beat() == "drain"


def test_a_loop_that_does_not_turn_is_noticed(database: Settings, pulse: Pulse) -> None:
    admission = admission_of(database, pulse.epoch)
    admission.next_batch()
    admission.close()

    def is_stalled() -> bool:
        try:
            pulse.beat()
        except StalledError as error:
            return "SHOPSTREAM_STALL_SECONDS=0.5" in str(error)
        return False

    began = time.monotonic()
    wait_until(is_stalled, seconds=10, what="the stall to be noticed")
    assert time.monotonic() - began > pulse.stall_seconds


def test_a_database_that_is_away_is_no_stall(database: Settings, pulse: Pulse) -> None:
    pulse.beat()
    with database_away(database):
        began = time.monotonic()
        wait_until(
            lambda: pulse.beat() is None and time.monotonic() - began > 2 * pulse.stall_seconds,
            seconds=10,
            what="beats into the void",
        )
    assert pulse.beat() == "run"


def test_only_the_holder_renews_its_epoch(database: Settings, pulse: Pulse) -> None:
    driver = Driver("continuous", "test", 1)
    renewed = renew_epoch(database.dsn("ingest"), "events", pulse.epoch, driver, "Postgres went away")
    assert renewed > pulse.epoch
    with pytest.raises(FencedError):
        renew_epoch(database.dsn("ingest"), "events", pulse.epoch, driver, "again")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT epoch, ended_at IS NULL, error FROM shop.runs ORDER BY epoch")
        assert cursor.fetchall() == [(pulse.epoch, False, "Postgres went away"), (renewed, True, None)]


def test_a_run_that_ended_without_a_word_is_closed_by_the_next(database: Settings, pulse: Pulse) -> None:
    epoch = next_epoch(database)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT error FROM shop.runs WHERE ended_at IS NOT NULL")
        assert cursor.fetchall() == [(f"it ended without a word; epoch {epoch} took over",)]


def test_a_driver_that_is_stopped_in_a_batch_does_not_hold_up_the_next(database: Settings, pulse: Pulse) -> None:
    stopped = connect(database.dsn("ingest"))
    with stopped.cursor() as cursor:
        hold_epoch(cursor, "events", pulse.epoch)
        epoch = take_epoch(database.dsn("ingest"), "events", Driver("continuous", "test", 1), patience_seconds=0.3)
        assert epoch > pulse.epoch
        # Whatever it would do when it wakes up, its transaction is gone.
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    stopped.close()
