"""Views and their publication; suites, their runs and results."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.access.guard import Seeing
from include.airflow.cockpit.access.privacy import hide, without_quoted_rows
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import CheckResult, Page, QualityRun, QualityRunDetail, Suite, TrendPoint, View
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.paging import END, Limit, Name, Number, page
from include.airflow.cockpit.responses.problems import not_found
from include.airflow.cockpit.responses.trust import suites, views
from include.quality.results import WORST_FIRST

router = APIRouter(tags=["quality"])

_QUERIES = Queries("cockpit_quality")


@router.get("/views", response_model=list[View])
def view_list(request: Request) -> Response:
    """List the materialized views: the published state, and the outcome of the newest refresh."""

    return answer(request, read_views, cache_seconds=1.0)


def read_views() -> list[View]:
    """Return the current state of the views."""
    return [
        View(**row | {"error": without_quoted_rows(row["error"])}, is_held=row["held_because"] is not None)
        for row in views()
    ]


@router.get("/quality/suites", response_model=list[Suite])
def suite_list(request: Request) -> Response:
    """List the suites of `expectations/` that have run, failing ones first."""

    def read() -> list[Suite]:
        found = [_suite(request, name, runs) for name, runs in suites().items()]
        return sorted(found, key=lambda suite: (WORST_FIRST.index(suite.last.verdict), suite.suite))

    return answer(request, read, cache_seconds=1.0)


@router.get("/quality/suites/{suite}/runs", response_model=Page[QualityRun])
def suite_runs(
    request: Request,
    suite: Name,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=END, description="The `next` of the previous page.")] = None,
) -> Response:
    """List the runs of a suite, newest first."""
    rows = _QUERIES.rows("suite_runs", suite=suite, before=before, limit=limit + 1)
    if not rows and suite not in suites():
        raise not_found(f"no suite {suite!r} has run", "GET /quality/suites lists the suites that have run")
    return answer(request, lambda: page(partial(_run, request), rows, "quality_run_id", limit))


@router.get("/quality/runs/{quality_run_id}", response_model=QualityRunDetail)
def quality_run(request: Request, visitor: Seeing, quality_run_id: Number) -> Response:
    """Return a run with the results of all checks, failed ones first."""
    row = _QUERIES.row("quality_run", quality_run_id=quality_run_id)
    if row is None:
        raise not_found(f"quality run {quality_run_id} does not exist, or retention has removed it")
    results = [
        CheckResult(**_result(one, visitor.can_act()))
        for one in _QUERIES.rows("results", quality_run_id=quality_run_id)
    ]
    return answer(request, lambda: QualityRunDetail(**_shown(request, row), results=results))


def _result(row: Row, may_see: bool) -> Row:
    return row if may_see else hide(row, "error", may_see=False) | {"sample": None}


def _suite(request: Request, name: str, runs: list[Row]) -> Suite:
    trend = [TrendPoint(**run, failures=run["critical_failures"] + run["warnings"]) for run in reversed(runs)]
    return Suite(suite=name, last=_run(request, **runs[0]), trend=trend)


def _run(request: Request, **row: Any) -> QualityRun:
    return QualityRun(**_shown(request, row))


def _shown(request: Request, row: Row) -> dict[str, Any]:
    return row | {
        "error": without_quoted_rows(row["error"]),
        "url": f"{request.scope['root_path']}/quality?run={row['quality_run_id']}",
    }
