"""The overview: groups of live numbers, each with how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request, Response

from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import (
    Activity,
    Attention,
    CategorySales,
    Conversion,
    CurrencyRevenue,
    Daily,
    DayFigures,
    Minute,
    Overview,
    ProductSales,
    Restated,
    Revenue,
    Series,
    Throughput,
    TopCategories,
    TopProducts,
    Trust,
)
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.cache import cache
from include.airflow.cockpit.responses.trust import suites, trust_of, views
from include.airflow.cockpit.routes.stream import condition_of, read_state

router = APIRouter(tags=["overview"])

_QUERIES = Queries("cockpit_overview")
_PURCHASE = "purchase"
_VIEWS_CACHE_SECONDS = 15.0
_NO_SESSIONS = dict.fromkeys(
    ("sessions", "view_sessions", "cart_sessions", "order_sessions", "purchase_sessions"), 0
) | {"day": None, "conversion_rate": None}


@router.get("/overview", response_model=Overview)
def overview(request: Request) -> Response:
    """Return all data of the overview page."""
    return answer(request, _overview, cache_seconds=1.0)


def _overview() -> Overview:
    # Read this before the numbers, so that they contain at least the batches that it claims.
    live = trust_of("rollup_minute")
    series = _QUERIES.rows("series")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day, today = midnight.date(), _QUERIES.rows("sums", since=midnight, until=midnight + timedelta(days=1))
    stream = read_state()
    return Overview(
        stream=condition_of(stream),
        attention=_attention(),
        throughput=_throughput(stream),
        revenue=_revenue(day, today, series, live),
        series=Series(minutes=_minutes(series), trust=live),
        activity=_activity(day, today, live),
        daily=cache.get("daily", _VIEWS_CACHE_SECONDS, _daily),
        conversion=cache.get("conversion", _VIEWS_CACHE_SECONDS, _conversion),
        top_products=cache.get("top_products", _VIEWS_CACHE_SECONDS, _top_products),
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


def _throughput(stream: Row) -> Throughput:
    trust = trust_of("batches")
    row = _QUERIES.one("throughput")
    return Throughput(
        events_per_second=row["accepted"] / 60,
        rows_per_second=row["read"] / 60,
        rejected_per_second=row["rejected"] / 60,
        lag_seconds=stream["lag_seconds"],
        newest_event_at=row["newest_event_at"],
        backlog_files=stream["backlog_files"],
        backlog_unknown_since=stream["backlog_unknown_since"],
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
            order_lines=events.get((minute, "order"), 0),
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
        order_lines=counts.get("order", 0),
        purchases=counts.get(_PURCHASE, 0),
        trust=trust,
    )


def _conversion() -> Conversion:
    trust = trust_of("mart_conversion_funnel")
    row = _QUERIES.row("conversion") or _NO_SESSIONS
    return Conversion(**row, restated=_restated_conversion(row), trust=trust)


def _restated_conversion(row: Row) -> Restated | None:
    found = _QUERIES.row("conversion_restated", day=row["day"]) if row["day"] else None
    if found is None:
        return None
    before = _QUERIES.row("conversion_before", day=row["day"])
    rates = ((before or {}).get("conversion_rate"), row["conversion_rate"])
    old, new = ({"conversion_rate": None if rate is None else f"{rate:.4f}"} for rate in rates)
    return Restated(**found, old=old, new=new)


def _daily() -> Daily:
    trust = trust_of("mart_daily_kpis")
    rows = _QUERIES.rows("daily")
    return Daily(
        items=[DayFigures(**row, restated=Restated(**row) if row["times"] else None) for row in rows], trust=trust
    )


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
    """Sum a column by the columns of ``grain``, over the events of one type, or of all types if it is None."""
    sums: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        # A minute without events has a row without values.
        if row["event_type"] is not None and event_type in (None, row["event_type"]):
            group = tuple(row[column] for column in grain)
            sums[group] = sums.get(group, 0) + row[key]
    return sums
