"""Tests that the rollup by the hour is the sum of the rollup by the minute after every change of the minutes."""

from __future__ import annotations

import random
from datetime import timedelta

from include.db import transaction
from include.settings import Settings
from tests.support.rows import at

START = at("2026-11-22 10:30")

HOURS = "SELECT hour, event_type, category, currency, events, quantity, amount FROM shop.rollup_hour"
SUMS = """
SELECT date_trunc('hour', minute, 'UTC'), event_type, category, currency, sum(events), sum(quantity), sum(amount)
FROM shop.rollup_minute
GROUP BY 1, 2, 3, 4
"""
# Add to the minutes as the stream does.
ROLL_UP = """
INSERT INTO shop.rollup_minute AS stored
SELECT %(minute)s::timestamptz, type, 'Books', 'EUR', 2, %(units)s, 9.99, 1
FROM unnest(ARRAY['view', 'purchase']) AS type
ON CONFLICT (minute, event_type, category, currency) DO UPDATE
SET events = stored.events + excluded.events,
    quantity = stored.quantity + excluded.quantity,
    amount = stored.amount + excluded.amount
"""
MOVE = """
UPDATE shop.rollup_minute SET minute = minute + interval '2 hours', events = events + 1
WHERE minute = %(minute)s AND event_type = 'view'
    AND NOT EXISTS (SELECT FROM shop.rollup_minute WHERE minute = %(minute)s + interval '2 hours')
"""
WITHDRAW = """
MERGE INTO shop.rollup_minute AS kept
USING (SELECT %(minute)s::timestamptz AS minute) AS gone
ON kept.minute = gone.minute
WHEN MATCHED AND kept.events <= 2 THEN DELETE
WHEN MATCHED THEN UPDATE SET events = kept.events - 2
"""
RETIRE = "DELETE FROM shop.rollup_minute WHERE minute < %(minute)s"


def test_hours_follow_the_minutes(database: Settings) -> None:
    chance = random.Random(7)
    changes = [ROLL_UP] * 4 + [MOVE, WITHDRAW]
    with transaction(database.dsn("owner")) as cursor:

        def rows(query: str) -> set[tuple[object, ...]]:
            cursor.execute(query)
            return set(cursor.fetchall())

        for step in range(120):
            change = RETIRE if step == 100 else chance.choice(changes)
            minute = START + timedelta(minutes=chance.randrange(90))
            cursor.execute(change, {"minute": minute, "units": chance.randrange(3)})
            assert rows(HOURS) == rows(SUMS)
        assert len(rows(HOURS)) > 2
        cursor.execute("DELETE FROM shop.rollup_minute")
        assert rows(HOURS) == set()


def test_a_role_that_writes_minutes_cannot_write_hours(database: Settings) -> None:
    with transaction(database.dsn("ingest")) as cursor:
        cursor.execute(ROLL_UP, {"minute": START, "units": 1})
        cursor.execute("SELECT has_table_privilege('shop.rollup_hour', 'INSERT, UPDATE, DELETE')")
        assert cursor.fetchone() == (False,)
    with transaction(database.dsn("analyst")) as cursor:
        cursor.execute("SELECT sum(events) FROM shop.rollup_hour")
        assert cursor.fetchone() == (4,)
