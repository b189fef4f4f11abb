"""Tests of large files: each slice is loaded exactly once, and the balance adds up whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.contract import RULES
from include.reconcile import reconcile
from include.settings import Settings
from include.stream.reading.records import START, Position
from include.stream.storage.sink import BatchSink
from tests.support.csv_files import csv_text, valid_row
from tests.support.validated import batch, footer, query, typed_row

SECOND, THIRD = Position(4000, 4), Position(9000, 6)
BALANCE = "SELECT state, read, accepted, duplicate, rejected, slices, next_byte, next_line, batch_id FROM shop.files"


def file_one(database: Settings) -> tuple[Any, ...]:
    (row,) = query(database, f"{BALANCE} WHERE file_id = 1")
    return row


def assert_agrees(database: Settings) -> None:
    report = reconcile(database.dsn("ops"), database.manifest_dir, is_ledger_only=True)
    # A file that waits for its next slice is a problem but no difference.
    assert report.differences == ()


def first_slice(**options: Any) -> Any:
    return batch(typed_row(1, 2), typed_row(1, 3), footer(1, 2, end=SECOND, **options))


def test_the_slices_of_a_file_add_up(database: Settings, sink: BatchSink) -> None:
    first = sink.write(first_slice(digest="abc", size_bytes=12000), spark_batch_id=0)
    assert first is not None
    assert (first.files, first.read) == (1, 2)
    assert file_one(database) == ("admitted", 2, 2, 0, 0, 1, 4000, 4, 1)
    assert_agrees(database)

    twin = typed_row(1, 4)
    middle = batch(twin, {**twin, "line": 5}, footer(1, 2, start=SECOND, end=THIRD), typed_row(2, 2), footer(2, 1))
    sink.write(middle, spark_batch_id=1)
    assert file_one(database) == ("admitted", 4, 3, 1, 0, 2, 9000, 6, 2)
    assert_agrees(database)
    assert Path(sink.landing.admitted_path(sink.epoch, 1, "1.csv")).exists()

    sink.write(batch(typed_row(1, 6), footer(1, 1, start=THIRD)), spark_batch_id=2)
    assert file_one(database) == ("loaded", 5, 4, 1, 0, 3, 9000, 6, 3)
    assert query(
        database, "SELECT batch_id, first_line, read, accepted, duplicate FROM shop.file_slices ORDER BY 1"
    ) == [
        (1, 1, 2, 2, 0),
        (2, 4, 2, 1, 1),
        (3, 6, 1, 1, 0),
    ]
    assert query(database, "SELECT files FROM shop.batches ORDER BY batch_id") == [(1,), (2,), (1,)]
    assert query(database, "SELECT digest, finished_at IS NOT NULL FROM shop.files WHERE file_id = 1") == [
        ("abc", True)
    ]
    assert not Path(sink.landing.admitted_path(sink.epoch, 1, "1.csv")).exists()
    assert_agrees(database)


def test_a_file_in_one_slice_has_no_records_of_slices(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(typed_row(1, 2), footer(1, 1)), spark_batch_id=0)
    assert query(database, "SELECT count(*) FROM shop.file_slices") == [(0,)]
    assert file_one(database)[5] == 1


def test_a_loaded_slice_is_not_loaded_again(database: Settings, sink: BatchSink) -> None:
    part = first_slice()
    sink.write(part, spark_batch_id=0)
    before = query(database, "SELECT * FROM shop.files ORDER BY file_id")
    assert sink.write(part, spark_batch_id=1) is None
    assert query(database, "SELECT * FROM shop.files ORDER BY file_id") == before
    result = sink.write([*part, *batch(typed_row(2, 2), footer(2, 1))], spark_batch_id=2)
    assert result is not None
    assert (result.files, result.read) == (1, 1)
    assert query(database, "SELECT count(*) FROM shop.events") == [(3,)]
    assert_agrees(database)


def test_a_slice_that_is_not_the_next_is_skipped(database: Settings, sink: BatchSink) -> None:
    assert sink.write(batch(typed_row(1, 9), footer(1, 1, start=SECOND)), spark_batch_id=0) is None
    assert file_one(database) == ("admitted", 0, 0, 0, 0, 0, START.byte, START.line, None)


def test_a_fault_in_a_later_slice_keeps_the_stored_events(database: Settings, sink: BatchSink) -> None:
    sink.write(first_slice(), spark_batch_id=0)
    sink.write(batch(typed_row(1, 4), footer(1, 1, "unreadable", start=SECOND)), spark_batch_id=1)
    assert file_one(database) == ("quarantined", 2, 2, 0, 0, 2, 4000, 4, 2)
    assert query(database, "SELECT fault FROM shop.files WHERE file_id = 1") == [("unreadable",)]
    assert query(database, "SELECT count(*) FROM shop.events") == [(2,)]
    assert_agrees(database)


def test_a_loaded_slice_clears_the_failed_attempts(database: Settings, sink: BatchSink) -> None:
    attempts = "SELECT attempts, failures, tried_with, last_error FROM shop.files WHERE file_id = 1"
    fail = "UPDATE shop.files SET attempts = 3, failures = 1, tried_with = 2, last_error = 'x' RETURNING 1"
    query(database, fail)
    sink.write(first_slice(), spark_batch_id=0)
    assert query(database, attempts) == [(0, 0, 0, None)]


def test_rejects_of_a_later_slice_have_their_line_and_text(database: Settings, sink: BatchSink) -> None:
    path = sink.landing.admitted_path(sink.epoch, 1, "1.csv")
    text = csv_text([valid_row(product_name=f"Shoe {number}") for number in range(4)])
    path.write_text(text)
    lines = text.splitlines(keepends=True)
    second = Position(len("".join(lines[:3])), 4)
    sink.write(batch(typed_row(1, 2), typed_row(1, 3), footer(1, 2, end=second)), spark_batch_id=0)
    broken = 1 << [rule.code for rule in RULES].index("country_invalid")
    sink.write(batch(typed_row(1, 4), typed_row(1, 5, broken=broken), footer(1, 2, start=second)), spark_batch_id=1)
    assert query(database, "SELECT line, raw FROM shop.rejects") == [(5, lines[4].rstrip("\n"))]


def test_retention_of_the_first_slice_is_no_difference(database: Settings, sink: BatchSink) -> None:
    sink.write(first_slice(), spark_batch_id=0)
    sink.write(batch(typed_row(1, 4), footer(1, 1, start=SECOND)), spark_batch_id=1)
    query(database, "UPDATE shop.batches SET started_at = now() - interval '8 days' WHERE batch_id = 1 RETURNING 1")
    query(database, "DELETE FROM shop.events WHERE batch_id = 1 RETURNING 1")
    query(database, "DELETE FROM shop.rollup_minute RETURNING 1")
    report = reconcile(database.dsn("ops"), database.manifest_dir, is_ledger_only=True)
    assert "accepted: one file = its events" in {one.measure for one in report.differences}
    query(
        database,
        "INSERT INTO shop.retired_partitions (partition_name, day, events, ingested_before)"
        " VALUES ('x', '2026-01-01', 2, now() - interval '7 days') RETURNING 1",
    )
    report = reconcile(database.dsn("ops"), database.manifest_dir, is_ledger_only=True)
    assert "accepted: one file = its events" not in {one.measure for one in report.differences}


def test_a_wrong_record_of_a_slice_is_found(database: Settings, sink: BatchSink) -> None:
    sink.write(first_slice(), spark_batch_id=0)
    sink.write(batch(typed_row(1, 4), footer(1, 1, start=SECOND)), spark_batch_id=1)
    assert_agrees(database)
    query(database, "UPDATE shop.file_slices SET read = 3, accepted = 3 WHERE batch_id = 1 RETURNING 1")
    report = reconcile(database.dsn("ops"), database.manifest_dir, is_ledger_only=True)
    assert {"read: one batch = its files", "read: one file = its slices"} <= {one.measure for one in report.differences}


def test_fields_of_unknown_columns_are_kept(database: Settings, sink: BatchSink) -> None:
    now = datetime.now(UTC)
    extra = '{"colour": "rosé \\"2\\"", "size": null}'
    rows = [typed_row(1, 2, event_time=now, extra=extra), typed_row(1, 3, event_time=now, extra=None)]
    sink.write(batch(*rows, footer(1, 2)), spark_batch_id=0)
    assert query(database, "SELECT extra FROM shop.events ORDER BY extra NULLS LAST") == [
        ({"colour": 'rosé "2"', "size": None},),
        (None,),
    ]
