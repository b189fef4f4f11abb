"""Models of the overview, which one request answers: groups of numbers, each with how far it can be trusted."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Severity
from include.airflow.cockpit.models.stream import StreamState
from include.quality.results import Verdict


class Trust(Model):
    """How far the numbers of a group can be trusted."""

    table_name: str = Field(description="The table or view of schema shop that the numbers come from.")
    fresh_at: datetime | None = Field(
        description="Commit time of the newest batch in the numbers; events over an hour late may take a minute more."
    )
    reject_share: float | None = Field(description="Share of the rows read in the last 60 minutes that were rejected.")
    verdict: Verdict | None = Field(
        description="Verdict of the last check of the table; null when it was never checked."
    )
    checked_at: datetime | None
    is_held: bool = Field(
        False, description="A newer state of the view exists, but its checks failed; the numbers are the previous ones."
    )


class CurrencyRevenue(Model):
    """Purchases of today (UTC) in one currency."""

    currency: str
    revenue: Decimal
    last_hour_revenue: Decimal = Field(description="Revenue of the last 60 minutes.")
    purchases: int = Field(description="Purchase events; an order of three products has three.")
    units: int


class Revenue(Model):
    """Live revenue, from the aggregates that each batch updates."""

    day: date
    currencies: list[CurrencyRevenue]
    trust: Trust


class Minute(Model):
    """One minute of event time."""

    minute: datetime
    events: int
    order_lines: int
    purchases: int
    revenue: dict[str, Decimal] = Field(description="By currency.")


class Series(Model):
    """The last 60 minutes without gaps, oldest first; the last minute is not over."""

    minutes: list[Minute]
    trust: Trust


class Activity(Model):
    """Live counts of today's events (UTC), by type."""

    day: date
    events: int
    views: int
    wishlist_adds: int
    cart_adds: int
    order_lines: int = Field(description="Order events; an order of three products has three.")
    purchases: int
    trust: Trust


class Restated(Model):
    """The last change to a published figure of a closed day (UTC); `GET /restatements` lists all changes."""

    restated_at: datetime = Field(description="When it last changed.")
    times: int = Field(description="Number of recorded changes.")
    cause: str = Field(description="Cause of the last change: late events, correction or retraction.")
    old: dict[str, str | None] | None = Field(description="The old values of the figures that differ.")
    new: dict[str, str | None] | None = Field(description="The new values of the figures that differ.")


class DayFigures(Model):
    """The published key figures of one day (UTC) in one currency."""

    day: date
    currency: str
    revenue: Decimal
    paid_orders: int | None = Field(
        description="null, like the other figures about people, when events arrived after retention removed the day."
    )
    average_order_value: Decimal | None
    buyers: int | None
    conversion_rate: float | None = Field(description="Sessions with a purchase / sessions.")
    is_closed: bool = Field(description="The day was over when it was published; later changes are recorded.")
    restated: Restated | None


class Daily(Model):
    """The last seven days (UTC), newest first, including the published part of today."""

    items: list[DayFigures]
    trust: Trust


class Conversion(Model):
    """The conversion funnel of one day's sessions (UTC), as of the last published refresh."""

    day: date | None
    sessions: int
    view_sessions: int
    cart_sessions: int
    order_sessions: int
    purchase_sessions: int
    conversion_rate: float | None = Field(description="purchase_sessions / view_sessions; null without view sessions.")
    restated: Restated | None = Field(
        None, description="For a closed day: change from the rate published when it was closed to the current rate."
    )
    trust: Trust


class Throughput(Model):
    """Throughput of the stream in the last 60 seconds."""

    events_per_second: float = Field(description="Accepted events.")
    rows_per_second: float = Field(description="Rows read: accepted, duplicate and rejected.")
    rejected_per_second: float
    lag_seconds: float | None = Field(
        description="Time from arrival to commit of the newest batch, or age of the oldest waiting file, if greater."
    )
    newest_event_at: datetime | None = Field(description="The newest event_time of the newest batch that had events.")
    backlog_files: int = Field(description="Waiting files, in the landing folder or admitted.")
    backlog_unknown_since: datetime | None = Field(
        description="null when the backlog is current; otherwise the time at which it was counted."
    )
    trust: Trust


class ProductSales(Model):
    """Sales of one product in one currency, over all events within retention."""

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
    """The five products with the highest revenue in each currency."""

    items: list[ProductSales]
    trust: Trust


class CategorySales(Model):
    """Live sales of one category in one currency, today (UTC)."""

    category: str
    currency: str
    revenue: Decimal
    units: int
    purchases: int
    views: int


class TopCategories(Model):
    """All categories by currency, highest revenue first within a currency."""

    day: date
    items: list[CategorySales]
    trust: Trust


class Attention(Model):
    """Things that need a user's attention."""

    open_alerts: dict[Severity, int] = Field(description="Open alerts by severity, always with all three keys.")
    unacknowledged_alerts: int
    held_views: int
    failing_suites: int = Field(description="Suites whose last verdict is failed or broken.")
    missed_objectives: int = Field(description="Objectives that are currently missed.")


class StreamCondition(Model):
    """Whether the stream runs, so that users do not mistake old numbers for current ones."""

    state: StreamState
    since: datetime | None = Field(
        description="When it was asked to pause or drain; if it is down or stuck, its last heartbeat."
    )
    requested_by: str | None = Field(description="The user who paused or drained it.")
    reason: str | None = Field(description="Why the intake of files is paused, if it is.")


class Overview(Model):
    """All data of the overview page."""

    stream: StreamCondition
    attention: Attention
    throughput: Throughput
    revenue: Revenue
    series: Series
    activity: Activity
    daily: Daily
    conversion: Conversion
    top_products: TopProducts
    top_categories: TopCategories
