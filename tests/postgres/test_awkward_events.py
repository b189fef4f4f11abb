"""Tests of valid but misleading events: their effect on figures, the check that reports them, and their retraction.

docs/figures.md explains the same to readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from include.db import transaction
from include.db.facts import advance_facts, audit_facts
from include.db.partitions import maintain
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.quality.run import run_suite
from include.quality.suites import load_suites
from include.retraction import Selection, retract
from include.settings import Settings
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.pipeline import Pipeline, pipeline
from tests.support.rows import days_ago, load_batch, make_event

Row = dict[str, str | None]


@pytest.fixture
def stream(database: Settings) -> Iterator[Pipeline]:
    with pipeline(database) as made:
        yield made


def event(kind: str, moment: datetime, **changes: str | None) -> Row:
    """Build an event at a time, with the fields that its type has."""
    unused: Row = {"order_id": None, "quantity": None, "payment_method": None}
    if kind in ("add_to_cart", "order", "purchase"):
        del unused["quantity"]
    if kind in ("order", "purchase"):
        del unused["order_id"]
    if kind == "purchase":
        del unused["payment_method"]
    times: Row = {"event_id": uuid7(moment), "event_time": moment.isoformat(timespec="milliseconds")}
    return valid_row(**{**unused, **times, "event_type": kind, "unit_price": "10.00", "currency": "EUR", **changes})


def just_now(seconds: float = 0) -> datetime:
    """Return the time five minutes ago, plus ``seconds``."""
    return datetime.now(UTC) - timedelta(minutes=5) + timedelta(seconds=seconds)


def purchase(moment: datetime, **changes: str | None) -> Row:
    """Build a purchase of one unit."""
    return event("purchase", moment, **{"quantity": "1", **changes})


def published(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Refresh all views and return the rows of a query."""
    advance_facts(settings.dsn("ops"))
    for name in view_names():
        refresh_view(settings.dsn("ops"), name)
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def failed_checks(settings: Settings) -> dict[str, str]:
    """Return the failed checks of the suite of events, with their severities."""
    (suite,) = (one for one in load_suites() if one.name == "events")
    outcome = run_suite(suite, read_dsn=settings.dsn("quality"), write_dsn=settings.dsn("ops"), run_id="test")
    return {one.check.name: one.check.severity for one in outcome.results if one.status in ("failed", "error")}


def take_back(settings: Settings, name: str) -> None:
    """Retract a delivery and check that all aggregates are still right."""
    retract(settings.dsn("owner"), Selection(name=name), by="ada", reason="a test")
    advance_facts(settings.dsn("ops"))
    assert set(audit_facts(settings.dsn("ops")).values()) <= {0}


KPIS = """
SELECT day::text, currency, revenue, paid_orders, average_order_value, sessions, visitors, buyers
FROM shop.mart_daily_kpis ORDER BY 1, 2
"""


def test_a_late_line_of_an_order_belongs_to_its_order_and_visit(database: Settings, stream: Pipeline) -> None:
    """A repeated event with another price changes nothing until the first delivery is retracted."""
    noon = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    one_order = {"user_id": "U8", "session_id": "S8", "order_id": "O8"}
    first = purchase(noon + timedelta(minutes=1), unit_price="100.00", **one_order)
    stream.load(("first.csv", csv_text([event("view", noon, user_id="U8", session_id="S8"), first])))
    day = str(noon.date())
    assert published(database, KPIS) == [(day, "EUR", Decimal(100), 1, Decimal(100), 1, 1, 1)]
    late = purchase(noon + timedelta(minutes=2), product_id="P8", unit_price="50.00", **one_order)
    stream.load(csv_text([late]))
    stream.load(csv_text([{**first, "unit_price": "10.00"}]))
    assert published(database, KPIS) == [(day, "EUR", Decimal(150), 1, Decimal(150), 1, 1, 1)]
    assert published(database, "SELECT columns FROM shop.conflicts") == [(["unit_price"],)]
    changed = "SELECT old ->> 'revenue', new ->> 'revenue' FROM shop.restatements WHERE view_name = 'mart_daily_kpis'"
    assert published(database, changed) == [("100.00", "150.00")]
    take_back(database, "first.csv")
    # The duplicate with the right price replaces the wrong event.
    assert published(database, KPIS) == [(day, "EUR", Decimal(60), 1, Decimal(60), 1, 1, 1)]


