"""Retractions, and requests for them. A request is a DAG run that makes a dry run and waits for an answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from airflow.exceptions import DagNotFound
from fastapi import APIRouter, Path, Request, Response

from include.airflow import retraction_runs
from include.airflow.cockpit.access.guard import Acting
from include.airflow.cockpit.database import Change, Queries, Row
from include.airflow.cockpit.models import (
    DryRun,
    Page,
    Reason,
    RequestedRetraction,
    Retraction,
    RetractionRequest,
    RetractionRequestDetail,
)
from include.airflow.cockpit.models.common import NO_NUL
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.cache import cache
from include.airflow.cockpit.responses.paging import END, Before, Limit, Number, page
from include.airflow.cockpit.responses.problems import ProblemError, conflict, not_found
from include.airflow.retraction_runs import DAG_ID, RetractionRun, approval_url

router = APIRouter(tags=["retractions"])

_QUERIES = Queries("cockpit_actions", "cockpit_retractions")
_SELECTION = ("name", "file_id", "batch_id", "since", "until")
# The option of Airflow's approval task, and the phases of the request after the option was chosen.
_ANSWERS: dict[str, tuple[Literal["Approve", "Reject"], frozenset[str]]] = {
    "approve": ("Approve", frozenset({"retracting", "done"})),
    "reject": ("Reject", frozenset({"rejected"})),
}

RunId = Annotated[str, Path(max_length=250, pattern=NO_NUL)]


@router.get("/retractions", response_model=Page[Retraction])
def retractions(request: Request, limit: Limit = 50, before: Before = END) -> Response:
    """List the completed retractions, newest first."""
    return answer(
        request,
        lambda: page(Retraction, _QUERIES.rows("retractions", before=before, limit=limit + 1), "retraction_id", limit),
    )


@router.get("/retractions/requests", response_model=list[RetractionRequest])
def requests(request: Request) -> Response:
    """List the requests in progress and those of the last 24 hours, newest first, 50 at most."""

    def read() -> list[RetractionRequest]:
        runs = retraction_runs.recent()
        names = _names(runs)
        return [RetractionRequest(**_shown(run, names)) for run in runs]

    return answer(request, read, cache_seconds=1.0)


@router.get("/retractions/requests/{dag_run_id}", response_model=RetractionRequestDetail)
def retraction_request(request: Request, dag_run_id: RunId) -> Response:
    """Return a request with its dry run: what will be removed, and how each published figure will change."""
    run = _found(dag_run_id)
    return answer(request, lambda: _detail(run))


@router.post("/retractions/requests/{dag_run_id}/{act}", response_model=RetractionRequestDetail)
def answer_request(
    request: Request, dag_run_id: RunId, act: Literal["approve", "reject"], body: Reason, visitor: Acting
) -> RetractionRequestDetail:
    """Approve or reject a request whose dry run is complete.

    Approving retracts the delivery in the name of the user; rejecting changes nothing. The answer also counts in the
    Airflow UI, where the run stops waiting.
    """
    option, phases = _ANSWERS[act]
    run = _found(dag_run_id)
    if run.phase in phases and run.answered_by == visitor.name:
        return _detail(run)
    if run.phase != "waiting":
        raise conflict(f"the request {dag_run_id} is not waiting for an answer: {_why_not(run)}")
    with _QUERIES.change() as change:
        _record(change, visitor.name, f"retraction.{act}", run, body.reason)
        # Keep this last. It runs in its own transaction, so a refusal must leave no audit record behind.
        retraction_runs.answer(dag_run_id, option, request, visitor.user)
    cache.clear()
    return _detail(_found(dag_run_id))


@router.post("/files/{file_id}/retract", response_model=RequestedRetraction, status_code=HTTPStatus.ACCEPTED)
def request_retraction(file_id: Number, body: Reason, visitor: Acting) -> RequestedRetraction:
    """Request the retraction of a delivery, with everything that it contained.

    A run of the DAG `retract_delivery` makes a dry run, and retracts the delivery once a user has approved it, here or
    in the Airflow UI. A file has one request at a time; another call returns the request in progress.
    """
    with _QUERIES.change() as change:
        file = change.run("file_state", file_id=file_id)
        if file is None:
            raise not_found(f"file {file_id} does not exist")
        if file["state"] == "admitted":
            raise conflict(f"file {file_id} ({file['name']}) is still being loaded", "Try again once it is loaded")
        if not file["read"]:
            raise conflict(f"file {file_id} ({file['name']}) has no stored rows to retract")
        run_id = retraction_runs.under_way(file_id)
        if run_id is None:
            subject = f"file {file_id} ({file['name']})"
            change.run("record", actor=visitor.name, action="file.retract", subject=subject, reason=body.reason)
            run_id = _start(file_id, body.reason, visitor.name)
    cache.clear()
    return RequestedRetraction(dag_run_id=run_id, approval_url=approval_url(run_id))


def _start(file_id: int, reason: str, user: str) -> str:
    try:
        return retraction_runs.start(file_id, reason, user)
    except DagNotFound as error:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Airflow does not know the DAG {DAG_ID} yet",
            "Check it for import errors; a new installation needs some seconds to load it",
        ) from error


def _found(run_id: str) -> RetractionRun:
    run = retraction_runs.find(run_id)
    if run is None:
        raise not_found(
            f"the request {run_id!r} does not exist, or Airflow has removed it",
            "GET /retractions/requests lists recent requests",
        )
    return run


def _why_not(run: RetractionRun) -> str:
    match run.phase:
        case "previewing":
            return "its dry run is not complete"
        case "retracting" | "done":
            return f"{run.answered_by or 'a user'} has approved it"
        case "rejected":
            return f"{run.answered_by or 'a user'} has rejected it"
        case "expired":
            return "nobody answered in time, which counts as a rejection"
        case _:
            return run.fault or "it has failed"


def _detail(run: RetractionRun) -> RetractionRequestDetail:
    done: Row | None = None
    if run.retraction_id is not None:
        done = _QUERIES.row("retraction", retraction_id=run.retraction_id)
    return RetractionRequestDetail(
        **_shown(run, _names([run])),
        dry_run=None if run.dry_run is None else DryRun(**run.dry_run),
        retraction=None if done is None else Retraction(**done),
    )


def _shown(run: RetractionRun, names: dict[int, str]) -> dict[str, Any]:
    return {
        "dag_run_id": run.run_id,
        "requested_at": run.requested_at,
        "requested_by": run.requested_by,
        "reason": run.params.get("reason"),
        "selection": _selection(run),
        "file_name": names.get(run.params.get("file_id") or 0),
        "phase": run.phase,
        "answered_by": run.answered_by,
        "fault": run.fault,
        "retraction_id": run.retraction_id,
        "approval_url": approval_url(run.run_id),
    }


def _selection(run: RetractionRun) -> dict[str, Any]:
    return {name: value for name in _SELECTION if (value := run.params.get(name)) not in (None, "")}


def _names(runs: list[RetractionRun]) -> dict[int, str]:
    file_ids = [file_id for run in runs if (file_id := run.params.get("file_id"))]
    if not file_ids:
        return {}
    return {row["file_id"]: row["name"] for row in _QUERIES.rows("file_names", file_ids=file_ids)}


def _record(change: Change, actor: str, action: str, run: RetractionRun, reason: str) -> None:
    chosen = ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in _selection(run).items())
    name = _names([run]).get(run.params.get("file_id") or 0)
    subject = f"{chosen}{f' ({name})' if name else ''}"
    change.run("record", actor=actor, action=action, subject=subject, reason=reason)
