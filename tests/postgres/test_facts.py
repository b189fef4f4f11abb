"""Facts that are kept up to date are those that would be worked out anew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from include.contract import CURRENCIES, EVENT_TYPES
from include.db import transaction
from include.db.facts import advance_facts, audit_facts, forget_retired
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.settings import Settings
from tests.support.rows import at, load_batch, make_event

Row = dict[str, Any]
FACTS = (
    "sessions",
    "funnel",
    "days",
    "visits",
    "shoppers",
    "day_orders",
    "customer_orders",
    "customers",
    "users",
    "products",
)


def some_events(seed: int, count: int) -> list[Row]:
    """Events of few sessions, customers, orders and products over three days, so that much falls together."""
    chance = random.Random(seed)
    start = at("2026-11-17 22:00")
    return [
        make_event(
            event_type=chance.choice(EVENT_TYPES),
            event_time=start + timedelta(minutes=chance.randrange(3 * 1440)),
            session_id=f"S{chance.randrange(count // 6 + 1)}",
            user_id=f"U{chance.randrange(12)}",
            customer_segment=chance.choice(["new", "regular", "loyal"]),
            order_id=f"O{chance.randrange(count // 8 + 1)}",
            product_id=f"P{chance.randrange(5)}",
            product_name=chance.choice(["Shoes", "Shoes II"]),
            unit_price=f"{chance.randrange(1, 5000) / 100:.2f}",
            quantity=chance.randrange(1, 4),
            currency=chance.choice(CURRENCIES),
            channel=chance.choice(["web", "app"]),
            device=chance.choice(["mobile", "desktop"]),
        )
        for _ in range(count)
    ]


def summarize(database: Settings) -> int:
    with transaction(database.dsn("ops")) as cursor:
        cursor.execute("SELECT shop.summarize_events()")
        (ranges,) = cursor.fetchone()
    return int(ranges)


def facts(database: Settings) -> dict[str, list[Any]]:
    with transaction(database.dsn("owner")) as cursor:
        found = {}
        for name in FACTS:
            cursor.execute(f"SELECT * FROM shop.fact_{name} AS fact ORDER BY fact::text")
            found[name] = cursor.fetchall()
        return found


def views(database: Settings) -> dict[str, list[Any]]:
    with transaction(database.dsn("ops")) as cursor:
        found = {}
        for name in view_names():
            refresh_view(database.dsn("ops"), name)
            cursor.execute(f"SELECT * FROM shop.{name} AS mart ORDER BY mart::text")
            found[name] = cursor.fetchall()
        return found


def load(database: Settings, events: Sequence[Row], batches: int, *, advance_each: bool) -> None:
    for number in range(batches):
        load_batch(database.dsn("owner"), events[number::batches])
        if advance_each:
            (step,) = advance_facts(database.dsn("ops"))
            assert step.events == len(events[number::batches])
    advance_facts(database.dsn("ops"))


def remake(database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(f"TRUNCATE {', '.join(f'shop.fact_{name}' for name in FACTS)}")
        cursor.execute("UPDATE shop.facts_progress SET batch_id = 0")


@pytest.mark.parametrize("seed", range(3))
def test_step_by_step_is_the_same_as_at_once(database: Settings, seed: int) -> None:
    load(database, some_events(seed, 600), 9, advance_each=True)
    step_by_step, seen = facts(database), views(database)
    assert all(step_by_step.values())
    remake(database)
    (step,) = advance_facts(database.dsn("ops"))
    assert (step.batches, step.events) == (9, 600)
    at_once = facts(database)
    # What a sum has gone down to nothing for is left as nothing.
    step_by_step["funnel"] = [row for row in step_by_step["funnel"] if row[-1]]
    assert step_by_step == at_once
    assert views(database) == seen
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_a_long_way_is_gone_in_steps_of_whole_batches(database: Settings) -> None:
    load_events = some_events(1, 60)
    for number in range(6):
        load_batch(database.dsn("owner"), load_events[number::6])
    assert [step.batches for step in advance_facts(database.dsn("ops"), max_events=25)] == [3, 3]
    assert advance_facts(database.dsn("ops")) == []
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE shop.fact_sessions SET stage = 4 - stage", {"sessions", "funnel"}),
        ("DELETE FROM shop.fact_visits WHERE ctid = (SELECT min(ctid) FROM shop.fact_visits)", {"visits", "days"}),
        ("UPDATE shop.fact_shoppers SET revenue = revenue + 1 WHERE purchases > 0", {"shoppers", "customers"}),
        ("UPDATE shop.fact_days SET paid_orders = paid_orders + 1", {"days"}),
        ("UPDATE shop.fact_users SET customer_segment = 'vip'", {"users"}),
        ("UPDATE shop.fact_products SET views = views + 1", {"products"}),
        ("UPDATE shop.fact_funnel SET sessions = sessions + 1", {"funnel"}),
        ("UPDATE shop.events SET unit_price = unit_price + 1", {"shoppers", "products"}),
    ],
)
def test_the_audit_finds_what_is_wrong(database: Settings, damage: str, found: set[str]) -> None:
    load(database, some_events(2, 200), 2, advance_each=True)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(damage)
    differing = audit_facts(database.dsn("ops"))
    assert {fact for fact, rows in differing.items() if rows} == found


def test_events_that_are_not_in_the_facts_yet_are_no_difference(database: Settings) -> None:
    load(database, some_events(3, 50), 1, advance_each=True)
    load_batch(database.dsn("owner"), some_events(4, 50))
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def drop_day(database: Settings, day: date) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(f"DROP TABLE shop.events_{day:%Y%m%d}")


def test_people_go_with_their_events_and_daily_sums_stay(database: Settings) -> None:
    load(database, some_events(5, 400), 2, advance_each=True)
    before, seen = facts(database), views(database)
    assert forget_retired(database.dsn("owner")) == []
    first = date(2026, 11, 17)
    drop_day(database, first)
    assert forget_retired(database.dsn("owner")) == [first]
    assert forget_retired(database.dsn("owner")) == []

    after = facts(database)
    for name in ("visits", "shoppers", "day_orders", "customer_orders", "products"):
        assert 0 < len(after[name]) < len(before[name])
    assert after["funnel"] == before["funnel"]
    assert [row[:-1] for row in after["days"]] == [row[:-1] for row in before["days"]]
    assert {row[0] for row in after["days"] if row[-1]} == {first}
    now = views(database)
    for name in ("mart_daily_kpis", "mart_conversion_funnel", "mart_revenue_hourly"):
        assert now[name] == seen[name]
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_customers_keep_what_they_bought_on_the_days_that_are_left(database: Settings) -> None:
    early, late = at("2026-11-17 10:00"), at("2026-11-18 10:00")
    buys = [
        make_event(event_time=early, user_id="U1", order_id="O1", unit_price="5.00"),
        make_event(event_time=late, user_id="U1", order_id="O2", unit_price="7.00"),
        make_event(event_time=early, user_id="U2", order_id="O3"),
    ]
    load(database, buys, 1, advance_each=True)
    drop_day(database, early.date())
    forget_retired(database.dsn("owner"))
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT user_id, orders, units, revenue::text, first_purchase_at FROM shop.fact_customers")
        assert cursor.fetchall() == [("U1", 1, 1, "7.00", late)]


def test_a_day_with_events_after_retention_is_unknown_not_wrong(database: Settings) -> None:
    early = at("2026-11-17 10:00")
    load(database, [make_event(event_time=early, session_id="S1")], 1, advance_each=True)
    drop_day(database, early.date())
    forget_retired(database.dsn("owner"))
    load_batch(database.dsn("owner"), [make_event(event_time=early + timedelta(minutes=1), session_id="S1")])
    (kpis,) = views(database)["mart_daily_kpis"]
    day, currency, events, _, purchases, units, revenue, *distinct = kpis
    assert (day, currency, events, purchases, units, str(revenue)) == (early.date(), "EUR", 2, 2, 2, "20.00")
    assert set(distinct) == {None}


def test_what_comes_meanwhile_is_left_to_the_next_call(database: Settings) -> None:
    def bring() -> None:
        load_batch(database.dsn("owner"), [make_event()])

    bring()
    # Else a stream that never rests would never let it end.
    assert [step.batches for step in advance_facts(database.dsn("ops"), before_step=bring)] == [2]
    assert [step.batches for step in advance_facts(database.dsn("ops"))] == [1]


# More pages than the first range has, which an insert summarizes by itself.
MANY = 6_000


def test_what_is_new_is_found_without_reading_all_that_is(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    # In each of the two BRIN indexes of the day.
    assert summarize(database) == 2
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    advance_facts(database.dsn("ops"))
    assert summarize(database) == 0


def test_a_vacuum_is_left_alone(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    with transaction(database.dsn("owner")) as cursor:
        # The lock of a vacuum on every day.
        cursor.execute("LOCK TABLE shop.events IN SHARE UPDATE EXCLUSIVE MODE")
        assert summarize(database) == 0
        assert sum(step.events for step in advance_facts(database.dsn("ops"))) == MANY
    assert summarize(database) == 2
