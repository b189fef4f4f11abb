"""Views and their publication; suites, their runs and results."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Reason, Severity
from include.quality.overrides import LONGEST_HOURS
from include.quality.results import Status, Verdict


class View(Model):
    """A materialized view: the published state that readers see, and the outcome of the newest refresh."""

    view_name: str
    published_at: datetime | None = Field(
        description="When the current state was published; its age counts from this time."
    )
    row_count: int | None = Field(description="Rows in the published state.")
    last_batch_id: int | None = Field(description="The newest batch in the published state.")
    refreshed_at: datetime | None = Field(description="End of the newest refresh, published or not.")
    refresh_seconds: float | None
    is_held: bool = Field(
        description="The newest refresh failed its critical checks; readers still see the previous state."
    )
    held_because: str | None
    error: str | None = Field(description="Why the newest refresh failed.")
    overrode: str | None = Field(
        description="The critical checks that the published state failed; a user published it with an override."
    )
    overridden_by: str | None = Field(description="The user who made that override.")
    override_reason: str | None
    pending_by: str | None = Field(description="The user whose override lets the next refresh be published.")
    pending_reason: str | None
    pending_until: datetime | None = Field(
        description="When the pending override expires; null when it ends with the next publication."
    )
    restated_days: int = Field(
        description="Closed days (UTC) whose figures changed in the last 7 days, among the newest 5,000 changes."
    )
    restated_at: datetime | None = Field(description="When the last of these changes was published.")


class Publication(Reason):
    """The body of an override: the decision to publish a view that is held back."""

    hours: int | None = Field(
        None,
        ge=1,
        le=LONGEST_HOURS,
        description="How long the override covers the checks that fail now; if omitted, until the next publication.",
    )


class QualityRun(Model):
    """One run of one suite."""

    quality_run_id: int
    run_id: str = Field(description="The Airflow run that it belongs to.")
    suite: str
    table_name: str
    owner: str
    scope: Literal["window", "full", "candidate"] = Field(
        description="window: rows loaded since the last good run; full: all rows; candidate: an unpublished view."
    )
    window_from: datetime | None
    window_to: datetime | None
    started_at: datetime
    finished_at: datetime
    verdict: Verdict
    checks: int
    critical_failures: int
    warnings: int
    not_judged: int = Field(0, description="Checks with too little data to compare with.")
    error: str | None
    url: str = Field(description="Path of its page in the cockpit, on this server.")


class TrendPoint(Model):
    """The verdict of an earlier run."""

    quality_run_id: int
    finished_at: datetime
    verdict: Verdict
    checks: int
    failures: int = Field(description="Failed checks, critical and warning.")


class Suite(Model):
    """A suite: its last run, and the trend of its runs."""

    suite: str
    last: QualityRun
    trend: list[TrendPoint] = Field(description="The last 24 runs, oldest first; the final item is the run `last`.")


class CheckResult(Model):
    """One expectation in one run."""

    result_id: int
    check_name: str
    column_name: str | None
    severity: Severity
    status: Status = Field(
        description="error: the check could not run; not_judged: too little data to judge by, which is not a pass."
    )
    observed: str | None
    expected: str | None
    sample: Any = Field(description="Some of the failed values; null for viewers.")
    error: str | None
    checked_at: datetime


class QualityRunDetail(QualityRun):
    """A run with its results."""

    results: list[CheckResult] = Field(description="Failed checks first, by severity.")
