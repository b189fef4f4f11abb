"""Views and whether they are published; suites, their runs and results."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model, Severity, Verdict


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
    not_judged: int = Field(0, description="Checks for which there was too little to compare with.")
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
    is_judged: bool = Field(
        True, description="Whether there was enough to compare with; else is_success means nothing."
    )
    observed: str | None
    expected: str | None
    sample: Any = Field(description="Values that failed, without personal data.")
    error: str | None
    checked_at: datetime


class QualityRunDetail(QualityRun):
    """A run with its results."""

    results: list[CheckResult] = Field(description="Failed ones first, by severity.")
