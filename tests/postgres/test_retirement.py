"""The ledger has an age, and every total still adds up after it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.db import retirement, transaction
from include.db.partitions import maintain
from include.db.retirement import Retirement, retire_ledger
from include.reconcile import Report, reconcile
from include.settings import Settings
from include.stream.records import Position
from include.stream.sink import BatchSink
from tests.support.judged import batch, footer, query, typed_row
from tests.support.rows import days_ago, load_batch, make_event
from tests.support.stream import next_epoch

REJECT = {"raw": "x", "reasons": ["row_ragged"]}


def keep_a_month(database: Settings) -> Retirement:
    """A run of the maintenance."""
    maintain(database.dsn("owner"), ahead_days=1, retention_days=7)
    return retire_ledger(database.dsn("owner"), ledger_days=30)


def load(database: Settings, days: float, *, count: int = 1, event_days: float | None = None) -> int:
    """A file of that many days ago, with events of then or of ``event_days`` ago, and a reject."""
    moment = days_ago(days if event_days is None else event_days)
    events = [make_event(event_time=moment) for _ in range(count)]
    return load_batch(database.dsn("owner"), events, rejects=[REJECT], ingested_at=days_ago(days))


def count(database: Settings, table: str) -> int:
    ((rows,),) = query(database, f"SELECT count(*) FROM shop.{table}")
    return rows


def report_of(database: Settings) -> Report:
    return reconcile(database.dsn("quality"), database.manifest_dir, retention_days=7, is_ledger_only=True)


def test_what_is_past_its_age_goes_and_totals_still_add_up(database: Settings) -> None:
    for days, rows in ((40, 3), (31, 2), (29, 4), (1, 1)):
        load(database, days, count=rows)
    assert report_of(database).agrees
    done = keep_a_month(database)
    assert done == Retirement({"files": 2, "batches": 2, "rollup_minute": 2, "runs": 0}, is_complete=True)
    assert str(done).startswith("files: 2 rows retired\nbatches: 2 rows retired")
    assert [count(database, table) for table in ("files", "batches", "rollup_minute")] == [2, 2, 2]
    report = report_of(database)
    assert report.agrees, (report.problems, report.differences)
    assert report.sums["read: batches = files"].found == 14
    assert report.sums["files: batches = files"].found == 4
    assert report.sums["accepted: files = rollups"].found == 10
    assert keep_a_month(database).removed == {"files": 0, "batches": 0, "rollup_minute": 0, "runs": 0}
    # A later run adds to what is on record of the day.
    query(database, "UPDATE shop.batches SET committed_at = now() - interval '31 days' WHERE read = 5 RETURNING 1")
    assert keep_a_month(database).removed["files"] == 1
    assert query(database, "SELECT sum(rows), sum(read) FROM shop.retired_ledger WHERE table_name = 'files'") == [
        (3, 12)
    ]
    assert report_of(database).agrees


@pytest.mark.parametrize(
    ("damage", "measure"),
    [
        ("UPDATE shop.retired_ledger SET files = 9 WHERE table_name = 'files'", "files: batches = files"),
        ("DELETE FROM shop.files WHERE file_id = (SELECT max(file_id) FROM shop.files)", "read: one batch = its files"),
        (
            "UPDATE shop.events SET file_id = 999 WHERE file_id = (SELECT max(file_id) FROM shop.files)",
            "accepted: one file = its events",
        ),
        ("UPDATE shop.rollup_minute SET events = events + 1", "events: events = rollups"),
    ],
)
def test_a_damage_after_retirement_is_still_found(database: Settings, damage: str, measure: str) -> None:
    load(database, 40)
    load(database, 1)
    keep_a_month(database)
    assert report_of(database).agrees
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("ALTER TABLE shop.rejects DROP CONSTRAINT rejects_file_id_fkey")
        cursor.execute(damage)
    assert measure in {one.measure for one in report_of(database).differences}


def test_a_file_that_waits_stays_however_old(database: Settings) -> None:
    load(database, 40)
    load(database, 1)
    query(
        database,
        "UPDATE shop.files SET state = 'admitted', settled_at = NULL WHERE file_id ="
        " (SELECT min(file_id) FROM shop.files) RETURNING 1",
    )
    assert keep_a_month(database).removed["files"] == 0
    assert count(database, "batches") == 2, "and so does the batch that it refers to"


def test_a_file_that_was_quarantined_without_a_batch_goes_by_its_own_age(database: Settings) -> None:
    load(database, 1)
    for days in (31, 29):
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute(
                "INSERT INTO shop.files (name, state, size_bytes, arrived_at, settled_at, fault)"
                " VALUES ('x.csv', 'quarantined', 1, now(), %s, 'poison')",
                (days_ago(days),),
            )
    assert keep_a_month(database).removed["files"] == 1
    assert report_of(database).agrees


def test_the_newest_batch_stays(database: Settings) -> None:
    load(database, 40)
    load(database, 35)
    assert keep_a_month(database).removed == {"files": 1, "batches": 1, "rollup_minute": 1, "runs": 0}
    assert report_of(database).agrees


def test_a_rollup_that_a_late_event_changed_stays(database: Settings) -> None:
    load(database, 40)
    load(database, 1, event_days=39)
    load(database, 1)
    assert keep_a_month(database).removed["rollup_minute"] == 1
    assert count(database, "rollup_minute") == count(database, "rollup_hour") == 2
    report = report_of(database)
    assert report.agrees, report.differences


def test_events_that_outlive_their_file_are_no_disagreement(database: Settings) -> None:
    """A day partition stays while one of its events is new, and with it events whose file is past the ledger's age."""
    load(database, 40, count=2)
    load(database, 1, event_days=40)
    keep_a_month(database)
    assert count(database, "events") == 3
    assert count(database, "files") == 1
    report = report_of(database)
    assert report.agrees, report.differences


