"""Tests of partitions: created in advance, removed past retention with a record, and never while in use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.db import connect, partitions, transaction
from include.db.partitions import MaintenanceReport, RetiredPartition, maintain
from include.settings import Settings
from tests.support.rows import at, days_ago, load_batch, make_event, uuid7


def keep_a_week(database: Settings) -> MaintenanceReport:
    return maintain(database.dsn("owner"), ahead_days=2, retention_days=7)


def one(database: Settings, query: str) -> Any:
    with transaction(database.dsn("ops")) as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def day_partitions(database: Settings) -> list[str]:
    with transaction(database.dsn("ops")) as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'shop.events'::regclass AND relname ~ '[0-9]{8}$' ORDER BY 1"
        )
        return [name for (name,) in cursor]


def name_of(days: float) -> str:
    return f"events_{days_ago(days):%Y%m%d}"


def load_old(database: Settings, days: float, *, count: int = 1) -> None:
    """Store events of that many days ago, with an ingestion time of the same moment."""
    moment = days_ago(days)
    load_batch(database.dsn("owner"), [make_event(event_time=moment) for _ in range(count)], ingested_at=moment)


def test_partitions_are_created_from_yesterday_on(database: Settings) -> None:
    assert keep_a_week(database).made == 4
    assert day_partitions(database) == [name_of(days) for days in (1, 0, -1, -2)]
    assert keep_a_week(database).made == 0


def test_a_day_past_retention_is_removed_and_totals_still_add_up(database: Settings) -> None:
    load_old(database, 9, count=3)
    load_old(database, 5, count=2)
    report = keep_a_week(database)
    assert report.retired == (RetiredPartition(name_of(9), days_ago(9).date(), 3),)
    assert report.busy == ()
    assert f"{name_of(9)}: 3 events retired" in str(report)
    assert name_of(9) not in day_partitions(database)
    assert name_of(5) in day_partitions(database)
    assert one(database, f"SELECT to_regclass('shop.{name_of(9)}')") is None
    assert one(
        database,
        "SELECT (SELECT sum(accepted) FROM shop.batches)"
        " = (SELECT count(*) FROM shop.events) + (SELECT sum(events) FROM shop.retired_partitions)",
    )
    assert keep_a_week(database).retired == ()


def test_the_last_day_within_retention_stays(database: Settings) -> None:
    load_old(database, 7)
    assert keep_a_week(database).retired == ()


def test_a_backfill_is_kept_for_the_retention_from_its_loading_on(database: Settings) -> None:
    load_old(database, 9)
    load_batch(database.dsn("owner"), [make_event(event_time=days_ago(9))], ingested_at=days_ago(2))
    assert keep_a_week(database).retired == ()
    assert one(database, "SELECT count(*) FROM shop.events") == 2


def test_events_before_the_first_day_are_removed_by_their_ingestion_time(database: Settings) -> None:
    dsn = database.dsn("owner")
    load_batch(dsn, [make_event(event_time=at("2019-05-01 12:00"))], ingested_at=days_ago(8))
    load_batch(dsn, [make_event(event_time=at("2019-05-01 12:00"))], ingested_at=days_ago(1))
    assert keep_a_week(database).retired == (RetiredPartition("events_before_2026", None, 1),)
    assert one(database, "SELECT count(*) FROM shop.events") == 1
    assert keep_a_week(database).retired == ()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(partitions, "LOCK_PAUSE_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_partition_in_use_is_left_for_the_next_run(database: Settings) -> None:
    load_old(database, 9)
    reader = connect(database.dsn("analyst"))
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(event_id) FROM shop.events")
            report = keep_a_week(database)
            cursor.execute("SELECT count(event_id) FROM shop.events")
            assert cursor.fetchone() == (1,)
    finally:
        reader.close()
    assert (report.busy, report.retired) == ((name_of(9),), ())
    assert one(database, "SELECT count(*) FROM shop.retired_partitions") == 0
    assert [retired.events for retired in keep_a_week(database).retired] == [1]


@pytest.fixture
def late_batch(database: Settings) -> Iterator[Any]:
    """Yield an open batch that has put an event into a day past retention."""
    load_old(database, 9)
    connection = connect(database.dsn("owner"))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO shop.events
            SELECT overlay(
                event_id::text PLACING CASE right(event_id::text, 1) WHEN 'f' THEN 'e' ELSE 'f' END FROM 36
            )::uuid, event_type, event_time, user_id,
                customer_segment, session_id, order_id, product_id, product_name, category, brand, unit_price,
                quantity, currency, payment_method, channel, device, country, city, batch_id, file_id,
                clock_timestamp()
            FROM shop.events
            """
        )
    yield connection
    connection.close()


