"""The first page in one answer: groups of numbers, each with how far it can be trusted."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Severity, Verdict


class Trust(Model):
    """How far the numbers of a group can be trusted."""

    table_name: str = Field(description="The table or view of schema shop that they come from.")
    fresh_at: datetime | None = Field(
        description="Commit of the newest batch that they contain; events over an hour late may take a minute more."
    )
    reject_share: float | None = Field(description="Of the rows read in the last 60 minutes, how many were rejected.")
    verdict: Verdict | None = Field(description="Of the last check of the table; null when it was never checked.")
    checked_at: datetime | None
    is_held: bool = Field(
        False, description="A newer state of this view exists, but its checks failed: this is the one before."
    )


class CurrencyRevenue(Model):
    """Purchases of today (UTC) in one currency."""

    currency: str
    revenue: Decimal
    last_hour_revenue: Decimal = Field(description="Of the last 60 minutes.")
    purchases: int = Field(description="Purchase events; an order of three products has three.")
    units: int


class Revenue(Model):
    """Live revenue, from the rollups that each batch updates."""

    day: date
    currencies: list[CurrencyRevenue]
    trust: Trust


class Minute(Model):
    """One minute of event time."""

    minute: datetime
    events: int
    orders: int
    purchases: int
    revenue: dict[str, Decimal] = Field(description="By currency.")


class Series(Model):
    """The last 60 minutes, oldest first, none left out; the last one is not over."""

    minutes: list[Minute]
    trust: Trust


class Activity(Model):
    """Events of today (UTC), by type, live."""

    day: date
    events: int
    views: int
    wishlist_adds: int
    cart_adds: int
    orders: int = Field(description="Order events; an order of three products has three.")
    purchases: int
    trust: Trust


class Conversion(Model):
    """How far the sessions of one day (UTC) came, as of the last published refresh."""

    day: date | None
    sessions: int
    view_sessions: int
    cart_sessions: int
    order_sessions: int
    purchase_sessions: int
    conversion_rate: float | None = Field(description="purchase_sessions / view_sessions; null without any.")
    trust: Trust


class Throughput(Model):
    """What the stream did in the last 60 seconds."""

    events_per_second: float = Field(description="Accepted events.")
    rows_per_second: float = Field(description="Rows read: accepted, duplicate and rejected.")
    rejected_per_second: float
    lag_seconds: float | None = Field(description="Commit of the newest batch minus the arrival of its oldest file.")
    newest_event_at: datetime | None = Field(description="The newest event_time of the newest batch that had events.")
    backlog_files: int
    trust: Trust


class ProductSales(Model):
    """One product in one currency, over the events that retention keeps."""

    product_id: str
    product_name: str
    category: str
    brand: str
    currency: str
    revenue: Decimal
    units: int
    purchases: int
    views: int


class TopProducts(Model):
    """The five products of the highest revenue in each currency."""

    items: list[ProductSales]
    trust: Trust


class CategorySales(Model):
    """One category in one currency, today (UTC), live."""

    category: str
    currency: str
    revenue: Decimal
    units: int
    purchases: int
    views: int


class TopCategories(Model):
    """Every category, the highest revenue first within a currency."""

    day: date
    items: list[CategorySales]
    trust: Trust


class Attention(Model):
    """What needs a person."""

    open_alerts: dict[Severity, int] = Field(description="Open alerts by severity, all three named.")
    unacknowledged_alerts: int
    held_views: int
    failing_suites: int = Field(description="Suites whose last verdict is failed or broken.")
    missed_objectives: int = Field(description="Objectives that are missed now.")


class Overview(Model):
    """Everything on the first page, in one answer."""

    attention: Attention
    throughput: Throughput
    revenue: Revenue
    series: Series
    activity: Activity
    conversion: Conversion
    top_products: TopProducts
    top_categories: TopCategories
