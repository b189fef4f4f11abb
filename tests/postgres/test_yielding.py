"""Tests that work that can wait yields to a stream that is behind, with a real PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from include.db import transaction
from include.db.facts import advance_facts
from include.settings import Settings
from include.stream.supervision.yielding import YieldToStream
from tests.support.postgres import superuser
from tests.support.rows import load_batch, make_event
from tests.support.stream import next_epoch
from tests.support.waiting import wait_until


def execute(settings: Settings, statement: str) -> None:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)


def fall_behind(settings: Settings) -> None:
    """Record a living driver and a file that has been waiting for it for a minute."""
    next_epoch(settings)
    execute(
        settings,
        "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('late.csv', 1, now() - interval '1 minute')",
    )


def advanced(settings: Settings) -> int:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT coalesce(sum(events), 0) FROM shop.fact_days")
        return int(cursor.fetchone()[0])


def test_aggregates_advance_once_the_stream_has_caught_up(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    fall_behind(database)
    way = YieldToStream(database.dsn("ops"), timeout_seconds=60)
    work = threading.Thread(target=advance_facts, args=(database.dsn("ops"),), kwargs={"before_step": way})
    work.start()
    wait_until(lambda: way.waited_seconds > 0, seconds=10, what="the work to yield to the stream")
    assert advanced(database) == 0
    execute(database, "UPDATE shop.files SET state = 'loaded', finished_at = now() WHERE name = 'late.csv'")
    work.join(10)
    assert advanced(database) == 1


def test_yielding_to_the_stream_has_a_timeout(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    fall_behind(database)
    way = YieldToStream(database.dsn("ops"), timeout_seconds=0.5)
    advance_facts(database.dsn("ops"), before_step=way)
    assert (way.waited_seconds, advanced(database)) == (0.5, 1)


def test_a_long_wait_takes_one_connection(database: Settings) -> None:
    fall_behind(database)
    way = YieldToStream(database.dsn("ops"), timeout_seconds=60)
    work = threading.Thread(target=way)
    work.start()

    def outlasts_several_looks() -> bool:
        # Only a superuser sees since when the connections of other roles have existed.
        with superuser(database) as cursor:
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE datname = %s AND usename = 'shop_ops'"
                " AND backend_start < clock_timestamp() - interval '1.5 s'",
                [database.database_name],
            )
            return cursor.rowcount == 1

    wait_until(outlasts_several_looks, seconds=20, what="a connection that outlasts several looks")
    execute(database, "UPDATE shop.files SET state = 'loaded', finished_at = now() WHERE name = 'late.csv'")
    work.join(10)
    assert not work.is_alive()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE shop.files SET state = 'loaded', finished_at = now()", id="nothing waits"),
        pytest.param("UPDATE shop.files SET arrived_at = now()", id="the waiting file has just arrived"),
        pytest.param("UPDATE shop.runs SET ended_at = now()", id="no driver"),
        pytest.param("UPDATE shop.runs SET paused = 'on purpose'", id="paused"),
    ],
)
def test_work_does_not_yield_to_a_stream_that_needs_nothing(database: Settings, change: str) -> None:
    fall_behind(database)
    execute(database, change)
    way = YieldToStream(database.dsn("ops"), timeout_seconds=60)
    way()
    assert way.waited_seconds == 0
