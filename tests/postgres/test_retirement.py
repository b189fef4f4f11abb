"""Tests of the ledger's retention: old rows are removed, and every total still adds up afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.db import retirement, transaction
from include.db.facts import FactsError, advance_facts
from include.db.partitions import maintain
from include.db.queries import load_queries
from include.db.retirement import Retirement, retire_ledger
from include.reconcile import Report, reconcile
from include.settings import Settings
from include.stream.reading.records import Position
from include.stream.storage.sink import BatchSink
from tests.support.rows import days_ago, load_batch, make_event
from tests.support.stream import next_epoch
from tests.support.validated import batch, footer, query, typed_row
from tests.support.waiting import wait_until

REJECT = {"raw": "x", "reasons": ["row_ragged"]}


@pytest.fixture(autouse=True)
def rollups_of_this_year(database: Settings) -> None:
    """Let the rollups hold minutes of all ages, as if each batch had been loaded when its events happened."""
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.rollup_horizon SET day = '2026-01-01'")


def keep_a_month(database: Settings) -> Retirement:
    """Run the maintenance."""
    maintain(database.dsn("owner"), ahead_days=1, retention_days=7)
    return retire_ledger(database.dsn("owner"), ledger_days=30)


def load(database: Settings, days: float, *, count: int = 1, event_days: float | None = None) -> int:
    """Load a file of that many days ago, with events of then or of ``event_days`` ago, and a reject."""
    moment = days_ago(days if event_days is None else event_days)
    events = [make_event(event_time=moment) for _ in range(count)]
    return load_batch(database.dsn("owner"), events, rejects=[REJECT], ingested_at=days_ago(days))


def count(database: Settings, table: str) -> int:
    ((rows,),) = query(database, f"SELECT count(*) FROM shop.{table}")
    return rows


def report_of(database: Settings) -> Report:
    return reconcile(database.dsn("quality"), database.manifest_dir, retention_days=7, is_ledger_only=True)


def test_old_ledger_rows_are_removed_and_totals_still_add_up(database: Settings) -> None:
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
    assert report.sums["accepted: batches = daily sums"].found == 10
    assert keep_a_month(database).removed == {"files": 0, "batches": 0, "rollup_minute": 0, "runs": 0}
    # A later run adds to the recorded totals of the day.
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


def test_a_waiting_file_is_kept_at_any_age(database: Settings) -> None:
    load(database, 40)
    load(database, 1)
    query(
        database,
        "UPDATE shop.files SET state = 'admitted', finished_at = NULL WHERE file_id ="
        " (SELECT min(file_id) FROM shop.files) RETURNING 1",
    )
    assert keep_a_month(database).removed["files"] == 0
    assert count(database, "batches") == 2, "the batch that it refers to is kept as well"


def test_a_quarantined_file_without_a_batch_is_removed_by_its_own_age(database: Settings) -> None:
    load(database, 1)
    for days in (31, 29):
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute(
                "INSERT INTO shop.files (name, state, size_bytes, arrived_at, finished_at, fault)"
                " VALUES ('x.csv', 'quarantined', 1, now(), %s, 'poison')",
                (days_ago(days),),
            )
    assert keep_a_month(database).removed["files"] == 1
    assert report_of(database).agrees


def test_the_newest_batch_stays(database: Settings) -> None:
    load(database, 40)
    load(database, 35)
    assert keep_a_month(database).removed == {"files": 1, "batches": 1, "rollup_minute": 2, "runs": 0}
    assert report_of(database).agrees


def test_rollups_are_removed_by_whole_days(database: Settings) -> None:
    load(database, 40)
    # This event was loaded yesterday, but the rollups no longer hold its day.
    load(database, 1, event_days=39)
    midnight = days_ago(30).replace(hour=0, minute=0, second=0, microsecond=0)
    for moment in (midnight - timedelta(minutes=1), midnight):
        load_batch(database.dsn("owner"), [make_event(event_time=moment)], ingested_at=moment)
    load(database, 1)
    assert keep_a_month(database).removed["rollup_minute"] == 3
    assert query(database, "SELECT min(minute) FROM shop.rollup_minute") == [(midnight,)]
    assert count(database, "rollup_minute") == count(database, "rollup_hour") == 2
    # Such an event is added to the daily sums, but not to the rollups.
    load(database, 1, event_days=39)
    assert count(database, "rollup_minute") == 2
    advance_facts(database.dsn("ops"))
    assert query(database, "SELECT sum(events)::int FROM shop.agg_day") == [(6,)]
    report = report_of(database)
    assert report.agrees, report.differences


def test_retirement_waits_for_a_batch_that_may_still_change_the_day(database: Settings) -> None:
    """Both change the same minutes and hours, and without an order between them one would end in a deadlock."""
    load(database, 40)
    load(database, 1)
    advance_facts(database.dsn("ops"))
    sink = load_queries("sink")
    add = (
        "INSERT INTO shop.rollup_minute"
        " VALUES (date_trunc('minute', %s::timestamptz), 'view', 'Books', 'EUR', 1, 0, 0, 9)"
    )
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'"
    )
    with ThreadPoolExecutor(1) as pool:
        with transaction(database.dsn("ingest")) as cursor:
            cursor.execute(sink["rollup_horizon"])
            cursor.execute(add, [days_ago(40.1)])
            retirement_ends = pool.submit(retire_ledger, database.dsn("owner"), ledger_days=30)
            wait_until(lambda: query(database, waiting) == [(1,)], seconds=30, what="the retirement to wait")
            cursor.execute(add, [days_ago(40.2)])
        assert retirement_ends.result(timeout=60).removed["rollup_minute"] == 3
    assert query(database, "SELECT count(*)::int FROM shop.rollup_minute") == [(1,)]
    assert count(database, "rollup_hour") == 1
    # The horizon is up to date, so the next retirement waits for no batch.
    with transaction(database.dsn("ingest")) as cursor:
        cursor.execute(sink["rollup_horizon"])
        assert retire_ledger(database.dsn("owner"), ledger_days=30).removed["rollup_minute"] == 0


def test_nothing_is_removed_before_it_is_aggregated(database: Settings) -> None:
    load(database, 40)
    load(database, 1)
    with transaction(database.dsn("owner")) as cursor:
        # These numbers keep the aggregates from being brought up to date.
        cursor.execute("UPDATE shop.batches SET accepted = accepted + 1, read = read + 1")
    with pytest.raises(FactsError):
        keep_a_month(database)
    assert count(database, "events") == 2
    assert retire_ledger(database.dsn("owner"), ledger_days=30).removed["batches"] == 0


def test_events_that_outlive_their_file_are_no_difference(database: Settings) -> None:
    """A day partition stays while one of its events is new, and so do events whose file is past the ledger's age."""
    load(database, 40, count=2)
    load(database, 1, event_days=40)
    keep_a_month(database)
    assert count(database, "events") == 3
    assert count(database, "files") == 1
    report = report_of(database)
    assert report.agrees, report.differences