def test_parts_of_a_file_that_is_kept_keep_their_batches(database: Settings, sink: BatchSink) -> None:
    second = Position(100, 3)
    sink.write(batch(typed_row(1, 2), footer(1, 1, end=second), typed_row(2, 2), footer(2, 1)), spark_batch_id=0)
    query(database, "UPDATE shop.batches SET committed_at = now() - interval '31 days' RETURNING 1")
    sink.write(batch(typed_row(1, 3), footer(1, 1, start=second)), spark_batch_id=1)
    assert keep_a_month(database).removed == {"files": 1, "batches": 0, "rollup_minute": 0, "runs": 0}
    report = report_of(database)
    assert report.agrees, report.differences
    query(database, "UPDATE shop.batches SET committed_at = now() - interval '31 days' RETURNING 1")
    load(database, 0)
    assert keep_a_month(database).removed["batches"] == 2
    assert count(database, "file_parts") == 0
    assert report_of(database).agrees


def test_old_runs_go_and_the_newest_stay(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "KEPT_RUNS", 2)
    epochs = [next_epoch(database) for _ in range(4)]
    query(database, "UPDATE shop.runs SET started_at = now() - interval '31 days' RETURNING 1")
    assert keep_a_month(database).removed["runs"] == 2
    assert query(database, "SELECT epoch FROM shop.runs ORDER BY 1") == [(epochs[2],), (epochs[3],)]


def test_it_goes_in_small_steps_and_stops_when_its_time_is_over(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        load(database, 40)
    load(database, 1)
    monkeypatch.setattr(retirement, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(retirement, "BUDGET_SECONDS", 0.0)
    stopped = keep_a_month(database)
    assert not stopped.is_complete
    assert "the next run goes on" in str(stopped)
    monkeypatch.undo()
    monkeypatch.setattr(retirement, "ROWS_AT_ONCE", 2)
    assert keep_a_month(database).removed["files"] == 5
    assert report_of(database).agrees


def test_the_stream_goes_on_after_it(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(typed_row(1, 2), footer(1, 1)), spark_batch_id=0)
    sink.write(batch(typed_row(2, 2), footer(2, 1)), spark_batch_id=1)
    query(database, "UPDATE shop.batches SET committed_at = now() - interval '31 days' RETURNING 1")
    keep_a_month(database)
    assert [file_id for (file_id,) in query(database, "SELECT file_id FROM shop.files")] == [2]
    late: dict[str, Any] = typed_row(2, 2, event_time=datetime.now(UTC))
    assert sink.write(batch(late, footer(2, 1)), spark_batch_id=2) is None
