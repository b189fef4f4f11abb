"""What the cockpit's API answers with: the contract between the server, the pages and third parties.

Conventions, in every model: instants are UTC, ISO 8601, and absolute, so that an answer stays the same while nothing
happens (subtract them from the answer's ``Date`` header to get an age); money is a decimal in a string; shares and
rates are fractions from 0 to 1; a list is ``{items, next}``, where ``next`` is the ``before`` of the following page and
null on the last. Texts are as they are stored, never escaped: whoever shows them escapes them.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["critical", "warning", "info"]
Verdict = Literal["passed", "warned", "failed", "broken"]
Item = TypeVar("Item")


class Model(BaseModel):
    """Immutable, so that an answer can be kept and given to many."""

    model_config = ConfigDict(frozen=True)


class Page(Model, Generic[Item]):
    """A part of a list, newest first unless its route says otherwise."""

    items: list[Item]
    next: str | None = Field(description="The `before` of the next page; null on the last.")


class Problem(BaseModel):
    """Every error, as RFC 9457 has it: media type `application/problem+json`."""

    type: str = Field(description="What kind of problem, for programs.", examples=["urn:shopstream:problem:not-found"])
    title: str = Field(description="The kind, for people.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened here, with the value, and what to do.")
    instance: str = Field(description="The path that was asked for.")
    errors: list[ProblemField] | None = Field(None, description="Status 422: every parameter that is at fault.")


class ProblemField(BaseModel):
    """One parameter or field that is at fault."""

    name: str = Field(description="Where it is and its name.", examples=["query.limit"])
    message: str
    value: str | None = Field(None, description="What was given, shortened.")


class Me(Model):
    """Who asks, and what they may do."""

    name: str
    can_act: bool = Field(description="Whether this user may pause the stream, acknowledge alerts, and see raw rows.")


# Overview ------------------------------------------------------------------------------------------------------------


class Trust(Model):
    """How far the numbers of a group can be trusted."""

    table_name: str = Field(description="The table or view of schema shop that they come from.")
    fresh_at: datetime | None = Field(description="They contain everything that was committed until then.")
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


# Stream --------------------------------------------------------------------------------------------------------------

StreamState = Literal[
    "running", "intake_paused", "stuck", "stopping", "draining", "starting", "paused", "drained", "down"
]
Wish = Literal["run", "drain", "stop"]


class Sums(Model):
    """Rows by what became of them: read = accepted + duplicate + rejected."""

    read: int
    accepted: int
    duplicate: int
    rejected: int


class Run(Model):
    """One start of the streaming query."""

    epoch: int
    mode: Literal["continuous", "drain"]
    host: str
    pid: int
    driver_id: str | None = Field(description="At the Spark master.")
    ui_url: str | None = Field(description="Of the Spark UI of the job.")
    started_at: datetime
    heartbeat_at: datetime = Field(description="Last sign of life of the driver process.")
    turned_at: datetime | None = Field(description="Last time that the loop asked for new files.")
    ended_at: datetime | None
    error: str | None


class Stream(Model):
    """The state of the stream, and what it is wished to do."""

    state: StreamState = Field(
        description="running; intake_paused: alive, but takes in no files (intake_paused_because says why); stuck: "
        "alive, but its loop does not turn; stopping, draining: on its way to what was wished; starting: wished to run "
        "less than two minutes ago; paused, drained: ended as wished; down: wished to run, but no driver gives a sign "
        "of life."
    )
    wish: Wish
    wished_at: datetime | None
    wished_by: str | None
    intake_paused_because: str | None
    epoch: int | None = Field(description="The current writer epoch; null before the first run.")
    run: Run | None = Field(description="The newest run.")
    backlog_files: int
    backlog_bytes: int
    oldest_waiting_since: datetime | None = Field(
        description="Arrival of the oldest file that is admitted and not loaded."
    )
    lag_seconds: float | None
    last_batch_id: int | None
    last_committed_at: datetime | None
    newest_event_at: datetime | None
    last_minute: Sums
    restarts_day: int = Field(
        description="Runs that started in the last 24 hours, without the first one of all; 1000 at most."
    )
    runs: list[Run] = Field(description="The last 20, newest first.")


class Batch(Sums):
    """One committed micro-batch."""

    batch_id: int
    epoch: int
    files: int
    warnings: dict[str, int] = Field(description="Accepted rows with a warning, by rule.")
    min_event_time: datetime | None
    max_event_time: datetime | None
    started_at: datetime
    committed_at: datetime
    lag_seconds: float | None
    durations_ms: dict[str, float] = Field(description="Milliseconds by stage, as Spark and the sink measured them.")


FileState = Literal["admitted", "loaded", "quarantined"]


class File(Sums):
    """One file with its balance."""

    file_id: int
    name: str
    state: FileState
    size_bytes: int
    arrived_at: datetime
    admitted_at: datetime
    settled_at: datetime | None
    batch_id: int | None
    parts: int = Field(description="Batches that have loaded a part of it: more than one for a large file.")
    attempts: int
    failures: int
    fault: str | None = Field(description="Why it is in quarantine.")
    fault_detail: str | None
    last_error: str | None
    extra_columns: list[str]


class RejectReason(Model):
    """How often a rule was broken."""

    reason: str
    rows: int
    meaning: str | None = Field(description="What is wrong with such a row; null for a reason of an older version.")
    last_seen_at: datetime


class Rejects(Model):
    """Rejected rows of a window, by reason; a row with two reasons counts in both."""

    minutes: int = Field(description="Length of the window that ends now.")
    rejected: int = Field(description="Rejected rows in the window, from the ledger.")
    read: int
    reject_share: float | None = Field(description="rejected / read; null when nothing was read.")
    counted: int = Field(
        description="The newest rejected rows of the window that the counts are of: 20,000 at most. Less than "
        "`rejected` means that the counts are a sample; scale them."
    )
    reasons: list[RejectReason] = Field(description="The most frequent first.")


class RejectSample(Model):
    """Where a rejected row stood, and, for those who may act, the row."""

    reject_id: int
    file_id: int
    file_name: str
    line: int
    reasons: list[str]
    rejected_at: datetime
    raw: str | None = Field(description="The row as it stood in the file; null for viewers, since it names customers.")


# Views and quality ---------------------------------------------------------------------------------------------------


class View(Model):
    """A materialized view: what readers see, and what came of the newest refresh."""

    view_name: str
    published_at: datetime | None = Field(
        description="When what readers see now was published; its age counts from here."
    )
    row_count: int | None = Field(description="Of what readers see.")
    last_batch_id: int | None = Field(description="The newest batch in what readers see.")
    refreshed_at: datetime | None = Field(description="End of the newest refresh, published or not.")
    refresh_seconds: float | None
    is_held: bool = Field(description="The newest refresh failed its critical checks: readers keep the one before.")
    held_because: str | None
    error: str | None = Field(description="Why the newest refresh failed.")


class QualityRun(Model):
    """One run of one suite."""

    quality_run_id: int
    run_id: str = Field(description="The Airflow run that it was part of.")
    suite: str
    table_name: str
    owner: str
    scope: Literal["window", "full", "candidate"] = Field(
        description="window: what was loaded since the last good run; full: all rows; candidate: a view not published."
    )
    window_from: datetime | None
    window_to: datetime | None
    started_at: datetime
    finished_at: datetime
    verdict: Verdict
    checks: int
    critical_failures: int
    warnings: int
    error: str | None
    docs_url: str | None = Field(description="Path of its page in the Data Docs, below this server.")


class TrendPoint(Model):
    """The verdict of an earlier run."""

    quality_run_id: int
    finished_at: datetime
    verdict: Verdict
    checks: int
    failures: int = Field(description="Checks that did not hold, critical and warning.")


class Suite(Model):
    """A suite: its last run, and the ones before."""

    suite: str
    last: QualityRun
    trend: list[TrendPoint] = Field(description="The last 24 runs, oldest first; the last one is `last`.")


class CheckResult(Model):
    """One expectation in one run."""

    result_id: int
    check_name: str
    column_name: str | None
    severity: Severity
    is_success: bool
    observed: str | None
    expected: str | None
    sample: Any = Field(description="Values that failed, without personal data.")
    error: str | None
    checked_at: datetime


class QualityRunDetail(QualityRun):
    """A run with its results."""

    results: list[CheckResult] = Field(description="Failed ones first, by severity.")


# Objectives and alerts -----------------------------------------------------------------------------------------------


class Attainment(Model):
    """How much of a month (UTC) an objective was met."""

    month: date = Field(description="Its first day.")
    minutes: int = Field(description="Minutes that were judged.")
    met: int
    attainment: float | None = Field(description="met / minutes; null when none was judged.")


class Objective(Model):
    """A service level objective: now, and by month."""

    objective: str
    value: float | None = Field(
        description="At `minute`, in the unit that the name ends with; null when there was nothing to measure."
    )
    bound: float
    is_met: bool
    minute: datetime
    missed_since: datetime | None = Field(description="Begin of the miss that is not over.")
    this_month: Attainment
    earlier_months: list[Attainment] = Field(description="The last 12 before, newest first.")
    recent: list[bool] = Field(description="Whether it was met in each of the last 60 judged minutes, oldest first.")


class Miss(Model):
    """A stretch of minutes in which an objective was not met."""

    miss_id: int
    objective: str
    began_at: datetime
    ended_at: datetime | None
    bound: float
    worst_value: float | None
    cause: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None


class Alert(Model):
    """What failed, whether it is over, and who looks after it."""

    alert_id: int
    key: str
    severity: Severity
    source: str
    title: str
    detail: str
    owner: str
    run_id: str | None
    url: str | None
    runbook_url: str | None
    occurrences: int
    raised_at: datetime
    last_raised_at: datetime
    resolved_at: datetime | None = Field(description="null while it is open.")
    resolution: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None


class Delivery(Model):
    """A message about an alert on one channel."""

    delivery_id: int
    channel: str = Field(description="The id of the Airflow connection.")
    occasion: Literal["raised", "reminder", "recovered"]
    state: Literal["due", "sent", "failed"]
    attempts: int
    due_at: datetime
    sent_at: datetime | None
    last_error: str | None


class AlertDetail(Alert):
    """An alert and every message about it."""

    deliveries: list[Delivery]


# Actions -------------------------------------------------------------------------------------------------------------


class Action(Model):
    """What a person did."""

    action_id: int
    acted_at: datetime
    actor: str = Field(description="The Airflow user.")
    action: str = Field(
        description="stream.pause, stream.resume, stream.drain, alert.acknowledge, alert.resolve or miss.acknowledge."
    )
    subject: str = Field(description="What it was done to.", examples=["stream events", "alert 17"])
    reason: str | None


class Reason(BaseModel):
    """The body of an action: why. It becomes a part of the audit trail, and of what it is done to."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=3, max_length=1000, description="For the audit trail; read by others.")