def test_an_event_that_arrives_at_the_last_moment_is_not_lost(
    database: Settings, late_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_SECONDS", 30)
    with ThreadPoolExecutor() as pool:
        maintaining = pool.submit(keep_a_week, database)
        deadline = time.monotonic() + 20
        while not one(database, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            assert time.monotonic() < deadline, "maintain never waited for the batch"
            time.sleep(0.01)
        late_batch.commit()
        report = maintaining.result(timeout=20)
    assert (report.retired, report.busy) == ((), ())
    assert one(database, "SELECT count(*) FROM shop.events") == 2


def test_old_records_are_removed_and_the_ledger_stays(database: Settings) -> None:
    owner = database.dsn("owner")
    reject = {"raw": "x", "reasons": ["row_ragged"]}
    with transaction(owner) as cursor:
        # The creation of the views has left a record of each.
        cursor.execute("TRUNCATE shop.refreshes")
    for days in (9, 1):
        load_batch(owner, [], rejects=[reject], ingested_at=days_ago(days))
        with transaction(owner) as cursor:
            moment = {"at": days_ago(days)}
            cursor.execute(
                "INSERT INTO shop.quality_results (run_id, suite, table_name, check_name, severity, status,"
                " duration_ms, checked_at) VALUES ('r', 's', 't', 'c', 'info', 'passed', 1, %(at)s)",
                moment,
            )
            cursor.execute(
                "INSERT INTO shop.quality_runs (run_id, suite, table_name, scope, started_at, finished_at, verdict,"
                " checks, critical_failures, warnings)"
                " VALUES ('r', 's', 't', 'full', %(at)s, %(at)s, 'passed', 1, 0, 0)",
                moment,
            )
            cursor.execute(
                "INSERT INTO shop.refreshes (view_name, started_at, finished_at) VALUES ('v', %(at)s, %(at)s)", moment
            )
            cursor.execute(
                "INSERT INTO shop.alerts (key, severity, source, title, detail, raised_at, resolved_at, resolution)"
                " VALUES (%(at)s::text, 'info', 's', 't', 'd', %(at)s, %(at)s, 'recovered')",
                moment,
            )
            cursor.execute(
                "INSERT INTO shop.conflicts (event_id, batch_id, file_id, line, columns, duplicate, found_at)"
                " SELECT %(id)s, batch_id, file_id, 2, '{city}', '{}', %(at)s FROM shop.files ORDER BY file_id LIMIT 1",
                {**moment, "id": uuid7(days_ago(days))},
            )
    with transaction(owner) as cursor:
        # An open alert is kept at any age, since an operator still has to look after it.
        cursor.execute(
            "INSERT INTO shop.alerts (key, severity, source, title, detail, raised_at)"
            " VALUES ('open', 'info', 's', 't', 'd', %s) RETURNING alert_id",
            [days_ago(9)],
        )
        (open_id,) = cursor.fetchone()
    tables = ("rejects", "conflicts", "quality_runs", "quality_results", "refreshes", "alerts")
    deleted = keep_a_week(database).deleted
    assert {table: deleted[table] for table in tables} == dict.fromkeys(tables, 1)
    assert one(database, f"SELECT count(*) FROM shop.alerts WHERE alert_id = {open_id}") == 1
    for table in tables:
        assert one(database, f"SELECT count(*) FROM shop.{table}") == 1 + (table == "alerts")
    assert one(database, "SELECT count(*) FROM shop.batches") == 2
    assert one(database, "SELECT count(*) FROM shop.files") == 2
