"""Published figures by day, current or as of an earlier time, and the log of restatements."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from psycopg2 import sql
from pydantic import AwareDatetime

from include.airflow.cockpit.database import Queries
from include.airflow.cockpit.models import FigureRow, Page, Restatement
from include.airflow.cockpit.models.common import NO_NUL
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.paging import END, Before, Limit, Name, page
from include.airflow.cockpit.responses.problems import not_found
from include.db.queries import load_queries
from include.db.restatements import DAYS
from include.db.views import suggest, view_names

router = APIRouter(tags=["figures"])

_QUERIES = Queries("cockpit_figures")
_FIGURES = load_queries("figures")["published"]

Day = Annotated[date | None, Query(description="A day (UTC), for example 2026-11-20.")]


@router.get("/restatements", response_model=Page[Restatement])
def restatements(
    request: Request,
    limit: Limit = 50,
    before: Before = END,
    view: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="Only this view.")] = None,
    day: Day = None,
) -> Response:
    """List the changes to published figures of closed days, newest first."""

    def read() -> Page[Restatement]:
        rows = _QUERIES.rows("restatements", view_name=view, day=day, before=before, limit=limit + 1)
        return page(Restatement, rows, "restatement_id", limit)

    return answer(request, read, cache_seconds=1.0 if before == END else 0)


@router.get("/figures/{view}", response_model=Page[FigureRow])
def figures(
    request: Request,
    view: Name,
    as_of: Annotated[
        AwareDatetime | None,
        Query(description="Show the figures that were published at this time, for the days that were closed by then."),
    ] = None,
    since: Annotated[date, Query(description="The first day (UTC) to show.")] = date(1970, 1, 1),
    before: Annotated[date, Query(description="The `next` of the previous page, or the day after the last one.")] = (
        date(9999, 12, 31)
    ),
    limit: Annotated[int, Query(ge=1, le=31, description="Maximum number of days on the page.")] = 7,
) -> Response:
    """List the rows of a view by day, newest day first. A page contains whole days."""
    grain = _grain_of(view)
    return answer(request, lambda: _figures(view, grain, as_of, since, before, limit))


def _figures(
    view: str, grain: list[str], as_of: datetime | None, since: date, before: date, limit: int
) -> Page[FigureRow]:
    moment = as_of or datetime.now(UTC)
    published = sql.Identifier("shop", view)
    rows = published if as_of is None else sql.SQL("shop.as_of(NULL::{}, {})").format(published, sql.Literal(moment))
    statement = sql.SQL(_FIGURES).format(
        day=sql.SQL(next(DAYS[column] for column in grain if column in DAYS)),
        rows=rows,
        pairs=sql.SQL(", ").join(sql.SQL("{}, {}").format(sql.Literal(one), sql.Identifier(one)) for one in grain),
    )
    values: dict[str, Any] = {"view_name": view, "grain": grain, "as_of": moment, "since": since, "before": before}
    # Fetch one day more than the page shows, to know whether another page follows.
    found = _QUERIES.composed(statement, **values, limit=limit + 1)
    days = sorted({row["day"] for row in found}, reverse=True)
    shown = [FigureRow(**row) for row in found if row["day"] in days[:limit]]
    return Page[FigureRow](items=shown, next=days[limit - 1].isoformat() if len(days) > limit else None)


def _grain_of(view: str) -> list[str]:
    if view not in view_names():
        raise not_found(f"the view {view!r} does not exist", suggest(view, view_names()))
    grain: list[str] = _QUERIES.one("grain", view=f"shop.{view}")["grain"] or []
    if not any(column in DAYS for column in grain):
        raise not_found(f"the view {view!r} has no figures by day", "GET /restatements lists views that have them")
    return grain
