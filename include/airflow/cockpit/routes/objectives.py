"""Service level objectives and their misses."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import Attainment, Miss, Objective, Page
from include.airflow.cockpit.models.common import NO_NUL
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.paging import END, Before, Limit, page
from include.objectives.catalog import objectives_of
from include.settings import Settings

router = APIRouter(prefix="/objectives", tags=["objectives"])

_QUERIES = Queries("cockpit_objectives")
# The fields that come from the catalog, in addition to the measurements.
_SAID = ("title", "unit", "direction", "target", "measures")


@router.get("", response_model=list[Objective])
def objective_list(request: Request) -> Response:
    """List all objectives with their current value and their attainment by month, missed ones first."""
    return answer(request, lambda: [_objective(row) for row in _QUERIES.rows("objectives")], cache_seconds=5.0)


@router.get("/misses", response_model=Page[Miss])
def misses(
    request: Request,
    limit: Limit = 50,
    before: Before = END,
    objective: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
    is_open: bool | None = None,
) -> Response:
    """List the misses, the stretches of minutes in which an objective was not met, newest first."""

    def read() -> Page[Miss]:
        rows = _QUERIES.rows("misses", objective=objective, is_open=is_open, before=before, limit=limit + 1)
        return page(miss_of, rows, "miss_id", limit)

    return answer(request, read)


def miss_of(**row: Any) -> Miss:
    """Build a miss, with the unit of its objective."""
    return Miss(**row, unit=_said_of(row["objective"]).get("unit"))


def _said_of(name: str) -> dict[str, Any]:
    """Return the catalog's fields of an objective; empty if the catalog no longer contains it."""
    for objective in objectives_of(Settings.from_env()):
        if objective.name == name:
            return {field: getattr(objective, field) for field in _SAID}
    return {}


def _objective(row: Row) -> Objective:
    this_month: date = row["this_month"]
    months = [_attainment(**month) for month in row["months"]]
    now = next((month for month in months if month.month == this_month), _attainment(this_month, 0, 0))
    earlier = [month for month in months if month.month != this_month]
    shown: dict[str, Any] = row | _said_of(row["objective"]) | {"this_month": now}
    return Objective(**shown, earlier_months=earlier[:12])


def _attainment(month: date, minutes: int, met: int) -> Attainment:
    return Attainment(month=month, minutes=minutes, met=met, attainment=met / minutes if minutes else None)
