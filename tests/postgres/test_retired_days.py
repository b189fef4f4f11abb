"""Tests that an event is stored only once, even if its file comes again after retention has removed its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.db.facts import advance_facts
from include.db.partitions import maintain
from include.db.retirement import retire_ledger
from include.settings import Settings
from include.stream.storage import prepare
from include.stream.storage.load import BatchResult
from include.stream.storage.retired_days import RetiredDays
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.pipeline import pipeline
from tests.support.validated import query

OLD = (datetime.now(UTC) - timedelta(days=9)).replace(hour=12, minute=0, second=0, microsecond=0)
REJECTS = "SELECT line, reasons, raw FROM shop.rejects ORDER BY reject_id"


def purchase(instant: datetime, **changes: str | None) -> dict[str, str | None]:
    return valid_row(
        event_id=uuid7(instant), event_time=instant.isoformat(), unit_price="1000.00", quantity="1", **changes
    )


def let_age(settings: Settings, days: float = 8) -> None:
    """Make all events appear to have been loaded and aggregated that many days ago."""
    advance_facts(settings.dsn("owner"))
    query_without_rows(settings, f"UPDATE shop.events SET ingested_at = ingested_at - interval '{days} days'")


def query_without_rows(settings: Settings, sql: str) -> None:
    query(settings, f"WITH done AS ({sql} RETURNING 1) SELECT count(*) FROM done")


def keep_a_week(settings: Settings) -> None:
    report = maintain(settings.dsn("owner"), ahead_days=1, retention_days=7)
    assert report.busy == ()


def forget(settings: Settings) -> None:
    let_age(settings)
    keep_a_week(settings)
    assert query(settings, "SELECT count(*) FROM shop.events") == [(0,)]


def counts(results: list[BatchResult]) -> tuple[int, int, int]:
    """Return the sums of accepted, duplicate and rejected rows."""
    return (
        sum(one.accepted for one in results),
        sum(one.duplicate for one in results),
        sum(one.rejected for one in results),
    )


def revenue(settings: Settings) -> Any:
    ((amount,),) = query(settings, "SELECT sum(amount) FROM shop.rollup_minute WHERE event_type = 'purchase'")
    return amount


def test_a_file_that_comes_again_after_retention_changes_no_revenue(database: Settings) -> None:
    rows = [purchase(OLD + timedelta(seconds=second)) for second in range(3)]
    new = purchase(OLD + timedelta(minutes=1))
    with pipeline(database) as stream:
        assert counts(stream.load(("old.csv", csv_text(rows)))) == (3, 0, 0)
        assert revenue(database) == 3000
        forget(database)
        assert query(database, "SELECT day FROM shop.retired_days") == [(OLD.date(),)]
        # The ledger knows that the same content was loaded before, so its rows are duplicates.
        assert counts(stream.load(("old.csv", csv_text(rows)))) == (0, 3, 0)
        assert counts(stream.load(("other-name.csv", csv_text(rows)))) == (0, 3, 0)
        # This is not known of any other content, which is rejected. A good file behind it is loaded as always.
        assert counts(stream.load(csv_text([*rows, new]), csv_text([valid_row(unit_price="1.00", quantity="1")]))) == (
            1,
            0,
            4,
        )
        lines = csv_text([*rows, new]).splitlines()
        assert query(database, REJECTS) == [(line, ["event_past_retention"], lines[line - 1]) for line in range(2, 6)]
        assert revenue(database) == 3001
        # Rejected rows were not stored, so an earlier delivery of this content proves nothing.
        assert counts(stream.load(csv_text([*rows, new]))) == (0, 0, 4)
        assert revenue(database) == 3001
    # The daily figures, which outlive the events, do not change either.
    advance_facts(database.dsn("owner"))
    assert query(database, f"SELECT sum(amount) FROM shop.agg_day WHERE day = '{OLD:%Y-%m-%d}'") == [(3000,)]


def test_rows_of_a_file_that_left_the_ledger_are_rejected(database: Settings) -> None:
    rows = [purchase(OLD)]
    with pipeline(database) as stream:
        stream.load(("old.csv", csv_text(rows)))
        forget(database)
        assert counts(stream.load(("old.csv", csv_text(rows)))) == (0, 1, 0)
        query_without_rows(
            database,
            "UPDATE shop.batches SET committed_at = committed_at - interval '31 days' WHERE batch_id = 1",
        )
        retire_ledger(database.dsn("owner"), ledger_days=30)
        assert query(database, "SELECT file_id FROM shop.files") == [(2,)]
        assert counts(stream.load(("old.csv", csv_text(rows)))) == (0, 0, 1)
        assert query(database, "SELECT count(*) FROM shop.events") == [(0,)]


def test_a_retracted_file_does_not_count_as_loaded(database: Settings) -> None:
    """Only files in the state ``loaded`` prove that their content was stored."""
    rows = [purchase(OLD)]
    with pipeline(database) as stream:
        stream.load(csv_text(rows))
        forget(database)
        query_without_rows(database, "UPDATE shop.files SET state = 'retracted'")
        assert counts(stream.load(csv_text(rows))) == (0, 0, 1)


def test_a_large_file_that_comes_again_is_recognized_in_each_slice(database: Settings) -> None:
    content = csv_text([purchase(OLD + timedelta(seconds=second)) for second in range(40)])
    with pipeline(database, slice_bytes=len(content) // 4) as stream:
        assert len(results := stream.load(content)) > 3
        assert counts(results) == (40, 0, 0)
        forget(database)
        assert counts(stream.load(content)) == (0, 40, 0)


def test_events_of_old_days_from_which_nothing_was_removed_are_accepted(database: Settings) -> None:
    """These include a day whose partition was removed without an event in it, and days before the first partition."""
    before_2026 = [datetime(2025, 11, day, 12, tzinfo=UTC) for day in (1, 2)]
    with pipeline(database) as stream:
        query(database, f"SELECT shop.ensure_event_partitions('{{{OLD:%Y-%m-%d}}}'::date[])")
        keep_a_week(database)
        first = csv_text([purchase(before_2026[0])])
        assert counts(stream.load(first)) == (1, 0, 0)
        assert counts(stream.load(csv_text([purchase(OLD)]))) == (1, 0, 0)
        forget(database)
        assert query(database, "SELECT day FROM shop.retired_days ORDER BY day") == [
            (before_2026[0].date(),),
            (OLD.date(),),
        ]
        assert counts(stream.load(csv_text([purchase(before_2026[1])]))) == (1, 0, 0)
        assert counts(stream.load(first)) == (0, 1, 0)
        assert counts(stream.load(csv_text([purchase(before_2026[0])]))) == (0, 0, 1)


def test_an_event_that_is_still_stored_is_a_duplicate_on_a_retired_day(database: Settings) -> None:
    """A day before the first partition is retired in pieces, and events that were loaded later are still there."""
    instant = datetime(2025, 11, 1, 12, tzinfo=UTC)
    early, late = purchase(instant), purchase(instant)
    with pipeline(database) as stream:
        stream.load(csv_text([early]))
        let_age(database)
        stream.load(csv_text([late]))
        keep_a_week(database)
        assert counts(stream.load(csv_text([late, early]))) == (0, 1, 1)
        assert query(database, "SELECT event_id::text FROM shop.events") == [(late["event_id"],)]


@pytest.mark.parametrize(
    ("moment", "expected"), [("before the look-up", (0, 0, 2)), ("after it", (0, 1, 1)), ("before COPY", (1, 1, 0))]
)
def test_a_day_that_is_retired_while_a_batch_is_in_flight(
    database: Settings, monkeypatch: pytest.MonkeyPatch, moment: str, expected: tuple[int, int, int]
) -> None:
    """Whichever happens first, the stored event is not stored again, and the new one is stored at most once."""
    stored, new = purchase(OLD), purchase(OLD + timedelta(seconds=1))
    look_up, ask = prepare.Duplicates.mask, RetiredDays.forgotten

    def looking(self: Any, *arguments: Any) -> Any:
        if moment == "before the look-up":
            keep_a_week(database)
        found = look_up(self, *arguments)
        if moment == "after it":
            keep_a_week(database)
        return found

    def asking(self: Any, *arguments: Any) -> Any:
        found = ask(self, *arguments)
        if moment == "before COPY":
            keep_a_week(database)
        return found

    with pipeline(database) as stream:
        stream.load(csv_text([stored]))
        let_age(database)
        # The newer event makes the sink look up the ids, and the day must not be one that the sink knows already.
        stream.load(csv_text([valid_row(unit_price="1.00", quantity="1")]))
        stream.sink.close()
        stream.sink._known_days.clear()
        monkeypatch.setattr(prepare.Duplicates, "mask", looking)
        monkeypatch.setattr(RetiredDays, "forgotten", asking)
        assert counts(stream.load(csv_text([stored, new]))) == expected
        monkeypatch.undo()
        assert revenue(database) == 1001 + 1000 * expected[0]
        # From now on, every batch sees the day as retired.
        again = counts(stream.load(csv_text([new, stored])))
        assert again == (0, expected[0], 2 - expected[0])
        assert revenue(database) == 1001 + 1000 * expected[0]


def test_usual_traffic_makes_no_query_about_retired_days(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[int]] = []
    ask = RetiredDays.forgotten

    class Silent:
        def execute(self, *_: object) -> None:
            raise AssertionError("a query on the hot path")

    def asking(self: RetiredDays, event_ids: Any, file_ids: Any, days: set[int], footers: Any) -> Any:
        asked.append(days)
        return ask(RetiredDays(Silent(), datetime.now(UTC)), event_ids, file_ids, days, footers)

    monkeypatch.setattr(RetiredDays, "forgotten", asking)
    with pipeline(database) as stream:
        stream.load(csv_text([purchase(datetime.now(UTC) - timedelta(minutes=1))]))
    assert len(asked) == 1
    assert asked[0]
