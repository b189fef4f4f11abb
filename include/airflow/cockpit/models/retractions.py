"""Retractions of deliveries, and requests for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model

RequestPhase = Literal["previewing", "waiting", "retracting", "done", "rejected", "expired", "failed"]


class Retraction(Model):
    """A completed retraction."""

    retraction_id: int
    done_at: datetime
    done_by: str = Field(description="Who approved it.")
    reason: str
    selection: dict[str, Any] = Field(
        description="How the deliveries were selected.", examples=[{"name": "prices.csv"}]
    )
    names: list[str] = Field(description="Names of the files, at most ten.")
    files: int
    events: int = Field(description="Events from the deliveries.")
    reassigned: int = Field(description="Those of the events that another delivery also contained; they are kept.")
    rejects: int
    duplicates: int


class RequestedRetraction(Model):
    """A run of the DAG `retract_delivery`, which makes a dry run and then waits for an approval."""

    dag_run_id: str
    approval_url: str = Field(description="The page of the Airflow UI where the run is approved or rejected.")


class FigureChange(Model):
    """A row of a published view that the retraction will change."""

    view_name: str
    key: dict[str, str | None] = Field(description="The columns that identify the row; customers are masked.")
    before: dict[str, str | None] | None = Field(
        description="The published values of the figures that differ; null when the row will appear."
    )
    after: dict[str, str | None] | None = Field(
        description="The future values of the figures that differ; null when the row will disappear."
    )


class DryRun(Model):
    """The changes that a retraction will make, determined by executing it and rolling it back."""

    brought: list[str] = Field(description="A description of what each delivery contained.")
    changes: list[FigureChange] = Field(description="The first ten changed rows of each view.")
    rows: dict[str, int] = Field(description="Total number of changed rows of each view.")


class RetractionRequest(Model):
    """A request to retract deliveries: a run of the DAG `retract_delivery`."""

    dag_run_id: str
    requested_at: datetime
    requested_by: str | None = Field(description="The Airflow user.")
    reason: str | None
    selection: dict[str, Any] = Field(description="How the deliveries are selected.", examples=[{"file_id": 17}])
    file_name: str | None = Field(description="For a request for one file: its name, while the file is known.")
    phase: RequestPhase = Field(
        description="previewing: the dry run is in progress; waiting: it waits for an answer; retracting: it was "
        "approved; done; rejected; expired: nobody answered in time; failed: `fault` says why."
    )
    answered_by: str | None = Field(description="The user who approved or rejected it.")
    fault: str | None
    retraction_id: int | None = Field(description="The completed retraction; null until then.")
    approval_url: str = Field(description="The page of the Airflow UI where the run is approved or rejected.")


class RetractionRequestDetail(RetractionRequest):
    """A request with its dry run and its result."""

    dry_run: DryRun | None = Field(description="null until the dry run is complete.")
    retraction: Retraction | None = Field(description="The completed retraction; null until then.")
