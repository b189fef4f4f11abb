"""Views and whether they are published; suites, their runs and results."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.answers import answer
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import CheckResult, Page, QualityRun, QualityRunDetail, Suite, TrendPoint, View
from include.airflow.cockpit.paging import END, Limit, Name, Number, page
from include.airflow.cockpit.problems import not_found
from include.airflow.cockpit.trust import suites, views

router = APIRouter(tags=["quality"])

_QUERIES = Queries("cockpit_quality")
_WORST_FIRST = ("broken", "failed", "warned", "passed")


@router.get("/views", response_model=list[View])
def view_list(request: Request) -> Response:
    """The materialized views: how old what readers see is, and what came of the newest refresh."""

    def read() -> list[View]:
        return [View(**row, is_held=row["held_because"] is not None) for row in views()]

    return answer(request, read, kept_seconds=1.0)


@router.get("/quality/suites", response_model=list[Suite])
def suite_list(request: Request) -> Response:
    """Every suite that has ever run, those that fail first."""

    def read() -> list[Suite]:
        found = [_suite(request, name, runs) for name, runs in suites().items()]
        return sorted(found, key=lambda suite: (_WORST_FIRST.index(suite.last.verdict), suite.suite))

    return answer(request, read, kept_seconds=1.0)


@router.get("/quality/suites/{suite}/runs", response_model=Page[QualityRun])
def suite_runs(
    request: Request,
    suite: Name,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=END, description="The `next` of the page before.")] = None,
) -> Response:
    """The runs of a suite, newest first."""
    rows = _QUERIES.rows("suite_runs", suite=suite, before=before, limit=limit + 1)
    if not rows and suite not in suites():
        raise not_found(f"there is no suite {suite!r} that has run", "GET /quality/suites lists those that have")
    return answer(request, lambda: page(partial(_run, request), rows, "quality_run_id", limit))


@router.get("/quality/runs/{quality_run_id}", response_model=QualityRunDetail)
def quality_run(request: Request, quality_run_id: Number) -> Response:
    """A run with the result of every check, those that failed first."""
    row = _QUERIES.row("quality_run", quality_run_id=quality_run_id)
    if row is None:
        raise not_found(f"there is no quality run {quality_run_id}, or it is past its retention")
    results = [CheckResult(**one) for one in _QUERIES.rows("results", quality_run_id=quality_run_id)]
    return answer(request, lambda: QualityRunDetail(**_shown(request, row), results=results))


def _suite(request: Request, name: str, runs: list[Row]) -> Suite:
    trend = [TrendPoint(**run, failures=run["critical_failures"] + run["warnings"]) for run in reversed(runs)]
    return Suite(suite=name, last=_run(request, **runs[0]), trend=trend)


def _run(request: Request, **row: Any) -> QualityRun:
    return QualityRun(**_shown(request, row))


def _shown(request: Request, row: Row) -> dict[str, Any]:
    path = row["docs_path"]
    return row | {"docs_url": None if path is None else f"{request.scope['root_path']}/docs/{quote(path)}"}
