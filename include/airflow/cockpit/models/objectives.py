"""Objectives with their misses, and alerts with their notifications."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Page, Severity


class Attainment(Model):
    """The share of a month (UTC) in which an objective was met."""

    month: date = Field(description="Its first day.")
    minutes: int = Field(description="Evaluated minutes.")
    met: int
    attainment: float | None = Field(description="met / minutes; null when no minute was evaluated.")


class Objective(Model):
    """A service level objective: its current value, and its attainment by month."""

    objective: str
    title: str | None = Field(None, description="The promise; null for an objective that no longer exists.")
    unit: str | None = Field(None, description="Unit of value and bound: seconds, files or share.")
    direction: Literal["at_most", "at_least"] | None = Field(
        None, description="Whether the bound is an upper or a lower limit of the value."
    )
    measures: str | None = Field(None, description="Definition of the value.")
    target: float | None = Field(None, description="The attainment that each month should reach.")
    value: float | None = Field(description="The value at `minute`; null when there was nothing to measure.")
    bound: float
    is_met: bool
    minute: datetime
    missed_since: datetime | None = Field(description="Start of the current miss; null when there is none.")
    this_month: Attainment
    earlier_months: list[Attainment] = Field(description="The 12 months before this one, newest first.")
    recent: list[bool] = Field(description="Whether it was met in each of the last 60 evaluated minutes, oldest first.")


class Miss(Model):
    """A stretch of minutes in which an objective was not met."""

    miss_id: int
    objective: str
    unit: str | None = Field(None, description="Unit of bound and worst_value: seconds, files or share.")
    began_at: datetime
    ended_at: datetime | None
    bound: float
    worst_value: float | None
    cause: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None


class Alert(Model):
    """An alert: what failed, whether it is over, and who looks after it."""

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


class Messages(Model):
    """Number of notifications about an alert, by state."""

    due: int
    sent: int
    failed: int


class ListedAlert(Alert):
    """An alert in a list."""

    messages: Messages


class AlertPage(Page[ListedAlert]):
    """One page of the list of alerts, and the total number of open alerts."""

    open_alerts: dict[Severity, int] = Field(description="Open alerts by severity, always with all three keys.")
    unacknowledged: int = Field(description="Open alerts that nobody has acknowledged.")


class Delivery(Model):
    """A notification: a message about an alert through one channel."""

    delivery_id: int
    channel: str = Field(description="The id of the Airflow connection.")
    occasion: Literal["raised", "reminder", "recovered"]
    state: Literal["due", "sent", "failed"]
    attempts: int
    due_at: datetime
    sent_at: datetime | None
    last_error: str | None


class AlertDetail(Alert):
    """An alert and all notifications about it."""

    deliveries: list[Delivery]