def test_an_order_in_two_currencies_counts_in_each_and_is_never_added_up(database: Settings, stream: Pipeline) -> None:
    of_one = {"user_id": "U11", "session_id": "S11", "order_id": "O11"}
    moment = just_now()
    stream.load(csv_text([purchase(moment, currency=one, **of_one) for one in ("EUR", "GBP")]))
    day = str(moment.date())
    assert published(database, KPIS) == [
        (day, currency, Decimal(10), 1, Decimal(10), 1, 1, 1) for currency in ("EUR", "GBP")
    ]


PRODUCTS = "SELECT product_id, product_name, category, revenue FROM shop.mart_product_performance"


def test_a_renamed_product_is_one_row_with_its_newest_name(database: Settings, stream: Pipeline) -> None:
    names = ("Tin Kettle", "Tin Kettle (new)", "tin kettle (newest)")
    rows = [purchase(just_now(number), product_id="P12", product_name=name) for number, name in enumerate(names)]
    # The newest name arrives first, and the oldest one last.
    stream.load(csv_text(rows[::-1]))
    stream.load(csv_text([purchase(just_now(-60), product_id="P12", product_name="Kettle")]))
    assert published(database, PRODUCTS) == [("P12", "tin kettle (newest)", "Sports", Decimal(40))]
    assert "products_keep_their_category" not in failed_checks(database)


def test_a_product_id_that_another_product_takes_over_is_reported(database: Settings, stream: Pipeline) -> None:
    kinds = [("Kettle", "Home & Garden"), ("Novel", "Books"), ("Kettle", "Home & Garden")]
    stream.load(
        csv_text(
            [
                purchase(just_now(number), product_id="P12", product_name=name, category=category)
                for number, (name, category) in enumerate(kinds)
            ]
        )
    )
    assert published(database, PRODUCTS) == [("P12", "Kettle", "Home & Garden", Decimal(30))]
    # By category, revenue stays in the category in which it was earned.
    by_category = "SELECT category, sum(revenue) FROM shop.mart_category_performance GROUP BY 1 ORDER BY 1"
    assert published(database, by_category) == [("Books", Decimal(10)), ("Home & Garden", Decimal(20))]
    assert failed_checks(database)["products_keep_their_category"] == "warning"


def test_a_person_with_three_ids_is_three_customers_in_one_visit(database: Settings, stream: Pipeline) -> None:
    visit = {"session_id": "S14"}
    rows = [
        event("view", just_now(0), user_id="anon", **visit),
        event("add_to_cart", just_now(1), user_id="anon", **visit),
        purchase(just_now(2), user_id="U14", order_id="O14", **visit),
        event("view", just_now(3), user_id="U14B", customer_segment="vip", **visit),
        purchase(just_now(4), user_id="U14B", session_id="S14B", order_id="O14B", customer_segment="new"),
    ]
    stream.load(csv_text(rows))
    stream.load(csv_text([event("view", just_now(-60), user_id="U14B", customer_segment="loyal", session_id="S14B")]))
    ((*_, sessions, visitors, buyers),) = published(database, KPIS)
    assert (sessions, visitors, buyers) == (2, 3, 2)
    value = "SELECT user_id, customer_segment, orders FROM shop.mart_customer_value ORDER BY 1"
    assert published(database, value) == [("U14", rows[2]["customer_segment"], 1), ("U14B", "new", 1)]


def crawl(sessions: int) -> list[Row]:
    """Build sessions of one view each, half a second apart."""
    return [
        event("view", just_now(number / 2), user_id=f"BOT{number}", session_id=f"SBOT{number}")
        for number in range(sessions)
    ]


