"""Published figures by day, current or as of an earlier time, and the log of their restatements."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from include.airflow.cockpit.models.common import Model

Figures = dict[str, str | None]


class FigureRow(Model):
    """One row of a published view."""

    day: date = Field(description="UTC.")
    key: dict[str, str] = Field(description="The columns that identify the row: the view's grain.")
    figures: Figures = Field(description="Numbers as decimals in strings; null where the view has none.")
    restated_at: datetime | None = Field(
        description="When the row last changed after its day was closed, up to the requested time."
    )


class Restatement(Model):
    """A change to published figures of a closed day (UTC)."""

    restatement_id: int
    restated_at: datetime
    view_name: str
    day: date = Field(description="UTC.")
    key: dict[str, str] = Field(description="The columns that identify the row: the view's grain.")
    old: Figures | None = Field(description="The old values of the figures that differ; null when the row is new.")
    new: Figures | None = Field(description="The new values of the figures that differ; null when the row is gone.")
    cause: str = Field(description="late events, correction or retraction.")
    detail: dict[str, Any] = Field(
        description="Known details of the cause, such as the batches since the last publication."
    )