def test_slices_of_a_file_that_is_kept_keep_their_batches(database: Settings, sink: BatchSink) -> None:
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
    assert count(database, "file_slices") == 0
    assert report_of(database).agrees


def test_old_runs_are_removed_and_the_newest_stay(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "KEPT_RUNS", 2)
    epochs = [next_epoch(database) for _ in range(4)]
    query(database, "UPDATE shop.runs SET started_at = now() - interval '31 days' RETURNING 1")
    assert keep_a_month(database).removed["runs"] == 2
    assert query(database, "SELECT epoch FROM shop.runs ORDER BY 1") == [(epochs[2],), (epochs[3],)]


def test_retirement_goes_in_small_steps_and_stops_when_its_time_is_over(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        load(database, 40)
    load(database, 1)
    monkeypatch.setattr(retirement, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(retirement, "BUDGET_SECONDS", 0.0)
    stopped = keep_a_month(database)
    assert not stopped.is_complete
    assert "the next run continues" in str(stopped)
    monkeypatch.undo()
    monkeypatch.setattr(retirement, "ROWS_AT_ONCE", 2)
    assert keep_a_month(database).removed["files"] == 5
    assert report_of(database).agrees


def test_a_run_that_looks_at_too_few_batches_says_that_more_are_left(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        load(database, 40)
    load(database, 1)
    monkeypatch.setattr(retirement, "BATCHES_AT_ONCE", 2)
    first = keep_a_month(database)
    assert (first.removed["batches"], first.is_complete) == (2, False)
    second = keep_a_month(database)
    assert (second.removed["batches"], second.is_complete) == (1, True)


def test_the_stream_continues_after_a_retirement(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(typed_row(1, 2), footer(1, 1)), spark_batch_id=0)
    sink.write(batch(typed_row(2, 2), footer(2, 1)), spark_batch_id=1)
    advance_facts(database.dsn("ops"))
    query(database, "UPDATE shop.batches SET committed_at = now() - interval '31 days' RETURNING 1")
    keep_a_month(database)
    assert [file_id for (file_id,) in query(database, "SELECT file_id FROM shop.files")] == [2]
    late: dict[str, Any] = typed_row(2, 2, event_time=datetime.now(UTC))
    assert sink.write(batch(late, footer(2, 1)), spark_batch_id=2) is None
