"""Tests that incrementally updated aggregates equal those computed from all events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.contract import CURRENCIES, EVENT_TYPES
from include.db import transaction
from include.db.facts import FactsError, advance_facts, audit_facts, forget_retired
from include.db.migrate import MIGRATIONS_DIR
from include.db.partitions import maintain
from include.db.refresh import refresh_view
from include.db.retirement import retire_ledger
from include.db.views import view_names
from include.settings import Settings
from tests.support.rows import at, load_batch, make_event, uuid7

Row = dict[str, Any]
# Customers with fewer orders in the aggregate than in the stored events.
ORDERS_PER_CUSTOMER = """
SELECT user_id, currency, customer.orders, found.orders
FROM shop.fact_customers AS customer
FULL JOIN (
    SELECT user_id, currency, count(DISTINCT order_id) AS orders
    FROM shop.events
    WHERE event_type = 'purchase'
    GROUP BY user_id, currency
) AS found USING (user_id, currency)
WHERE customer.orders < found.orders OR found.orders IS NOT NULL AND customer.orders IS NULL
"""
FACTS = (
    "sessions",
    "funnel",
    "days",
    "day_sessions",
    "day_visitors",
    "day_orders",
    "customer_orders",
    "customers",
    "visitor_segments",
    "products",
)


def some_events(seed: int, count: int) -> list[Row]:
    """Build events of few sessions, customers, orders and products over three days, so that many coincide."""
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
        cursor.execute(f"TRUNCATE {', '.join(f'shop.fact_{name}' for name in FACTS)}, shop.agg_hour, shop.agg_day")
        cursor.execute("UPDATE shop.facts_progress SET batch_id = 0")


@pytest.mark.parametrize("seed", range(3))
def test_aggregates_built_step_by_step_equal_those_built_at_once(database: Settings, seed: int) -> None:
    load(database, some_events(seed, 600), 9, advance_each=True)
    step_by_step, seen = facts(database), views(database)
    assert all(step_by_step.values())
    remake(database)
    (step,) = advance_facts(database.dsn("ops"))
    assert (step.batches, step.events) == (9, 600)
    at_once = facts(database)
    # Step by step, rows whose sum has fallen to zero stay in the table.
    step_by_step["funnel"] = [row for row in step_by_step["funnel"] if row[-1]]
    assert step_by_step == at_once
    assert views(database) == seen
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_many_batches_are_aggregated_in_steps_of_whole_batches(database: Settings) -> None:
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
        (
            "DELETE FROM shop.fact_day_sessions WHERE ctid = (SELECT min(ctid) FROM shop.fact_day_sessions)",
            {"day_sessions", "days"},
        ),
        ("UPDATE shop.fact_day_visitors SET revenue = revenue + 1 WHERE purchases > 0", {"day_visitors", "customers"}),
        ("UPDATE shop.fact_days SET paid_orders = paid_orders + 1", {"days"}),
        ("UPDATE shop.fact_visitor_segments SET customer_segment = 'vip'", {"visitor_segments"}),
        ("UPDATE shop.fact_products SET views = views + 1", {"products"}),
        ("UPDATE shop.fact_product_totals SET views = views + 1", {"product_totals"}),
        ("UPDATE shop.fact_funnel SET sessions = sessions + 1", {"funnel"}),
        ("UPDATE shop.events SET unit_price = unit_price + 1", {"day_visitors", "products", "agg_hour"}),
        ("UPDATE shop.agg_hour SET quantity = quantity + 1", {"agg_hour", "agg_day"}),
        ("UPDATE shop.agg_day SET events = events + 1", {"agg_day"}),
    ],
)
def test_the_audit_finds_wrong_aggregates(database: Settings, damage: str, found: set[str]) -> None:
    load(database, some_events(2, 200), 2, advance_each=True)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(damage)
    differing = audit_facts(database.dsn("ops"))
    assert {fact for fact, rows in differing.items() if rows} == found


def test_events_that_are_not_yet_aggregated_are_no_difference(database: Settings) -> None:
    load(database, some_events(3, 50), 1, advance_each=True)
    load_batch(database.dsn("owner"), some_events(4, 50))
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def drop_day(database: Settings, day: date) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(f"DROP TABLE shop.events_{day:%Y%m%d}")
        cursor.execute(
            "INSERT INTO shop.retired_partitions (partition_name, day, events, ingested_before)"
            " VALUES ('events', %s, 0, '-infinity')",
            [day],
        )


def test_personal_rows_are_removed_with_their_events_and_daily_sums_stay(database: Settings) -> None:
    load(database, some_events(5, 400), 2, advance_each=True)
    before, seen = facts(database), views(database)
    assert forget_retired(database.dsn("owner")) == []
    first = date(2026, 11, 17)
    drop_day(database, first)
    assert forget_retired(database.dsn("owner")) == [first]
    assert forget_retired(database.dsn("owner")) == []

    after = facts(database)
    for name in ("day_sessions", "day_visitors", "day_orders", "customer_orders", "products"):
        assert 0 < len(after[name]) < len(before[name])
    assert after["funnel"] == before["funnel"]
    assert [row[:-2] for row in after["days"]] == [row[:-2] for row in before["days"]]
    assert {row[0] for row in after["days"] if row[-2]} == {first}
    now = views(database)
    for name in ("mart_daily_kpis", "mart_conversion_funnel", "mart_revenue_hourly"):
        assert now[name] == seen[name]
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_customers_keep_their_purchases_of_the_remaining_days(database: Settings) -> None:
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


def test_distinct_counts_of_a_day_with_events_after_retention_are_null(database: Settings) -> None:
    early = at("2026-11-17 10:00")
    load(database, [make_event(event_time=early, session_id="S1")], 1, advance_each=True)
    drop_day(database, early.date())
    forget_retired(database.dsn("owner"))
    load_batch(database.dsn("owner"), [make_event(event_time=early + timedelta(minutes=1), session_id="S1")])
    (kpis,) = views(database)["mart_daily_kpis"]
    day, currency, events, _, purchases, units, revenue, *distinct = kpis
    assert (day, currency, events, purchases, units, str(revenue)) == (early.date(), "EUR", 2, 2, 2, "20.00")
    assert set(distinct) == {None}


def test_a_batch_between_aggregates_and_views_lowers_no_count_of_today(database: Settings) -> None:
    for number in range(20):
        load_batch(database.dsn("owner"), [make_event(session_id=f"S{number}")])
        advance_facts(database.dsn("ops"))
        load_batch(database.dsn("owner"), [make_event(session_id=f"T{number}")])
        with transaction(database.dsn("owner")) as cursor:
            # Run the view's query before the aggregates include the second batch.
            cursor.execute("SELECT events, sessions, paid_orders FROM shop_next.mart_daily_kpis_query")
            assert cursor.fetchall() == [(2 * number + 1, 2 * number + 1, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_ids_on_the_other_side_of_midnight_corrupt_no_aggregate(database: Settings, seed: int) -> None:
    """A collector assigns ids when it receives events, so an event of 23:59 may have an id of the next day."""
    chance = random.Random(seed)
    events = some_events(seed, 300)
    for event in events:
        event["event_id"] = uuid7(event["event_time"] + timedelta(minutes=chance.choice([-180, 0, 0, 90, 600])))
    days = sorted({date(2026, 11, 17) + timedelta(days=number) for number in range(-1, 5)})
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT shop.ensure_event_partitions(%s::date[])", (days,))
    load(database, events, 3, advance_each=True)
    for day in days[:4]:
        drop_day(database, day)
        forget_retired(database.dsn("owner"))
        assert {fact for fact, rows in audit_facts(database.dsn("ops")).items() if rows} == set()
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute(ORDERS_PER_CUSTOMER)
            assert cursor.fetchall() == []


def test_an_aggregation_that_would_miss_an_event_fails(database: Settings) -> None:
    """Events are found by their ingestion time, and a clock that was set back meanwhile must not hide them."""
    load_batch(database.dsn("owner"), [make_event(), make_event()])
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "UPDATE shop.events SET ingested_at = ingested_at - interval '1 hour'"
            " WHERE event_id = (SELECT min(event_id::text)::uuid FROM shop.events)"
        )
    with pytest.raises(FactsError, match="batches 1 to 1 accepted 2 events, but 1 of them were found"):
        advance_facts(database.dsn("ops"))
    assert facts(database)["days"] == []


def test_sums_hold_the_largest_values_of_the_contract(database: Settings) -> None:
    largest = {"unit_price": "9999999999.99", "quantity": 1000}
    load_batch(database.dsn("owner"), [make_event(**largest) for _ in range(1001)])
    load_batch(database.dsn("owner"), [make_event(unit_price="0.01")])
    (kpis,) = views(database)["mart_daily_kpis"]
    assert str(kpis[6]) == "10009999999989990.01"
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_daily_figures_outlive_events_and_ledger(database: Settings) -> None:
    """Run the maintenance of each of the 40 days that follow a day with a purchase every hour."""
    owner = database.dsn("owner")
    day = (datetime.now(UTC) - timedelta(days=45)).replace(hour=0, minute=30, second=0, microsecond=0)
    with transaction(owner) as cursor:
        cursor.execute("UPDATE shop.rollup_horizon SET day = '2026-01-01'")
    for hour in range(24):
        moment = day + timedelta(hours=hour)
        load_batch(owner, [make_event(event_time=moment, order_id=f"O{hour}")], ingested_at=moment)
    advance_facts(owner)
    names = ("mart_daily_kpis", "mart_revenue_hourly", "mart_category_performance")
    seen = {name: views(database)[name] for name in names}
    (kpis,) = seen["mart_daily_kpis"]
    assert (kpis[4], str(kpis[6])) == (24, "240.00")
    for age in range(45, 4, -1):
        # Run the maintenance as if it were ``age`` days ago. Its limits count from now, hence the addition.
        maintain(owner, ahead_days=1, retention_days=7 + age - 5)
        forget_retired(owner)
        retire_ledger(owner, ledger_days=30 + age - 5)
    maintain(owner, ahead_days=1, retention_days=7)
    forget_retired(owner)
    retire_ledger(owner, ledger_days=30)
    with transaction(owner) as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM shop.events), (SELECT count(*) FROM shop.rollup_minute)")
        assert cursor.fetchone() == (0, 0)
    now = views(database)
    assert {name: now[name] for name in names} == seen
    load_batch(owner, [make_event(event_time=day, event_id=uuid7(datetime.now(UTC)), unit_price="3.00")])
    (kpis,) = views(database)["mart_daily_kpis"]
    assert (kpis[4], str(kpis[6])) == (25, "243.00")
    assert len(views(database)["mart_revenue_hourly"]) == 24


@pytest.mark.parametrize("is_delivered_late", [False, True])
def test_a_late_old_event_does_not_bring_an_old_name_back(database: Settings, is_delivered_late: bool) -> None:
    now = datetime.now(UTC)
    with transaction(database.dsn("owner")) as cursor:
        days = [now.date() - timedelta(days=number) for number in range(4)]
        cursor.execute("SELECT shop.ensure_event_partitions(%s::date[])", (days,))
    old = make_event(event_time=now - timedelta(days=3), product_id="P1", product_name="Lamp")
    # The id of a late event may be newer than that of the event which renamed the product.
    old["event_id"] = uuid7(now if is_delivered_late else old["event_time"])
    new = make_event(event_time=now - timedelta(days=1), product_id="P1", product_name="Lamp, blue")
    for event in (new, old) if is_delivered_late else (old, new):
        load_batch(database.dsn("owner"), [event])
        advance_facts(database.dsn("ops"))
    ((product, _, name, *_),) = views(database)["mart_product_performance"]
    assert (product, name) == ("P1", "Lamp, blue")


def test_an_upgrade_fills_the_sums_with_the_aggregated_batches(database: Settings) -> None:
    (migration,) = MIGRATIONS_DIR.glob("*_aggregates.sql")
    text = migration.read_text()
    fill = text[text.index("INSERT INTO shop.agg_hour") : text.index("CREATE TABLE shop.rollup_horizon")]
    load(database, some_events(5, 200), 4, advance_each=True)
    for events in (some_events(6, 100), some_events(7, 100)):
        load_batch(database.dsn("owner"), events)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("TRUNCATE shop.agg_hour, shop.agg_day")
        cursor.execute(fill)
        cursor.execute("SELECT sum(events)::int, (SELECT sum(events)::int FROM shop.agg_day) FROM shop.agg_hour")
        assert cursor.fetchone() == (200, 200)
    advance_facts(database.dsn("ops"))
    assert set(audit_facts(database.dsn("ops")).values()) == {0}


def test_batches_that_arrive_meanwhile_are_left_to_the_next_call(database: Settings) -> None:
    def bring() -> None:
        load_batch(database.dsn("owner"), [make_event()])

    bring()
    # Otherwise the call would never end while the stream keeps loading.
    assert [step.batches for step in advance_facts(database.dsn("ops"), before_step=bring)] == [2]
    assert [step.batches for step in advance_facts(database.dsn("ops"))] == [1]


# Enough events for more pages than the first BRIN range has, which an insert summarizes itself.
MANY = 6_000


def test_new_events_are_found_without_reading_all_events(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    # One range in each of the two BRIN indexes of the day.
    assert summarize(database) == 2
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    advance_facts(database.dsn("ops"))
    assert summarize(database) == 0


def test_summarizing_does_not_wait_for_a_vacuum(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event() for _ in range(MANY)])
    with transaction(database.dsn("owner")) as cursor:
        # The lock that a vacuum takes, on every partition.
        cursor.execute("LOCK TABLE shop.events IN SHARE UPDATE EXCLUSIVE MODE")
        assert summarize(database) == 0
        assert sum(step.events for step in advance_facts(database.dsn("ops"))) == MANY
    assert summarize(database) == 2
