"""Tests of conflicts: the first event of an id is stored, and a later one with other content is recorded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from include.contract import COLUMN_NAMES
from include.settings import Settings
from include.stream.storage.sink import BatchSink
from tests.support.csv_files import csv_text, valid_row
from tests.support.pipeline import pipeline
from tests.support.validated import batch, footer, query, typed_row

CONFLICTS = "SELECT file_id, batch_id, line, columns FROM shop.conflicts ORDER BY conflict_id"


def again(row: dict[str, Any], file_id: int, line: int, **changes: Any) -> dict[str, Any]:
    """Return the same event once more, with some fields changed."""
    return {**row, "file_id": file_id, "line": line, **changes}


def test_duplicates_that_differ_are_recorded(database: Settings, sink: BatchSink) -> None:
    first = typed_row(1, 2, city=None, brand="")
    sink.write(batch(first, footer(1, 1)), spark_batch_id=0)
    result = sink.write(
        batch(
            again(first, 2, 2),
            again(first, 2, 3, city="Köln", unit_price=Decimal("10.01")),
            again(first, 2, 4, event_time=first["event_time"] + timedelta(microseconds=1)),
            again(first, 2, 5, brand="x"),
            footer(2, 4),
        ),
        spark_batch_id=1,
    )
    assert result is not None
    assert (result.duplicate, result.conflicts) == (4, 3)
    assert query(database, CONFLICTS) == [
        (2, 2, 3, ["unit_price", "city"]),
        (2, 2, 4, ["event_time"]),
        (2, 2, 5, ["brand"]),
    ]
    ((event_id, duplicate),) = query(database, "SELECT event_id::text, duplicate FROM shop.conflicts WHERE line = 3")
    assert event_id == first["event_id"]
    assert duplicate.keys() == set(COLUMN_NAMES)
    assert (duplicate["city"], duplicate["unit_price"], duplicate["brand"]) == ("Köln", 10.01, "")
    assert query(database, "SELECT city, unit_price FROM shop.events") == [(None, Decimal("10.00"))]


def test_the_first_of_two_in_one_batch_wins(database: Settings, sink: BatchSink) -> None:
    first = typed_row(1, 2)
    rows = [first, again(first, 1, 3, quantity=7), again(first, 1, 4), footer(1, 3)]
    sink.write(batch(*rows, again(first, 2, 2, quantity=None), footer(2, 1)), spark_batch_id=0)
    assert query(database, CONFLICTS) == [(1, 1, 3, ["quantity"]), (2, 1, 2, ["quantity"])]
    assert query(database, "SELECT quantity FROM shop.events") == [(1,)]


def test_duplicates_of_one_batch_do_not_leak_into_the_next(database: Settings, sink: BatchSink) -> None:
    first = typed_row(1, 2)
    sink.write(batch(first, again(first, 1, 3, quantity=7), footer(1, 2)), spark_batch_id=0)
    sink.write(batch(again(first, 2, 2), footer(2, 1)), spark_batch_id=1)
    assert query(database, CONFLICTS) == [(1, 1, 3, ["quantity"])]


def test_an_event_with_other_unknown_columns_is_no_conflict(database: Settings, sink: BatchSink) -> None:
    first = typed_row(1, 2, extra='{"colour": "red"}')
    sink.write(batch(first, again(first, 1, 3, extra=None), footer(1, 2)), spark_batch_id=0)
    assert query(database, CONFLICTS) == []


@pytest.mark.parametrize("are_two_files", [False, True], ids=["one-file", "two-files"])
@pytest.mark.parametrize("first", [0, 1])
def test_the_first_of_two_events_under_one_id_wins_in_either_order(
    database: Settings, first: int, are_two_files: bool
) -> None:
    cheap = valid_row(order_id="O1", unit_price="10.00", quantity="1")
    rows = [cheap, {**cheap, "order_id": "O2", "unit_price": "500.00"}]
    ordered = [rows[first], rows[1 - first]]
    with pipeline(database) as stream:
        if are_two_files:
            stream.load(csv_text(ordered[:1]))
            stream.load(csv_text(ordered[1:]))
        else:
            stream.load(csv_text(ordered))
    assert query(database, "SELECT order_id FROM shop.events") == [(ordered[0]["order_id"],)]
    assert query(database, "SELECT sum(amount) FROM shop.rollup_minute") == [(Decimal(str(ordered[0]["unit_price"])),)]
    assert query(database, "SELECT columns, duplicate->>'order_id' FROM shop.conflicts") == [
        (["order_id", "unit_price"], ordered[1]["order_id"])
    ]


def test_the_same_event_from_two_exporters_is_no_conflict(database: Settings) -> None:
    """One exporter leaves an empty field unquoted, the other one quotes it."""
    bare = csv_text([valid_row(event_type="view", order_id=None, quantity=None, payment_method=None, city=None)])
    quoted = "".join(",".join(f'"{field}"' for field in line.split(",")) + "\n" for line in bare.splitlines())
    with pipeline(database) as stream:
        (first,) = stream.load(quoted)
        (second,) = stream.load(bare)
    assert (first.accepted, second.duplicate, second.conflicts) == (1, 1, 0)
    assert query(database, "SELECT order_id, quantity, payment_method, city FROM shop.events") == [(None,) * 4]