def visits(count: int) -> list[Row]:
    """Build ordinary visits that end in a purchase."""
    kinds = ("view", "add_to_cart", "order", "purchase")
    return [
        event(
            kind,
            just_now(number + step / 10),
            user_id=f"U{number}",
            session_id=f"S{number}",
            product_id=f"P{number}",
            order_id=order,
        )
        for number in range(count)
        for step, kind in enumerate(kinds)
        for order in [f"O{number}" if kind in ("order", "purchase") else None]
    ]


def test_a_crawler_is_reported_and_can_be_retracted(database: Settings, stream: Pipeline) -> None:
    rate = "SELECT sessions, conversion_rate FROM shop.mart_daily_kpis"
    stream.load(csv_text(visits(10)))
    assert published(database, rate) == [(10, Decimal(1))]
    stream.load(("crawler.csv", csv_text(crawl(400))))
    assert published(database, rate) == [(410, Decimal("0.0244"))]
    assert failed_checks(database)["sessions_are_visits"] == "warning"
    take_back(database, "crawler.csv")
    assert published(database, rate) == [(10, Decimal(1))]
    assert "sessions_are_visits" not in failed_checks(database)


def test_a_busy_hour_is_not_reported_as_a_crawler(database: Settings, stream: Pipeline) -> None:
    stream.load(csv_text([*visits(100), *crawl(300)]))
    assert "sessions_are_visits" not in failed_checks(database)


def test_the_first_seconds_of_visits_are_not_reported_as_a_crawler(database: Settings, stream: Pipeline) -> None:
    late = event("view", just_now(-3600), session_id="SLATE")
    stream.load(csv_text([late, *({**row, "event_time": str(just_now(1))} for row in crawl(400))]))
    assert "sessions_are_visits" not in failed_checks(database)


def test_a_test_order_is_reported_and_can_be_retracted(database: Settings, stream: Pipeline) -> None:
    revenue = "SELECT revenue FROM shop.mart_daily_kpis"
    stream.load(csv_text(visits(120)))
    ((before,),) = published(database, revenue)
    order = purchase(just_now(), order_id="TEST-1", product_id="P1", unit_price="9999999999.99", quantity="1000")
    stream.load(("staff.csv", csv_text([order])))
    assert published(database, revenue) == [(before + Decimal("9999999999990.00"),)]
    assert failed_checks(database)["purchases_are_of_this_shop"] == "warning"
    take_back(database, "staff.csv")
    assert published(database, revenue) == [(before,)]
    assert "purchases_are_of_this_shop" not in failed_checks(database)


def test_a_view_with_an_order_is_reported(database: Settings, stream: Pipeline) -> None:
    stream.load(csv_text([event("view", just_now()), purchase(just_now(1))]))
    published(database, "SELECT")
    assert "views_have_no_order" not in failed_checks(database)
    stream.load(csv_text([event("view", just_now(2), order_id="O1")]))
    assert failed_checks(database)["views_have_no_order"] == "warning"


def test_a_shop_with_all_events_past_retention_fails_no_critical_check(database: Settings) -> None:
    """After a quiet weekend with a retention of one day, no check fails critically and nothing is held back."""
    load_batch(database.dsn("owner"), [make_event(event_time=days_ago(3))], ingested_at=days_ago(3))
    advance_facts(database.dsn("ops"))
    report = maintain(database.dsn("owner"), ahead_days=1, retention_days=1)
    assert sum(one.events for one in report.retired) == 1
    assert "critical" not in failed_checks(database).values()


def test_revenue_is_gross(database: Settings, stream: Pipeline) -> None:
    """The contract has no refund event, so such a row is rejected and the revenue of the sale stays."""
    sale = purchase(just_now(), unit_price="60.00", quantity="3")
    back = [
        {**sale, "event_id": uuid7(just_now(number)), **change}
        for number, change in enumerate(
            ({"unit_price": "-60.00"}, {"quantity": "-1"}, {"event_type": "refund"}, {"event_type": "cancel"}), start=1
        )
    ]
    (result,) = stream.load(csv_text([sale, *back]))
    assert (result.accepted, result.rejected) == (1, 4)
    assert published(database, "SELECT revenue FROM shop.mart_daily_kpis") == [(Decimal(180),)]
