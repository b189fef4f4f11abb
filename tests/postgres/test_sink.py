"""Tests of the batch transaction on a real PostgreSQL, with input made by hand in place of Spark's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2.errors
import pytest

from include.contract import RULES
from include.db import load_queries, transaction
from include.errors import BalanceError, FencedError
from include.settings import Settings
from include.stream.storage.sink import BatchSink
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.pipeline import pipeline
from tests.support.stream import next_epoch
from tests.support.validated import batch, footer, query, typed_row


def test_a_replayed_batch_changes_nothing(database: Settings, sink: BatchSink) -> None:
    flagged = batch(typed_row(1, 2), footer(1, 1), footer(2, 0))
    assert sink.write(flagged, spark_batch_id=0) is not None
    before = query(database, "SELECT * FROM shop.batches, shop.files ORDER BY file_id")
    assert sink.write(flagged, spark_batch_id=1) is None
    assert query(database, "SELECT * FROM shop.batches, shop.files ORDER BY file_id") == before
    assert query(database, "SELECT count(*) FROM shop.events") == [(1,)]


def test_a_loaded_file_is_skipped_in_a_batch_with_new_ones(database: Settings, sink: BatchSink) -> None:
    old, new = typed_row(1, 2), typed_row(2, 2)
    sink.write(batch(old, footer(1, 1)), spark_batch_id=0)
    result = sink.write(batch(old, footer(1, 1), new, footer(2, 1)), spark_batch_id=1)
    assert result is not None
    assert (result.files, result.read, result.accepted, result.duplicate) == (1, 1, 1, 0)


def test_an_old_epoch_cannot_write(database: Settings, sink: BatchSink) -> None:
    newer = next_epoch(database)
    with pytest.raises(FencedError, match=f"holds epoch {sink.epoch} .* the current one is {newer}"):
        sink.write(batch(typed_row(1, 2), footer(1, 1)), spark_batch_id=0)
    assert query(database, "SELECT count(*) FROM shop.events, shop.batches") == [(0,)]


def test_rows_that_do_not_add_up_are_not_stored(database: Settings, sink: BatchSink) -> None:
    with pytest.raises(BalanceError, match="file 1: 2 rows were read"):
        sink.write(batch(typed_row(1, 2), footer(1, 2)), spark_batch_id=0)
    assert query(database, "SELECT count(*) FROM shop.events") == [(0,)]
    assert query(database, "SELECT DISTINCT state FROM shop.files") == [("admitted",)]


def test_no_row_of_a_faulty_file_is_stored(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(typed_row(1, 2), footer(1, 1, "gzip_damaged"), typed_row(2, 2), footer(2, 1)), spark_batch_id=0)
    assert query(database, "SELECT file_id, state, read, accepted FROM shop.files ORDER BY 1") == [
        (1, "quarantined", 0, 0),
        (2, "loaded", 1, 1),
    ]
    assert query(database, "SELECT file_id FROM shop.events") == [(2,)]


def test_a_late_duplicate_is_found_among_older_and_newer_events(database: Settings, sink: BatchSink) -> None:
    now = datetime.now(UTC)
    ids = [uuid7(now - timedelta(days=days)) for days in range(4)]
    stored = [typed_row(1, 2 + index, event_id=event_id) for index, event_id in enumerate((ids[0], ids[2]))]
    sink.write(batch(*stored, footer(1, 2)), spark_batch_id=0)
    more = [typed_row(2, 2 + index, event_id=event_id) for index, event_id in enumerate([*ids, ids[3]])]
    result = sink.write(batch(*more, footer(2, 5)), spark_batch_id=1)
    assert result is not None
    assert (result.accepted, result.duplicate) == (2, 3)
    assert query(database, "SELECT count(*), count(DISTINCT event_id) FROM shop.events") == [(4, 4)]


def test_several_task_results_are_stored_as_one_batch(database: Settings, sink: BatchSink) -> None:
    first, second = typed_row(1, 2), typed_row(2, 2)
    older = typed_row(2, 3, event_id=uuid7(datetime.now(UTC) - timedelta(hours=2)), broken=1 << len(RULES) - 1)
    again = {**first, "file_id": 2, "line": 4}
    parts = [*batch(first, footer(1, 1)), *batch(second, older, again, footer(2, 3))]
    result = sink.write(parts, spark_batch_id=0)
    assert result is not None
    assert (result.files, result.read, result.accepted, result.duplicate) == (2, 4, 3, 1)
    assert query(database, "SELECT files, read, accepted, duplicate, warnings FROM shop.batches") == [
        (2, 4, 3, 1, {"event_late": 1})
    ]
    assert query(database, "SELECT sum(events)::int FROM shop.rollup_minute") == [(3,)]
    assert query(database, "SELECT count(*) FROM shop.events") == [(3,)]


def test_a_task_result_that_fails_rolls_back_those_before_it(database: Settings, sink: BatchSink) -> None:
    parts = [*batch(typed_row(1, 2), footer(1, 1)), *batch(typed_row(2, 2), footer(2, 2))]
    with pytest.raises(BalanceError, match="file 2: 2 rows were read"):
        sink.write(parts, spark_batch_id=0)
    assert query(database, "SELECT count(*) FROM shop.events") == [(0,)]
    assert query(database, "SELECT count(*) FROM shop.batches") == [(0,)]


def test_the_rollup_sums_exactly(database: Settings, sink: BatchSink) -> None:
    minute = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    dear: dict[str, Any] = {"event_time": minute, "unit_price": Decimal("9999999999.99"), "quantity": 1000}
    cheap: dict[str, Any] = {"event_time": minute + timedelta(seconds=59), "unit_price": Decimal("0.01"), "quantity": 3}
    sink.write(batch(typed_row(1, 2, **dear), typed_row(1, 3, **cheap), footer(1, 2)), spark_batch_id=0)
    sink.write(batch(typed_row(2, 2, **cheap), footer(2, 1)), spark_batch_id=1)
    assert query(database, "SELECT minute, events, quantity, amount, batch_id FROM shop.rollup_minute") == [
        (minute, 3, 1006, Decimal("9999999999990.06"), 2)
    ]
    assert query(database, "SELECT hour, events, quantity, amount FROM shop.rollup_hour") == [
        (minute.replace(minute=0), 3, 1006, Decimal("9999999999990.06"))
    ]


def test_rejects_name_line_and_reasons(database: Settings, sink: BatchSink) -> None:
    codes = [rule.code for rule in RULES]
    broken = 1 << codes.index("country_invalid") | 1 << codes.index("event_late")
    sink.write(batch(typed_row(1, 2, broken=broken), footer(1, 1)), spark_batch_id=0)
    assert query(database, "SELECT file_name, line, reasons FROM shop.rejects") == [("1.csv", 2, ["country_invalid"])]
    ((raw,),) = query(database, "SELECT raw FROM shop.rejects")
    assert raw == next(Path(sink.landing.archive).glob("*/1-1.csv")).read_text().splitlines()[1]


def test_a_reject_whose_row_the_file_lost_has_no_raw_text(database: Settings, sink: BatchSink) -> None:
    """An empty text would mean that the row was empty."""
    broken = 1 << [rule.code for rule in RULES].index("country_invalid")
    sink.write(batch(typed_row(1, 2, broken=broken), typed_row(1, 3, broken=broken), footer(1, 2)), spark_batch_id=0)
    assert query(database, "SELECT line, raw IS NULL FROM shop.rejects ORDER BY line") == [(2, False), (3, True)]


def test_a_reject_has_its_details_and_a_batch_its_warnings(database: Settings) -> None:
    content = csv_text([valid_row(), valid_row(country="Germany", unit_price="19,90"), valid_row(city=None)])
    with pipeline(database) as stream:
        stream.load(content + "x,y\n" + csv_text([valid_row()]).splitlines()[1])
    assert query(database, "SELECT line, detail FROM shop.rejects ORDER BY line") == [
        (3, {"unit_price_invalid": "19,90", "country_invalid": "Germany"}),
        (5, {"row_ragged": "2 fields, the header has 19"}),
    ]
    assert query(database, "SELECT accepted, warnings FROM shop.batches") == [(3, {"last_line_unfinished": 1})]
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(load_queries("platform")["reject_reasons"], {"file_id": 1})
        assert cursor.fetchall() == [
            ("country_invalid", 1, "Germany"),
            ("row_ragged", 1, "2 fields, the header has 19"),
            ("unit_price_invalid", 1, "19,90"),
        ]


def test_a_partition_that_retention_dropped_is_created_again(database: Settings, sink: BatchSink) -> None:
    old = datetime(2026, 2, 3, tzinfo=UTC)
    sink.write(batch(typed_row(1, 2, event_id=uuid7(old)), footer(1, 1)), spark_batch_id=0)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("DROP TABLE shop.events_20260203")
    late = batch(typed_row(2, 2, event_id=uuid7(old)), footer(2, 1))
    with pytest.raises(psycopg2.errors.CheckViolation, match="no partition"):
        sink.write(late, spark_batch_id=1)
    assert sink.write(late, spark_batch_id=1) is not None
    assert query(database, "SELECT tableoid::regclass::text FROM shop.events") == [("shop.events_20260203",)]
