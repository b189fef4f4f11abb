"""Tests of the job's query on real files, with real Spark and real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from include.db import transaction
from include.generator.options import GeneratorOptions
from include.generator.run import generate
from include.reconcile.run import reconcile
from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.storage.sink import BatchSink, backlog_is_empty
from include.stream.supervision.status import stream_status
from jobs.query import build_query
from jobs.recovery import reason_of
from jobs.runner import fresh_checkpoint
from tests.support.csv_files import csv_text, deliver, uuid7, valid_row
from tests.support.stream import next_epoch
from tests.support.waiting import wait_until


@contextmanager
def stream(spark: SparkSession, settings: Settings, query_name: str = "events") -> Iterator[StreamingQuery]:
    """Yield a running query with a new epoch."""
    landing = Landing.of(settings)
    landing.make()
    epoch = next_epoch(settings, query_name)
    sink = BatchSink(settings.dsn("ingest"), landing, query_name, epoch)
    lock, stopping = threading.Lock(), threading.Event()
    query = build_query(
        spark,
        settings,
        sink=sink,
        checkpoint=fresh_checkpoint(settings.checkpoint_dir, epoch),
        batch_lock=lock,
        stopping=stopping,
    )
    try:
        yield query
    finally:
        stopping.set()
        with lock:
            query.stop()
        sink.close()


def load(spark: SparkSession, settings: Settings) -> None:
    """Run the stream until no file waits."""
    with stream(spark, settings) as query:
        drain(query, settings)


def drain(query: StreamingQuery, settings: Settings) -> None:
    def is_drained() -> bool:
        if query.exception() is not None:
            pytest.fail(reason_of(str(query.exception())))
        return backlog_is_empty(settings.dsn("ingest"), Landing.of(settings))

    wait_until(is_drained, seconds=120, what="the stream to load the waiting files")


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


@pytest.fixture
def landing(database: Settings) -> Path:
    Landing.of(database).make()
    return database.landing_dir


def test_a_query_that_starts_with_nothing_to_load_stays(spark: SparkSession, database: Settings, landing: Path) -> None:
    with stream(spark, database) as query:
        # Spark makes a first batch of a fresh query even if its source is empty.
        wait_until(lambda: query.lastProgress or query.exception(), seconds=60, what="the first progress")
        deliver(landing, csv_text([valid_row()]))
        drain(query, database)
    assert rows(database, "SELECT count(*) FROM shop.events") == [(1,)]


def test_every_row_ends_in_exactly_one_place(spark: SparkSession, database: Settings, landing: Path) -> None:
    first, second = valid_row(), valid_row(event_type="view", quantity=None, order_id=None, payment_method=None)
    bad = valid_row(category="Groceries", quantity="-1")
    name = deliver(landing, csv_text([first, second, bad, first]) + "ragged,row\n")
    load(spark, database)

    assert rows(database, "SELECT name, state, read, accepted, duplicate, rejected FROM shop.files") == [
        (name, "loaded", 5, 2, 1, 2)
    ]
    assert rows(database, "SELECT files, read, accepted, duplicate, rejected FROM shop.batches") == [(1, 5, 2, 1, 2)]
    assert rows(database, "SELECT event_id::text FROM shop.events ORDER BY 1") == sorted(
        (row["event_id"],) for row in (first, second)
    )
    assert rows(database, "SELECT line, raw, reasons FROM shop.rejects ORDER BY line") == [
        (4, csv_text([bad]).splitlines()[1], ["category_unknown", "quantity_invalid"]),
        (6, "ragged,row", ["row_ragged"]),
    ]
    assert rows(database, "SELECT event_type, events, quantity, amount FROM shop.rollup_minute ORDER BY 1") == [
        ("purchase", 1, 2, Decimal("179.80")),
        ("view", 1, 0, Decimal("0.00")),
    ]
    assert list(landing.iterdir()) == []
    assert [path.name for path in database.archive_dir.glob("*/*")] == [f"1-{name}"]


def test_a_stored_event_has_the_fields_of_its_file(spark: SparkSession, database: Settings, landing: Path) -> None:
    sent = valid_row(product_name="a, \"b\"\n\\N 'c'; DROP TABLE shop.events; --", city=None, brand="شركة\u200b")
    deliver(landing, csv_text([sent]))
    load(spark, database)
    (stored,) = rows(
        database,
        "SELECT product_name, city, brand, unit_price::text, quantity, event_time AT TIME ZONE 'UTC',"
        " batch_id, file_id, ingested_at IS NOT NULL FROM shop.events",
    )
    instant = str(sent["event_time"]).replace("T", " ").removesuffix("+00:00")
    assert stored[:5] == (sent["product_name"], None, sent["brand"], "89.90", 2)
    assert stored[5].isoformat(sep=" ", timespec="milliseconds") == instant
    assert stored[6:] == (1, 1, True)


def test_duplicates_are_counted_wherever_they_come_from(spark: SparkSession, database: Settings, landing: Path) -> None:
    event = valid_row()
    another_day = {**event, "event_time": "2026-01-02T03:04:05Z", "brand": "Other"}
    deliver(landing, csv_text([event, event]))
    deliver(landing, csv_text([event]))
    load(spark, database)
    deliver(landing, csv_text([event, valid_row(), another_day]))
    load(spark, database)

    assert rows(database, "SELECT accepted, duplicate FROM shop.files ORDER BY file_id") == [(1, 1), (0, 1), (1, 2)]
    assert rows(database, f"SELECT brand FROM shop.events WHERE event_id = '{event['event_id']}'") == [
        (event["brand"],)
    ]


def test_bad_files_are_quarantined_whole_and_the_others_are_loaded(
    spark: SparkSession, database: Settings, landing: Path
) -> None:
    good, rest = csv_text([valid_row()]).split("\n", 1)
    deliver(landing, "1,2,3\n" + rest, "no-header.csv")
    deliver(landing, b"\x1f\x8b damaged", "damaged.csv.gz")
    (landing / "folder.csv").mkdir()
    deliver(landing, good + "\n" + rest, "good.csv")
    load(spark, database)

    assert rows(database, "SELECT name, state, fault, read FROM shop.files ORDER BY name") == [
        ("damaged.csv.gz", "quarantined", "gzip_damaged", 0),
        ("folder.csv", "quarantined", "not_a_regular_file", 0),
        ("good.csv", "loaded", None, 1),
        ("no-header.csv", "quarantined", "header_missing", 0),
    ]
    kept = {path.name.split("-", 1)[1] for path in database.quarantine_dir.glob("*/*")}
    assert kept == {"no-header.csv", "damaged.csv.gz", "folder.csv"}


def test_a_file_being_written_is_left_alone(spark: SparkSession, database: Settings, landing: Path) -> None:
    (landing / ".events.csv").write_text(csv_text([valid_row()]))
    (landing / "notes.txt").write_text("not events")
    deliver(landing, csv_text([valid_row()]))
    load(spark, database)
    assert {path.name for path in landing.iterdir()} == {".events.csv", "notes.txt"}
    assert rows(database, "SELECT count(*) FROM shop.files") == [(1,)]


def test_a_newer_driver_fences_the_older(spark: SparkSession, database: Settings, landing: Path) -> None:
    with stream(spark, database) as older:
        deliver(landing, csv_text([valid_row()]))
        drain(older, database)
        next_epoch(database)
        deliver(landing, csv_text([valid_row()]))
        wait_until(lambda: not older.isActive, seconds=30, what="the older driver to end")
        assert "FencedError" in reason_of(str(older.exception()))
    assert rows(database, "SELECT count(*) FROM shop.events") == [(1,)]
    load(spark, database)
    assert rows(database, "SELECT count(*) FROM shop.events") == [(2,)]


def test_a_driver_continues_where_a_dead_one_stopped(spark: SparkSession, database: Settings, landing: Path) -> None:
    """A driver that dies right after it commits an admission leaves a file that is neither loaded nor moved."""
    name = deliver(landing, csv_text([valid_row()]))
    with transaction(database.dsn("ingest")) as cursor:
        cursor.execute("INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES (%s, 1, now())", [name])
    load(spark, database)
    assert rows(database, "SELECT name, state, accepted FROM shop.files") == [(name, "loaded", 1)]


def test_the_status_follows_the_stream(spark: SparkSession, database: Settings, landing: Path) -> None:
    dsn = database.dsn("ops")
    assert not stream_status(dsn).is_alive
    with stream(spark, database) as query:
        wait_until(lambda: stream_status(dsn).is_alive, seconds=60, what="a heartbeat")
        deliver(landing, csv_text([valid_row(), valid_row(country="?")]))
        drain(query, database)
        status = stream_status(dsn)
        assert (status.batches, status.read, status.accepted, status.rejected) == (1, 2, 1, 1)
        assert status.lag_seconds is not None
        assert status.lag_seconds > 0
        assert stream_status(dsn, after_batch_id=status.last_batch_id).batches == 0


def test_events_of_any_day_find_a_partition(spark: SparkSession, database: Settings, landing: Path) -> None:
    days = [datetime(year, 3, 1, tzinfo=UTC) for year in (1999, 2025, 2026)]
    deliver(landing, csv_text([valid_row(event_id=uuid7(day), event_time=day.isoformat()) for day in days]))
    load(spark, database)
    assert rows(database, "SELECT tableoid::regclass::text FROM shop.events ORDER BY event_id") == [
        ("shop.events_before_2026",),
        ("shop.events_before_2026",),
        ("shop.events_20260301",),
    ]
    assert rows(database, "SELECT warnings FROM shop.batches") == [({"event_late": 3},)]


def test_postgres_holds_exactly_the_generated_rows(spark: SparkSession, database: Settings, landing: Path) -> None:
    options = GeneratorOptions(
        seed=5,
        start=datetime.now(UTC) - timedelta(minutes=2),
        events_per_second=200,
        duration_seconds=60,
        rows_per_file=1500,
        bad_share=0.1,
        duplicate_share=0.05,
        late_share=0.05,
        is_paced=False,
    )
    totals = generate(options, landing, database.manifest_dir)
    load(spark, database)
    report = reconcile(database.dsn("ops"), database.manifest_dir)
    assert report.agrees, [*report.differences, *report.problems]
    assert rows(database, "SELECT sum(read), sum(rejected), sum(duplicate) FROM shop.batches") == [
        (totals.rows, totals.bad, totals.duplicates)
    ]
    assert min(totals.bad, totals.duplicates, totals.late) > 0
