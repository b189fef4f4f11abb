"""The overview: live numbers, each group with how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response

from include.airflow.cockpit.answers import answer
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.kept import kept
from include.airflow.cockpit.models import (
    Activity,
    Attention,
    CategorySales,
    Conversion,
    CurrencyRevenue,
    Minute,
    Overview,
    ProductSales,
    Revenue,
    Series,
    Throughput,
    TopCategories,
    TopProducts,
    Trust,
)
from include.airflow.cockpit.trust import suites, trust_of, views
from include.stream.status import QUERY_NAME

router = APIRouter(tags=["overview"])

_QUERIES = Queries("cockpit_overview")
_PURCHASE = "purchase"
_VIEWS_KEPT_SECONDS = 15.0
_NO_SESSIONS = dict.fromkeys(
    ("sessions", "view_sessions", "cart_sessions", "order_sessions", "purchase_sessions"), 0
) | {"day": None, "conversion_rate": None}


@router.get("/overview", response_model=Overview)
def overview(request: Request) -> Response:
    """Everything on the first page, in one answer."""
    return answer(request, _overview, kept_seconds=1.0)


def _overview() -> Overview:
    # Before the numbers, so that they contain at least what it says.
    live = trust_of("rollup_minute")
    series = _QUERIES.rows("series")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day, today = midnight.date(), _QUERIES.rows("sums", since=midnight, until=midnight + timedelta(days=1))
    return Overview(
        attention=_attention(),
        throughput=_throughput(),
        revenue=_revenue(day, today, series, live),
        series=Series(minutes=_minutes(series), trust=live),
        activity=_activity(day, today, live),
        conversion=kept.get("conversion", _VIEWS_KEPT_SECONDS, _conversion),
        top_products=kept.get("top_products", _VIEWS_KEPT_SECONDS, _top_products),
        top_categories=_top_categories(day, today, live),
    )


def _attention() -> Attention:
    counts = _QUERIES.one("attention")
    return Attention(
        open_alerts={severity: counts[severity] for severity in ("critical", "warning", "info")},
        unacknowledged_alerts=counts["unacknowledged"],
        held_views=sum(view["held_because"] is not None for view in views()),
        failing_suites=sum(last["verdict"] in ("failed", "broken") for last, *_ in suites().values()),
        missed_objectives=counts["missed_objectives"],
    )


def _throughput() -> Throughput:
    trust = trust_of("batches")
    row = _QUERIES.one("throughput", query=QUERY_NAME)
    return Throughput(
        events_per_second=row["accepted"] / 60,
        rows_per_second=row["read"] / 60,
        rejected_per_second=row["rejected"] / 60,
        lag_seconds=row["lag_seconds"],
        newest_event_at=row["newest_event_at"],
        backlog_files=row["backlog_files"],
        trust=trust,
    )


def _revenue(day: date, today: list[Row], series: list[Row], trust: Trust) -> Revenue:
    last_hour = _sums(series, ("currency",), "amount")
    of_day = {key: _sums(today, ("currency",), key) for key in ("amount", "events", "quantity")}
    currencies = sorted({*of_day["amount"], *last_hour})
    return Revenue(
        day=day,
        currencies=[
            CurrencyRevenue(
                currency=currency,
                revenue=of_day["amount"].get((currency,), Decimal()),
                last_hour_revenue=last_hour.get((currency,), Decimal()),
                purchases=of_day["events"].get((currency,), 0),
                units=of_day["quantity"].get((currency,), 0),
            )
            for (currency,) in currencies
        ],
        trust=trust,
    )


def _minutes(series: list[Row]) -> list[Minute]:
    events = _sums(series, ("minute", "event_type"), "events", event_type=None)
    revenue = _sums(series, ("minute", "currency"), "amount")
    currencies = sorted({currency for _, currency in revenue})
    return [
        Minute(
            minute=minute,
            events=sum(count for (at, _), count in events.items() if at == minute),
            orders=events.get((minute, "order"), 0),
            purchases=events.get((minute, _PURCHASE), 0),
            revenue={currency: revenue.get((minute, currency), Decimal()) for currency in currencies},
        )
        for minute in dict.fromkeys(row["minute"] for row in series)
    ]


def _activity(day: date, today: list[Row], trust: Trust) -> Activity:
    counts = {kind: count for (kind,), count in _sums(today, ("event_type",), "events", event_type=None).items()}
    return Activity(
        day=day,
        events=sum(counts.values()),
        views=counts.get("view", 0),
        wishlist_adds=counts.get("add_to_wishlist", 0),
        cart_adds=counts.get("add_to_cart", 0),
        orders=counts.get("order", 0),
        purchases=counts.get(_PURCHASE, 0),
        trust=trust,
    )


def _conversion() -> Conversion:
    trust = trust_of("mart_conversion_funnel")
    return Conversion(**(_QUERIES.row("conversion") or _NO_SESSIONS), trust=trust)


def _top_products() -> TopProducts:
    trust = trust_of("mart_product_performance")
    return TopProducts(items=[ProductSales(**row) for row in _QUERIES.rows("top_products")], trust=trust)


def _top_categories(day: date, today: list[Row], trust: Trust) -> TopCategories:
    grain = ("category", "currency")
    sums = {key: _sums(today, grain, key) for key in ("amount", "quantity", "events")}
    views_of = _sums(today, grain, "events", event_type="view")
    items = [
        CategorySales(
            category=category,
            currency=currency,
            revenue=sums["amount"].get((category, currency), Decimal()),
            units=sums["quantity"].get((category, currency), 0),
            purchases=sums["events"].get((category, currency), 0),
            views=views_of.get((category, currency), 0),
        )
        for category, currency in {*sums["amount"], *views_of}
    ]
    items.sort(key=lambda one: (one.currency, -one.revenue, one.category))
    return TopCategories(day=day, items=items, trust=trust)


def _sums(
    rows: Iterable[Row], grain: tuple[str, ...], key: str, *, event_type: str | None = _PURCHASE
) -> dict[tuple[Any, ...], Any]:
    """A column added up by others, over the events of one type, or of all."""
    sums: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        # A minute without events has a row without values.
        if row["event_type"] is not None and event_type in (None, row["event_type"]):
            group = tuple(row[column] for column in grain)
            sums[group] = sums.get(group, 0) + row[key]
    return sums
