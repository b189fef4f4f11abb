"""The stream: its state, batches, files and rejects."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.access.guard import Seeing
from include.airflow.cockpit.access.privacy import hide
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import (
    BacklogMinute,
    Batch,
    File,
    FileReject,
    FileState,
    Page,
    RejectReason,
    Rejects,
    RejectSample,
    Retracted,
    Run,
    Stream,
    StreamCondition,
    StreamState,
    Sums,
)
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.cache import cache
from include.airflow.cockpit.responses.paging import END, Before, Limit, Name, Number, page
from include.airflow.cockpit.responses.problems import not_found
from include.contract import RULES
from include.settings import Settings
from include.stream.intake.backlog import count_landed, sees_landing
from include.stream.supervision.diagnosis import Limits
from include.stream.supervision.status import ALIVE_WITHIN_SECONDS, QUERY_NAME, driver_id_of

router = APIRouter(prefix="/stream", tags=["stream"])

_QUERIES = Queries("cockpit_stream")
_MEANINGS = {rule.code: rule.message for rule in RULES}
# The number of rejected rows that one request reads at most: some milliseconds, however many there are.
_BOUND = 20_000
_RAW_CHARACTERS = 2_000


@router.get("", response_model=Stream)
def stream(request: Request, visitor: Seeing) -> Response:
    """Return the state of the stream, its desired state, and its last runs."""
    may_see = visitor.can_act()
    return answer(request, lambda: read_stream(may_see=may_see), cache_seconds=1.0, audience=f"may_see={may_see}")


@router.get("/backlog", response_model=list[BacklogMinute])
def backlog(request: Request) -> Response:
    """List the number of waiting files in each minute of the last two hours, oldest first."""
    return answer(request, lambda: [BacklogMinute(**row) for row in _QUERIES.rows("backlog")], cache_seconds=5.0)


@router.get("/batches", response_model=Page[Batch])
def batches(request: Request, limit: Limit = 50, before: Before = END) -> Response:
    """List the committed micro-batches, newest first."""

    def read() -> Page[Batch]:
        return page(Batch, _QUERIES.rows("batches", before=before, limit=limit + 1), "batch_id", limit)

    return answer(request, read, cache_seconds=1.0 if before == END else 0)


@router.get("/files", response_model=Page[File])
def files(
    request: Request, visitor: Seeing, limit: Limit = 50, before: Before = END, state: FileState | None = None
) -> Response:
    """List the admitted files with their balance of rows, newest first."""
    query = "files" if state in (None, "loaded") else "few_files"
    may_see = visitor.can_act()

    def read() -> Page[File]:
        rows = _QUERIES.rows(query, state=state, before=before, limit=limit + 1)
        retracted = _retracted(rows)
        shown = [
            hide(row, "fault_detail", "last_error", may_see=may_see) | {"retracted": retracted.get(row["file_id"])}
            for row in rows
        ]
        return page(File, shown, "file_id", limit)

    return answer(request, read, cache_seconds=1.0 if before == END else 0, audience=f"may_see={may_see}")


@router.get("/files/{file_id}/rejects", response_model=list[FileReject])
def file_rejects(request: Request, visitor: Seeing, file_id: Number) -> Response:
    """List the reasons why rows of a file were rejected, most frequent first, each with its first row.

    Only the first 20,000 rejected rows of the file are counted.
    """
    if _QUERIES.row("file", file_id=file_id) is None:
        raise not_found(f"file {file_id} does not exist, or retention has removed it", "GET /stream/files lists files")
    rows = _QUERIES.rows(
        "file_rejects",
        file_id=file_id,
        bound=_BOUND,
        with_raw=visitor.can_act(),
        raw_characters=_RAW_CHARACTERS,
    )
    return answer(request, lambda: [FileReject(**row, meaning=_MEANINGS.get(row["reason"])) for row in rows])


@router.get("/rejects", response_model=Rejects)
def rejects(request: Request, minutes: Annotated[int, Query(ge=1, le=7 * 24 * 60)] = 60) -> Response:
    """Count the rejected rows of the last minutes, by reason."""

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

    return answer(request, read, cache_seconds=5.0)


@router.get("/rejects/{reason}/samples", response_model=Page[RejectSample])
def reject_samples(
    request: Request,
    visitor: Seeing,
    reason: Name,
    limit: Limit = 20,
    before: Before = END,
) -> Response:
    """List rows that were rejected for a reason, newest first.

    Each page reads 20,000 rejected rows, so it may have fewer rows than its limit, or none, even if there is a next
    page.
    """
    if reason not in _MEANINGS:
        raise not_found(f"the reason {reason!r} does not exist", "GET /stream/rejects lists the reasons that occur")

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


def _retracted(files: list[Row]) -> dict[int, Retracted]:
    file_ids = [file["file_id"] for file in files if file["state"] == "retracted"]
    if not file_ids:
        return {}
    return {row["file_id"]: Retracted(**row) for row in _QUERIES.rows("retracted", file_ids=file_ids)}


def read_stream(*, may_see: bool) -> Stream:
    """Return the current state of the stream. The errors of drivers are hidden from users who may not see them."""
    row = read_state()
    runs = [
        Run(**hide(one, "error", may_see=may_see), driver_id=driver_id_of(one["log_path"]))
        for one in _QUERIES.rows("runs", query=QUERY_NAME)
    ]
    return Stream(
        state=state_of(row),
        last_minute=Sums(**row),
        restarts_day=_QUERIES.one("restarts", query=QUERY_NAME)["restarts"],
        run=runs[0] if runs else None,
        runs=runs,
        **row,
    )


def read_state() -> Row:
    """Read the state of the stream from the database, and add the current backlog and lag."""
    settings = Settings.from_env()
    limits = Limits.of(settings)
    row = _QUERIES.one(
        "stream",
        query=QUERY_NAME,
        alive_seconds=ALIVE_WITHIN_SECONDS,
        stall_seconds=limits.stall_seconds,
        start_seconds=limits.start_seconds,
        gone_seconds=limits.gone_seconds,
    )
    row |= _backlog(row, settings)
    oldest = row["oldest_waiting_since"]
    if oldest is not None:
        row["lag_seconds"] = max(row["lag_seconds"] or 0.0, (row["now"] - oldest).total_seconds())
    return row


def condition_of(row: Row) -> StreamCondition:
    """Return whether the stream runs and, if not, since when and on whose request."""
    state = state_of(row)
    since = {
        "running": None,
        "starting": row["requested_at"] or row["ended_at"],
        "stuck": row["turned_at"] or row["heartbeat_at"],
        "down": row["ended_at"] or row["heartbeat_at"],
        "intake_paused": None,
    }
    return StreamCondition(
        state=state,
        since=since.get(state, row["requested_at"]),
        requested_by=None if row["desired_state"] == "run" else row["requested_by"],
        reason=row["intake_paused_because"] if state == "intake_paused" else None,
    )


def _backlog(row: Row, settings: Settings) -> Row:
    """Return the backlog. A running driver counts the waiting files; without one, this process lists the folder."""
    if row["has_heartbeat"] and row["ended_at"] is None:
        return {"backlog_unknown_since": None}
    landed = cache.get("landed", 5.0, lambda: count_landed(settings)) if sees_landing(settings, row["epoch"]) else None
    if landed is None:
        return {"backlog_unknown_since": row["ended_at"] or row["heartbeat_at"]}
    arrivals = [at for at in (landed.oldest_at, row["oldest_waiting_since"]) if at is not None]
    return {
        "backlog_files": landed.files + row["admitted_files"],
        "backlog_bytes": landed.size_bytes + row["admitted_bytes"],
        "backlog_unknown_since": None,
        "oldest_waiting_since": min(arrivals, default=None),
    }


def state_of(row: Row) -> StreamState:
    """Derive the state of the stream from the desired state and the heartbeat."""
    is_alive = row["has_heartbeat"] and row["ended_at"] is None
    match row["desired_state"], is_alive:
        case "run", True:
            if row["is_stalled"]:
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
