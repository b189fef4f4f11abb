"""Tests of the views: numbers against an independent calculation, refreshes, the files of views, and access rights."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.contract import CATEGORIES, CURRENCIES, EVENT_TYPES
from include.db import connect, transaction
from include.db.connect import one_row
from include.db.refresh import RefreshError, refresh_view, stale_views
from include.db.views import apply_views, read_views, view_names
from include.errors import MigrationError
from include.settings import Settings
from tests.support.rows import at, load_batch, make_event

Row = dict[str, Any]
STAGES = {"view": 1, "add_to_cart": 2, "order": 3, "purchase": 4}


@pytest.fixture(scope="module")
def events() -> list[Row]:
    """Return three days of events of forty sessions, with all types, categories and currencies, for two batches."""
    chance = random.Random(7)
    made = []
    for session in range(40):
        start = at("2026-11-18 00:00") + timedelta(minutes=chance.randrange(3 * 1440))
        user, channel, device = f"U{session % 15}", chance.choice(["web", "app"]), chance.choice(["mobile", "desktop"])
        for step in range(chance.randrange(1, 12)):
            product = chance.randrange(6)
            made.append(
                make_event(
                    event_type=chance.choice(EVENT_TYPES),
                    event_time=start + timedelta(seconds=400 * step),
                    session_id=f"S{session}",
                    user_id=user,
                    customer_segment=chance.choice(["new", "loyal"]),
                    order_id=f"O{session}-{chance.randrange(2)}",
                    product_id=f"P{product}",
                    product_name=f"Product {product}" + chance.choice(["", " II"]),
                    category=CATEGORIES[product % len(CATEGORIES)],
                    unit_price=f"{chance.randrange(1, 20000) / 100:.2f}",
                    quantity=chance.randrange(1, 4),
                    currency=chance.choice(CURRENCIES),
                    channel=channel,
                    device=device,
                )
            )
    return made


@pytest.fixture
def refreshed(database: Settings, events: list[Row]) -> Settings:
    """Return a database with the events and with every view refreshed."""
    load_batch(database.dsn("owner"), events[::2])
    load_batch(database.dsn("owner"), events[1::2])
    for name in view_names():
        refresh_view(database.dsn("ops"), name)
    return database


def rows_of(dsn: str, view: str) -> list[Row]:
    with transaction(dsn) as cursor:
        cursor.execute(f"SELECT * FROM shop.{view}")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def grouped(events: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


def day(event: Row) -> date:
    return event["event_time"].date()


def of_type(events: Iterable[Row], event_type: str) -> list[Row]:
    return [event for event in events if event["event_type"] == event_type]


def revenue(events: Iterable[Row]) -> Decimal:
    return sum(
        (Decimal(event["unit_price"]) * event["quantity"] for event in of_type(events, "purchase")), Decimal("0.00")
    )


def units(events: Iterable[Row]) -> int:
    return sum(event["quantity"] for event in of_type(events, "purchase"))


def rate(part: int, whole: int) -> Decimal | None:
    return round(Decimal(part) / whole, 4) if whole else None


def distinct(events: Iterable[Row], name: str) -> int:
    return len({event[name] for event in events})


def test_revenue_per_hour(refreshed: Settings, events: list[Row]) -> None:
    hours = grouped(
        of_type(events, "purchase"),
        lambda event: (event["event_time"].replace(minute=0, second=0, microsecond=0), event["currency"]),
    )
    assert {
        (row["hour"], row["currency"]): row for row in rows_of(refreshed.dsn("analyst"), "mart_revenue_hourly")
    } == {
        (hour, currency): {
            "hour": hour,
            "currency": currency,
            "purchases": len(group),
            "units": units(group),
            "revenue": revenue(group),
        }
        for (hour, currency), group in hours.items()
    }


def test_category_performance(refreshed: Settings, events: list[Row]) -> None:
    groups = grouped(events, lambda event: (day(event), event["category"], event["currency"]))
    stored = rows_of(refreshed.dsn("analyst"), "mart_category_performance")
    assert {(row["day"], row["category"], row["currency"]): row for row in stored} == {
        key: {
            "day": key[0],
            "category": key[1],
            "currency": key[2],
            "views": len(of_type(group, "view")),
            "wishlist_adds": len(of_type(group, "add_to_wishlist")),
            "cart_adds": len(of_type(group, "add_to_cart")),
            "order_lines": len(of_type(group, "order")),
            "purchases": len(of_type(group, "purchase")),
            "units": units(group),
            "revenue": revenue(group),
        }
        for key, group in groups.items()
    }


def test_product_performance(refreshed: Settings, events: list[Row]) -> None:
    newest = {event["product_id"]: event for event in sorted(events, key=lambda event: event["event_time"])}
    groups = grouped(events, lambda event: (event["product_id"], event["currency"]))
    stored = rows_of(refreshed.dsn("analyst"), "mart_product_performance")
    assert {(row["product_id"], row["currency"]): row for row in stored} == {
        key: {
            "product_id": key[0],
            "currency": key[1],
            **{name: newest[key[0]][name] for name in ("product_name", "category", "brand")},
            "views": len(of_type(group, "view")),
            "wishlist_adds": len(of_type(group, "add_to_wishlist")),
            "cart_adds": len(of_type(group, "add_to_cart")),
            "order_lines": len(of_type(group, "order")),
            "purchases": len(of_type(group, "purchase")),
            "units": units(group),
            "revenue": revenue(group),
            "purchases_per_view": rate(len(of_type(group, "purchase")), len(of_type(group, "view"))),
            "last_event_at": max(event["event_time"] for event in group),
        }
        for key, group in groups.items()
    }


def test_customer_value(refreshed: Settings, events: list[Row]) -> None:
    newest = {event["user_id"]: event for event in sorted(events, key=lambda event: event["event_time"])}
    today = max(day(event) for event in events)
    expected = {}
    for key, group in grouped(of_type(events, "purchase"), lambda event: (event["user_id"], event["currency"])).items():
        times = [event["event_time"] for event in group]
        orders = distinct(group, "order_id")
        expected[key] = {
            "user_id": key[0],
            "currency": key[1],
            "customer_segment": newest[key[0]]["customer_segment"],
            "orders": orders,
            "units": units(group),
            "revenue": revenue(group),
            "average_order_value": pytest.approx(revenue(group) / orders, abs=Decimal("0.005")),
            "first_purchase_at": min(times),
            "last_purchase_at": max(times),
            "recency_days": (today - max(times).date()).days,
        }
    stored = rows_of(refreshed.dsn("quality"), "mart_customer_value")
    assert {(row["user_id"], row["currency"]): row for row in stored} == expected


def test_customer_segments(refreshed: Settings) -> None:
    expected = {
        key: {
            "customer_segment": key[0],
            "currency": key[1],
            "buyers": len(customers),
            "orders": sum(one["orders"] for one in customers),
            "units": sum(one["units"] for one in customers),
            "revenue": sum(one["revenue"] for one in customers),
        }
        for key, customers in grouped(
            rows_of(refreshed.dsn("quality"), "mart_customer_value"),
            lambda row: (row["customer_segment"], row["currency"]),
        ).items()
    }
    stored = rows_of(refreshed.dsn("analyst"), "mart_customer_segments")
    for row in stored:
        known = expected[row["customer_segment"], row["currency"]]
        for name, per in (("average_order_value", "orders"), ("revenue_per_buyer", "buyers")):
            assert row.pop(name) == pytest.approx(known["revenue"] / known[per], abs=Decimal("0.005"))
    assert {(row["customer_segment"], row["currency"]): row for row in stored} == expected


def test_conversion_funnel(refreshed: Settings, events: list[Row]) -> None:
    expected: dict[Any, list[int]] = defaultdict(list)
    for session in grouped(events, lambda event: event["session_id"]).values():
        reached = max(STAGES.get(event["event_type"], 0) for event in session)
        expected[min(map(day, session)), session[0]["channel"], session[0]["device"]].append(reached)
    stored = rows_of(refreshed.dsn("analyst"), "mart_conversion_funnel")
    assert {(row["day"], row["channel"], row["device"]) for row in stored} == set(expected)
    for row in stored:
        furthest = expected[row["day"], row["channel"], row["device"]]
        views, carts, orders, purchases = (sum(stage >= wanted for stage in furthest) for wanted in (1, 2, 3, 4))
        assert list(row.values())[3:] == [
            len(furthest),
            views,
            carts,
            orders,
            purchases,
            rate(carts, views),
            rate(orders, carts),
            rate(purchases, orders),
            rate(purchases, views),
        ]


def test_daily_kpis(refreshed: Settings, events: list[Row]) -> None:
    expected = {}
    for key, group in grouped(events, lambda event: (day(event), event["currency"])).items():
        purchases = of_type(group, "purchase")
        orders = distinct(purchases, "order_id")
        expected[key] = {
            "day": key[0],
            "currency": key[1],
            "events": len(group),
            "views": len(of_type(group, "view")),
            "purchases": len(purchases),
            "units": units(group),
            "revenue": revenue(group),
            "sessions": distinct(group, "session_id"),
            "visitors": distinct(group, "user_id"),
            "buyers": distinct(purchases, "user_id"),
            "paid_orders": orders,
            "average_order_value": pytest.approx(revenue(group) / orders, abs=Decimal("0.005")) if orders else None,
            "conversion_rate": rate(distinct(purchases, "session_id"), distinct(group, "session_id")),
        }
    stored = rows_of(refreshed.dsn("analyst"), "mart_daily_kpis")
    assert {(row["day"], row["currency"]): row for row in stored} == expected


def test_daily_kpis_outlive_their_events(refreshed: Settings) -> None:
    before = rows_of(refreshed.dsn("ops"), "mart_daily_kpis")
    with transaction(refreshed.dsn("owner")) as cursor:
        cursor.execute("DELETE FROM shop.events")
    refresh_view(refreshed.dsn("ops"), "mart_daily_kpis")
    assert rows_of(refreshed.dsn("ops"), "mart_daily_kpis") == before


def test_a_refresh_does_not_wait_for_readers_and_is_recorded(refreshed: Settings) -> None:
    batch_id = load_batch(refreshed.dsn("owner"), [make_event(event_time=at("2026-11-21 09:30"), currency="GBP")])
    reader = connect(refreshed.dsn("analyst"))
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM shop.mart_revenue_hourly")
            (before,) = one_row(cursor)
            # The reader's transaction stays open, and a refresh that waits for it would run into the timeout.
            refresh = refresh_view(refreshed.dsn("ops"), "mart_revenue_hourly", timeout_seconds=5)
    finally:
        reader.close()
    assert refresh.view_name == "mart_revenue_hourly"
    assert refresh.row_count == before + 1
    with transaction(refreshed.dsn("ops")) as cursor:
        cursor.execute(
            "SELECT row_count, last_batch_id, error, finished_at >= started_at FROM shop.refreshes"
            " WHERE view_name = 'mart_revenue_hourly' ORDER BY refresh_id DESC LIMIT 1"
        )
        assert cursor.fetchone() == (before + 1, batch_id, None, True)


def test_a_refresh_that_fails_is_recorded_and_raised(refreshed: Settings) -> None:
    before = rows_of(refreshed.dsn("ops"), "mart_daily_kpis")
    blocker = connect(refreshed.dsn("owner"))
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE shop.fact_days IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(RefreshError, match=r"mart_daily_kpis could not be refreshed: .*statement timeout"):
                refresh_view(refreshed.dsn("ops"), "mart_daily_kpis", timeout_seconds=0.2)
    finally:
        blocker.close()
    assert rows_of(refreshed.dsn("ops"), "mart_daily_kpis") == before
    with transaction(refreshed.dsn("ops")) as cursor:
        cursor.execute("SELECT view_name, row_count FROM shop.refreshes WHERE error LIKE '%statement timeout%'")
        assert cursor.fetchall() == [("mart_daily_kpis", None)]


def test_an_unknown_view_is_refused_with_a_suggestion(database: Settings) -> None:
    with pytest.raises(RefreshError, match=r"no view 'mart_daily_kpi'\. Perhaps mart_daily_kpis is meant"):
        refresh_view(database.dsn("ops"), "mart_daily_kpi")


def test_analysts_do_not_see_the_identity_of_a_customer(refreshed: Settings) -> None:
    with transaction(refreshed.dsn("analyst")) as cursor:
        cursor.execute("SELECT currency, sum(revenue) FROM shop.mart_customer_value GROUP BY currency")
        assert len(cursor.fetchall()) == len(CURRENCIES)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), transaction(refreshed.dsn("analyst")) as cursor:
        cursor.execute("SELECT user_id FROM shop.mart_customer_value")
    with transaction(refreshed.dsn("owner")) as cursor:
        cursor.execute(
            "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relnamespace = 'shop'::regnamespace AND relname = ANY (%s) AND attnum > 0"
            " AND NOT has_column_privilege('shop_analyst', attrelid, attnum, 'SELECT')",
            (list(view_names()),),
        )
        assert cursor.fetchall() == [("mart_customer_value", "user_id")]


@pytest.mark.parametrize("role", ["analyst", "quality", "ingest"])
def test_only_operators_publish(database: Settings, role: Any) -> None:
    with (
        pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)),
        transaction(database.dsn(role)) as cursor,
    ):
        cursor.execute("DELETE FROM shop.mart_daily_kpis")


def test_a_view_is_stale_without_a_recent_refresh(database: Settings) -> None:
    dsn = database.dsn("ops")
    assert stale_views(dsn, max_age_seconds=3600) == [], "a view is made with its rows"
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("TRUNCATE shop.refreshes")
    assert [(one.view_name, one.age_seconds) for one in stale_views(dsn, max_age_seconds=60)] == [
        (name, None) for name in view_names()
    ]
    for name in view_names():
        refresh_view(dsn, name)
    assert stale_views(dsn, max_age_seconds=60) == []
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "UPDATE shop.refreshes SET finished_at = finished_at - interval '2 minutes' WHERE view_name LIKE '%funnel'"
        )
    (stale,) = stale_views(dsn, max_age_seconds=60)
    assert stale.view_name == "mart_conversion_funnel"
    assert stale.age_seconds == pytest.approx(120, abs=30)


def test_a_view_is_stale_when_it_lacks_a_batch_for_too_long(refreshed: Settings) -> None:
    dsn = refreshed.dsn("ops")
    load_batch(refreshed.dsn("owner"), [make_event()])
    assert stale_views(dsn, max_age_seconds=60) == [], "a batch of this moment makes no view stale"
    load_batch(refreshed.dsn("owner"), [make_event()], ingested_at=datetime.now(UTC) - timedelta(minutes=2))
    refresh_view(dsn, "mart_daily_kpis")
    stale = stale_views(dsn, max_age_seconds=60)
    assert [one.view_name for one in stale] == [name for name in view_names() if name != "mart_daily_kpis"]
    assert {one.missing_batches for one in stale} == {2}


def write_view(directory: Path, name: str, source: str, *, column: str = "currency", header: str | None = None) -> None:
    (directory / f"{name}.sql").write_text(
        f"{header or f'-- depends on: {source}'}\n"
        f"CREATE TABLE shop.{name} AS SELECT currency AS {column} FROM shop.{source} GROUP BY currency;\n",
        encoding="utf-8",
    )


def test_changed_views_are_created_again_with_those_that_read_them(database: Settings, tmp_path: Path) -> None:
    dsn = database.dsn("owner")
    # The names are in the opposite of the order that the views need.
    write_view(tmp_path, "mart_a", "mart_b")
    write_view(tmp_path, "mart_b", "mart_c")
    write_view(tmp_path, "mart_c", "rollup_minute")
    write_view(tmp_path, "mart_d", "rollup_minute")
    names = view_names(tmp_path)
    assert names.index("mart_c") < names.index("mart_b") < names.index("mart_a")
    assert set(apply_views(dsn, tmp_path)) == {"mart_a", "mart_b", "mart_c", "mart_d"}
    assert apply_views(dsn, tmp_path) == []

    (tmp_path / "mart_b.sql").write_text((tmp_path / "mart_b.sql").read_text() + "-- changed\n")
    assert apply_views(dsn, tmp_path) == ["mart_b", "mart_a"]

    with transaction(dsn) as cursor:
        cursor.execute("DROP TABLE shop.mart_d")
    assert apply_views(dsn, tmp_path) == ["mart_d"]

    (tmp_path / "mart_a.sql").unlink()
    (tmp_path / "mart_b.sql").unlink()
    assert apply_views(dsn, tmp_path) == []
    with transaction(dsn) as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'shop' AND tablename LIKE 'mart%' ORDER BY 1"
        )
        assert sorted(cursor.fetchall()) == [("mart_c",), ("mart_d",)], "views without a file are dropped"


def test_a_view_that_another_object_depends_on_is_not_dropped(database: Settings, tmp_path: Path) -> None:
    dsn = database.dsn("owner")
    write_view(tmp_path, "mart_c", "rollup_minute")
    apply_views(dsn, tmp_path)
    with transaction(dsn) as cursor:
        cursor.execute("CREATE VIEW shop.report AS SELECT * FROM shop.mart_c")
    write_view(tmp_path, "mart_c", "batches", column="other")
    with pytest.raises(psycopg2.errors.DependentObjectsStillExist, match="report"):
        apply_views(dsn, tmp_path)


@pytest.mark.parametrize(
    ("name", "source", "header", "message"),
    [
        ("report", "rollup_minute", None, "report.sql is not named mart_<something>.sql"),
        ("mart_a", "rollup_minute", "-- reads: rollup_minute", "mart_a.sql:1 does not say what the view reads"),
        ("mart_a", "mart_z", None, "mart_a.sql:1 depends on mart_z, which has no file"),
        ("mart_a", "mart_a", None, "views read each other in a circle: mart_a -> mart_a"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, name: str, source: str, header: str | None, message: str) -> None:
    write_view(tmp_path, name, source, header=header)
    with pytest.raises(MigrationError, match=message):
        read_views(tmp_path)


def test_a_wrong_header_is_refused(database: Settings, tmp_path: Path) -> None:
    write_view(tmp_path, "mart_a", "rollup_minute", header="-- depends on: batches")
    with pytest.raises(MigrationError, match="Make its first line: -- depends on: rollup_minute"):
        apply_views(database.dsn("owner"), tmp_path)
    write_view(tmp_path, "mart_a", "rollup_minute")
    (tmp_path / "mart_a.sql").rename(tmp_path / "mart_other.sql")
    with pytest.raises(MigrationError, match=r"does not create shop\.mart_other"):
        apply_views(database.dsn("owner"), tmp_path)


def test_each_view_can_be_compared_row_by_row(database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "SELECT relname, obj_description(pg_class.oid) IS NOT NULL FROM pg_index"
            " JOIN pg_class ON pg_class.oid = indrelid"
            " WHERE relname = ANY (%s) AND indisunique AND indpred IS NULL AND indexprs IS NULL",
            (list(view_names()),),
        )
        assert sorted(cursor.fetchall()) == [(name, True) for name in sorted(view_names())]
