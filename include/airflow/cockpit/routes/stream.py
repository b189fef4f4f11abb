"""The stream: its state, batches, files and rejects."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.answers import answer
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.guard import Seeing
from include.airflow.cockpit.models import (
    Batch,
    File,
    FileState,
    Page,
    RejectReason,
    Rejects,
    RejectSample,
    Run,
    Stream,
    StreamState,
    Sums,
)
from include.airflow.cockpit.paging import END, Before, Limit, Name, page
from include.airflow.cockpit.problems import not_found
from include.contract import RULES
from include.settings import Settings
from include.stream.status import ALIVE_WITHIN_SECONDS, QUERY_NAME, driver_id_of
from include.stream.watch import Limits

router = APIRouter(prefix="/stream", tags=["stream"])

_QUERIES = Queries("cockpit_stream")
_MEANINGS = {rule.code: rule.message for rule in RULES}
# Rejected rows that one answer looks at: some milliseconds, however many there are.
_BOUND = 20_000
_RAW_CHARACTERS = 2_000


@router.get("", response_model=Stream)
def stream(request: Request) -> Response:
    """What the stream does, what it is wished to do, and its last runs."""
    return answer(request, read_stream, kept_seconds=1.0)


@router.get("/batches", response_model=Page[Batch])
def batches(request: Request, limit: Limit = 50, before: Before = END) -> Response:
    """Committed micro-batches, newest first."""

    def read() -> Page[Batch]:
        return page(Batch, _QUERIES.rows("batches", before=before, limit=limit + 1), "batch_id", limit)

    return answer(request, read, kept_seconds=1.0 if before == END else 0)


@router.get("/files", response_model=Page[File])
def files(request: Request, limit: Limit = 50, before: Before = END, state: FileState | None = None) -> Response:
    """Admitted files with the balance of their rows, newest first."""
    query = "files" if state in (None, "loaded") else "few_files"

    def read() -> Page[File]:
        return page(File, _QUERIES.rows(query, state=state, before=before, limit=limit + 1), "file_id", limit)

    return answer(request, read, kept_seconds=1.0 if before == END else 0)


@router.get("/rejects", response_model=Rejects)
def rejects(request: Request, minutes: Annotated[int, Query(ge=1, le=7 * 24 * 60)] = 60) -> Response:
    """Rejected rows of the last minutes, by reason."""

    def read() -> Rejects:
        rows = _QUERIES.rows("reject_reasons", minutes=minutes, bound=_BOUND)
        total = _QUERIES.one("rejected_rows", minutes=minutes)
        return Rejects(
            minutes=minutes,
            **total,
            reject_share=total["rejected"] / total["read"] if total["read"] else None,
            counted=rows[0]["counted"],
            reasons=[
                RejectReason(**row, meaning=_MEANINGS.get(row["reason"])) for row in rows if row["reason"] is not None
            ],
        )

    return answer(request, read, kept_seconds=5.0)


@router.get("/rejects/{reason}/samples", response_model=Page[RejectSample])
def reject_samples(
    request: Request,
    visitor: Seeing,
    reason: Name,
    limit: Limit = 20,
    before: Before = END,
) -> Response:
    """Rows that were rejected for a reason, newest first. A page looks at 20,000 rejected rows and may be short of its
    limit, or empty, while there is a next one."""
    if reason not in _MEANINGS:
        raise not_found(f"there is no reason {reason!r}", "GET /stream/rejects lists those that occur")

    def read() -> Page[RejectSample]:
        rows = _QUERIES.rows(
            "reject_samples",
            reason=reason,
            before=before,
            limit=limit + 1,
            bound=_BOUND,
            with_raw=visitor.can_act(),
            raw_characters=_RAW_CHARACTERS,
        )
        found = page(RejectSample, [row for row in rows if row["reject_id"] is not None], "reject_id", limit)
        searched_to = rows[0]["searched_to"]
        if found.next is None and searched_to is not None:
            return found.model_copy(update={"next": str(searched_to)})
        return found

    return answer(request, read)


def read_stream() -> Stream:
    """The stream as it is now."""
    limits = Limits.of(Settings.from_env())
    row = _QUERIES.one(
        "stream",
        query=QUERY_NAME,
        alive_seconds=ALIVE_WITHIN_SECONDS,
        stall_seconds=limits.stall_seconds,
        start_seconds=limits.start_seconds,
        gone_seconds=limits.gone_seconds,
    )
    runs = [Run(**one, driver_id=driver_id_of(one["log_path"])) for one in _QUERIES.rows("runs", query=QUERY_NAME)]
    return Stream(
        state=_state(row),
        last_minute=Sums(**row),
        restarts_day=_QUERIES.one("restarts", query=QUERY_NAME)["restarts"],
        run=runs[0] if runs else None,
        runs=runs,
        **row,
    )


def _state(row: Row) -> StreamState:
    is_alive = row["has_pulse"] and row["ended_at"] is None
    match row["wish"], is_alive:
        case "run", True:
            if row["stands_still"]:
                return "stuck"
            return "running" if row["intake_paused_because"] is None else "intake_paused"
        case "run", _:
            return "starting" if row["is_due"] else "down"
        case "stop", True:
            return "stopping"
        case "drain", True:
            return "draining"
        case "stop", _:
            return "paused"
        case _:
            return "drained"
