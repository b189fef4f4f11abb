"""Objectives with their misses, and alerts with their messages."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Severity


class Attainment(Model):
    """How much of a month (UTC) an objective was met."""

    month: date = Field(description="Its first day.")
    minutes: int = Field(description="Minutes that were judged.")
    met: int
    attainment: float | None = Field(description="met / minutes; null when none was judged.")


class Objective(Model):
    """A service level objective: now, and by month."""

    objective: str
    title: str | None = Field(None, description="What is promised; null for an objective that is promised no more.")
    unit: str | None = Field(None, description="Of value and bound: seconds, files or share.")
    direction: Literal["at_most", "at_least"] | None = Field(None, description="How the bound bounds.")
    measures: str | None = Field(None, description="What the value is.")
    target: float | None = Field(None, description="The attainment that a month should have.")
    value: float | None = Field(description="At `minute`; null when there was nothing to measure.")
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
    unit: str | None = Field(None, description="Of bound and worst_value: seconds, files or share.")
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
