"""Work that can wait steps aside while the stream is behind, on a real PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from include.db import transaction
from include.db.facts import advance_facts
from include.settings import Settings
from include.stream.precedence import GiveWay
from tests.support.rows import load_batch, make_event
from tests.support.stream import next_epoch
from tests.support.waiting import wait_until


def execute(settings: Settings, statement: str) -> None:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)


def fall_behind(settings: Settings) -> None:
    """A driver lives, and a file has been waiting for it for a minute."""
    next_epoch(settings)
    execute(
        settings,
        "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('late.csv', 1, now() - interval '1 minute')",
    )


def advanced(settings: Settings) -> int:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT coalesce(sum(events), 0) FROM shop.fact_days")
        return int(cursor.fetchone()[0])


def test_facts_advance_once_the_stream_has_caught_up(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    fall_behind(database)
    way = GiveWay(database.dsn("ops"), patience_seconds=60)
    work = threading.Thread(target=advance_facts, args=(database.dsn("ops"),), kwargs={"before_step": way})
    work.start()
    wait_until(lambda: way.waited_seconds > 0, seconds=10, what="the work to step aside")
    assert advanced(database) == 0
    execute(database, "UPDATE shop.files SET state = 'loaded', settled_at = now() WHERE name = 'late.csv'")
    work.join(10)
    assert advanced(database) == 1


def test_patience_has_an_end(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    fall_behind(database)
    way = GiveWay(database.dsn("ops"), patience_seconds=0.5)
    advance_facts(database.dsn("ops"), before_step=way)
    assert (way.waited_seconds, advanced(database)) == (0.5, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE shop.files SET state = 'loaded', settled_at = now()", id="nothing waits"),
        pytest.param("UPDATE shop.files SET arrived_at = now()", id="what waits has just come"),
        pytest.param("UPDATE shop.runs SET ended_at = now()", id="no driver"),
        pytest.param("UPDATE shop.runs SET paused = 'on purpose'", id="paused"),
    ],
)
def test_nothing_to_step_aside_for(database: Settings, change: str) -> None:
    fall_behind(database)
    execute(database, change)
    way = GiveWay(database.dsn("ops"), patience_seconds=60)
    way()
    assert way.waited_seconds == 0
