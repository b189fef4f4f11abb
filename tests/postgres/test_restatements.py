"""Tests of restatements: the record of each change of a closed day, and figures as of an earlier time."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from include.db import transaction
from include.db.refresh import build_candidate, publish_candidate, refresh_view
from include.settings import REPOSITORY, Settings
from tests.support.rows import at, load_batch, make_event

DAILY, HOURLY = "mart_daily_kpis", "mart_revenue_hourly"
TODAY = datetime.now(UTC).date()
CLOSED = TODAY - timedelta(days=2)


FORGET_EUROS = """
WITH days AS (DELETE FROM shop.agg_day WHERE currency = 'EUR')
DELETE FROM shop.agg_hour WHERE currency = 'EUR'
"""


def query(
    settings: Settings, statement: str, *values: Any, role: Any = "analyst", zone: str = "UTC"
) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn(role), options=f"-c timezone={zone}") as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def sell(settings: Settings, *, day: date = CLOSED, hour: int = 10, **values: Any) -> None:
    moment = datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)
    load_batch(settings.dsn("owner"), [make_event(event_time=moment, **values)])


def publish(settings: Settings, *names: str) -> datetime:
    """Publish views; return a time after the publication and before the next change."""
    for name in names or (DAILY, HOURLY):
        refresh_view(settings.dsn("ops"), name)
    ((moment,),) = query(settings, "SELECT clock_timestamp()")
    return moment


def log(settings: Settings, view: str) -> list[tuple[Any, ...]]:
    return query(
        settings,
        "SELECT key, old, new, cause FROM shop.restatements WHERE view_name = %s ORDER BY restatement_id",
        view,
    )


def as_of(settings: Settings, view: str, moment: datetime, columns: str, zone: str = "UTC") -> list[tuple[Any, ...]]:
    statement = f"SELECT {columns} FROM shop.as_of(NULL::shop.{view}, %s) ORDER BY 1, 2"
    return query(settings, statement, moment, zone=zone)


def test_late_events_of_a_closed_day_are_recorded(database: Settings) -> None:
    sell(database)
    publish(database)
    assert log(database, DAILY) == [], "a figure that was never published before cannot be restated"
    sell(database, unit_price="5.00")
    publish(database)
    ((key, old, new, cause),) = log(database, DAILY)
    assert (key, cause) == ({"day": CLOSED.isoformat(), "currency": "EUR"}, "late events")
    assert (old["revenue"], new["revenue"]) == (10.00, 15.00)
    assert "buyers" not in old, "only figures that differ"
    assert "currency" not in old
    ((detail, day, known),) = query(
        database,
        "SELECT detail, day, EXISTS (SELECT FROM shop.refreshes AS r WHERE r.refresh_id = restatements.refresh_id"
        " AND r.published_at IS NOT NULL) FROM shop.restatements WHERE view_name = %s",
        DAILY,
    )
    assert (detail, day, known) == ({"after_batch": 1, "to_batch": 2}, CLOSED, True)
    publish(database)
    assert len(log(database, DAILY)) == 1, "a publication that changes nothing is no restatement"


def test_a_row_that_appears_and_one_that_vanishes(database: Settings) -> None:
    sell(database)
    publish(database)
    sell(database, currency="GBP", hour=11)
    publish(database)
    query(
        database,
        FORGET_EUROS,
        role="owner",
    )
    publish(database)
    (_, appeared, _), (_, _, vanished) = [(key, old, new) for key, old, new, _ in log(database, HOURLY)]
    assert (appeared, vanished) == (None, None)
    assert [cause for *_, cause in log(database, HOURLY)] == ["late events", "correction"]
    assert log(database, HOURLY)[1][1] == {"purchases": 1, "units": 1, "revenue": 10.00}


def test_a_change_of_today_is_no_restatement(database: Settings) -> None:
    sell(database, day=TODAY, hour=0)
    publish(database)
    sell(database, day=TODAY, hour=0)
    publish(database)
    assert log(database, DAILY) == []


def test_the_last_minutes_of_a_day_are_no_restatement(database: Settings) -> None:
    """They are first published after midnight, and this publication closes the day."""
    sell(database)
    publish(database)
    query(database, "DELETE FROM shop.closed_days", role="owner")
    sell(database)
    publish(database)
    assert log(database, DAILY) == []
    sell(database)
    publish(database)
    assert len(log(database, DAILY)) == 1


def test_a_publication_that_fails_leaves_no_record(database: Settings) -> None:
    sell(database)
    publish(database)
    sell(database)
    candidate = build_candidate(database.dsn("ops"), DAILY)
    query(database, "ALTER TABLE shop.refreshes ADD CHECK (published_at IS NULL) NOT VALID", role="owner")
    with pytest.raises(Exception, match="could not be refreshed"):
        publish_candidate(database.dsn("ops"), DAILY, candidate.refresh_id)
    assert log(database, DAILY) == []


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_figures_as_of_each_moment(database: Settings, zone: str) -> None:
    """Compare figures after changes, after a row appears and after one vanishes, in a session of any time zone."""
    start = datetime.now(UTC) - timedelta(seconds=1)
    expected: list[tuple[datetime, list[tuple[Any, ...]]]] = []
    columns = "hour, currency, revenue, purchases"
    changes: list[Any] = [
        lambda: sell(database),
        lambda: sell(database, unit_price="5.00"),
        lambda: sell(database, unit_price="2.00", currency="GBP"),
        lambda: sell(database, unit_price="1.00"),
        lambda: query(
            database,
            FORGET_EUROS,
            role="owner",
        ),
        lambda: sell(database, unit_price="7.00"),
        lambda: sell(database, unit_price="7.00"),
    ]
    for change in changes:
        change()
        moment = publish(database)
        expected.append((moment, query(database, f"SELECT {columns} FROM shop.{HOURLY} ORDER BY 1, 2")))
    for moment, rows in expected:
        assert as_of(database, HOURLY, moment, columns, zone) == rows
    assert [len(rows) for _, rows in expected] == [1, 1, 2, 2, 1, 2, 2]
    assert as_of(database, HOURLY, start, columns) == [], "no day was closed then"


def test_a_day_that_was_open_is_not_shown_as_of_then(database: Settings) -> None:
    sell(database)
    moment = publish(database)
    sell(database, day=CLOSED + timedelta(days=1))
    later = publish(database)
    revenue = "day, currency, revenue"
    assert as_of(database, DAILY, moment, revenue) == [(CLOSED, "EUR", Decimal("10.00"))]
    assert len(as_of(database, DAILY, later, revenue)) == 2


def test_a_view_without_days_is_refused(database: Settings) -> None:
    with pytest.raises(Exception, match="has no figures by day or hour"):
        query(database, "SELECT * FROM shop.as_of(NULL::shop.mart_product_performance, now())")


def test_the_comparison_is_cheap_with_years_of_hours(database: Settings) -> None:
    """Compare 600 days of hours in two currencies: 28,800 rows, of which one differs."""
    query(
        database,
        """INSERT INTO shop.agg_hour (hour, event_type, category, currency, events, quantity, amount)
        SELECT hour, 'purchase', 'Books', currency, 1, 1, 10
        FROM generate_series(%s::timestamptz - interval '600 days', %s::timestamptz - interval '1 h', '1 h') AS hour
        CROSS JOIN unnest(ARRAY['EUR', 'GBP']) AS currency""",
        TODAY,
        TODAY,
        role="owner",
    )
    publish(database, HOURLY)
    sell(database)
    candidate = build_candidate(database.dsn("ops"), HOURLY)
    from include.db.restatements import record_restatements

    with transaction(database.dsn("ops")) as cursor:
        began = time.monotonic()
        assert record_restatements(cursor, HOURLY, candidate.refresh_id) == 1
        assert time.monotonic() - began < 2, "a publication may not take seconds longer for its log"


def test_days_of_another_time_zone_as_documented(database: Settings) -> None:
    """Run the query of docs/cockpit.md on the day on which clocks change in Berlin, which has 25 hours."""
    for moment, price in (
        ("2026-10-24 21:30", "10.00"),
        ("2026-10-24 22:30", "100.00"),
        ("2026-10-25 00:30", "50.00"),
        ("2026-10-25 01:30", "50.00"),
        ("2026-10-25 22:30", "100.00"),
        ("2026-10-25 23:30", "320.00"),
    ):
        load_batch(database.dsn("owner"), [make_event(event_time=at(moment), unit_price=price)])
    publish(database, HOURLY)
    hours = (
        "SELECT (hour AT TIME ZONE 'Europe/Berlin')::text FROM shop.mart_revenue_hourly ORDER BY hour LIMIT 2 OFFSET 2"
    )
    assert query(database, hours) == [("2026-10-25 02:00:00",)] * 2, "the repeated hour is two rows"
    page = (REPOSITORY / "docs" / "cockpit.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"```sql\n(.+?)```", page, re.DOTALL)
    for zone in ("UTC", "America/New_York"):
        rows = query(database, statement, zone=zone)
        assert [(str(day), revenue) for day, _, revenue, _ in rows] == [
            ("2026-10-24", Decimal("10.00")),
            ("2026-10-25", Decimal("300.00")),
            ("2026-10-26", Decimal("320.00")),
        ]
