"""Start, follow and answer runs of the DAG `retract_delivery` for the cockpit; only for Airflow's API server.

A run is a request. Its params say which delivery to retract and why, its task `preview` works out what will change, and
its task `approve` waits for an answer. Answers go through Airflow's own code, so the same permissions, locks and audit
record apply, whether a user answers in the cockpit or under *Required Actions*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType
from fastapi import Request
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from include.airflow.tasks.retraction import FAULT

DAG_ID = "retract_delivery"

Phase = Literal["previewing", "waiting", "retracting", "done", "rejected", "expired", "failed"]

_PREVIEW, _APPROVE, _RETRACT = "preview", "approve", "retract"
_OPEN = (DagRunState.QUEUED, DagRunState.RUNNING)
_FAILED = (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
_RECENT = timedelta(days=1)
_MOST = 50
_RETURN_VALUE = "return_value"

_may_answer = requires_access_dag("PUT", DagAccessEntity.HITL_DETAIL, param_dag_id=DAG_ID)


@dataclass(frozen=True)
class RetractionRun:
    """The current state of a run.

    Parameters
    ----------
    answered_by:
        The user who approved or rejected it; None while it has no answer.
    dry_run:
        The changes that the retraction will make, as ``include.retraction.report.as_data`` returns them. Filled only
        by ``find``.
    retraction_id:
        The row of ``shop.retractions``, once the deliveries are retracted.
    fault:
        The reason why it failed.
    """

    run_id: str
    requested_at: datetime
    requested_by: str | None
    params: dict[str, Any]
    phase: Phase
    answered_by: str | None
    dry_run: dict[str, Any] | None
    retraction_id: int | None
    fault: str | None


def under_way(file_id: int) -> str | None:
    """Return the id of the unfinished run for a file, or None."""
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == DAG_ID, DagRun.state.in_(_OPEN)))
        return next((str(run.run_id) for run in runs if (run.conf or {}).get("file_id") == file_id), None)


def start(file_id: int, reason: str, user: str) -> str:
    """Start a run for a file; return its id.

    Raises
    ------
    DagNotFound
        When Airflow has not read the DAG yet.
    """
    now = datetime.now(UTC)
    run = trigger_dag(
        DAG_ID,
        triggered_by=DagRunTriggeredByType.REST_API,
        triggering_user_name=user,
        run_id=f"file_{file_id}__{now:%Y-%m-%dT%H:%M:%S.%f}",
        conf={"file_id": file_id, "reason": reason},
        logical_date=now,
        replace_microseconds=False,
    )
    assert run is not None
    return str(run.run_id)


def recent() -> list[RetractionRun]:
    """List the unfinished runs and those of the last day, newest first, without their dry runs."""
    with create_session() as session:
        runs = session.scalars(
            select(DagRun)
            .where(
                DagRun.dag_id == DAG_ID,
                or_(DagRun.state.in_(_OPEN), DagRun.run_after > datetime.now(UTC) - _RECENT),
            )
            .order_by(DagRun.id.desc())
            .limit(_MOST)
        ).all()
        return _read(session, runs)


def find(run_id: str) -> RetractionRun | None:
    """Return one run with its dry run, or None when there is no such run."""
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == DAG_ID, DagRun.run_id == run_id)).all()
        return next(iter(_read(session, runs, with_dry_run=True)), None)


def answer(run_id: str, option: Literal["Approve", "Reject"], request: Request, user: BaseUser) -> None:
    """Approve or reject a run in the name of a user, in the same way as Airflow's page.

    Raises
    ------
    HTTPException
        When the user lacks the permission, or the run already has an answer.
    """
    _may_answer(request, user)
    payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={})
    with create_session() as session:
        update_hitl_detail(DAG_ID, run_id, _APPROVE, payload, user, session)


def approval_url(run_id: str) -> str:
    """Return the address of the page in the Airflow UI that shows the run and accepts the answer."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{DAG_ID}/runs/{quote(run_id, safe='')}/required_actions"


def _read(session: Session, runs: Iterable[DagRun], *, with_dry_run: bool = False) -> list[RetractionRun]:
    ids = [run.run_id for run in runs]
    tasks: dict[tuple[str, str], TaskInstance] = {}
    answers: dict[str, HITLDetail] = {}
    for task, detail in session.execute(
        select(TaskInstance, HITLDetail)
        .outerjoin(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(TaskInstance.dag_id == DAG_ID, TaskInstance.run_id.in_(ids))
    ):
        tasks[task.run_id, task.task_id] = task
        if task.task_id == _APPROVE and detail is not None:
            answers[task.run_id] = detail
    said = _said(session, ids, with_dry_run)
    found = []
    for run in runs:
        states = {
            task: getattr(tasks.get((run.run_id, task)), "state", None) for task in (_PREVIEW, _APPROVE, _RETRACT)
        }
        given = answers.get(run.run_id)
        faults = [said.get((run.run_id, task, FAULT)) for task in (_RETRACT, _PREVIEW)]
        phase = _phase(run, states, given)
        found.append(
            RetractionRun(
                run_id=run.run_id,
                requested_at=run.run_after,
                requested_by=run.triggering_user_name,
                params=dict(run.conf or {}),
                phase=phase,
                answered_by=(given.responded_by or {}).get("name") if given is not None else None,
                dry_run=(said.get((run.run_id, _PREVIEW, _RETURN_VALUE)) or {}).get("dry_run"),
                retraction_id=said.get((run.run_id, _RETRACT, _RETURN_VALUE)),
                fault=next((fault for fault in faults if fault), None) if phase == "failed" else None,
            )
        )
    return found


def _said(session: Session, ids: list[str], with_dry_run: bool) -> dict[tuple[str, str, str], Any]:
    """Return the XComs of the runs, by run, task and key."""
    wanted = XComModel.key == FAULT
    wanted |= (XComModel.task_id == _RETRACT) & (XComModel.key == _RETURN_VALUE)
    if with_dry_run:
        wanted |= (XComModel.task_id == _PREVIEW) & (XComModel.key == _RETURN_VALUE)
    rows = session.scalars(select(XComModel).where(XComModel.dag_id == DAG_ID, XComModel.run_id.in_(ids), wanted))
    return {(row.run_id, row.task_id, row.key): XComModel.deserialize_value(row) for row in rows}


def _phase(run: DagRun, states: dict[str, str | None], detail: HITLDetail | None) -> Phase:
    if states[_RETRACT] == TaskInstanceState.SUCCESS:
        return "done"
    if any(state in _FAILED for state in states.values()):
        return "failed"
    chosen = (detail.chosen_options or []) if detail is not None else []
    if "Reject" in chosen:
        # When the time for an answer is over, Airflow answers with the default, without the name of a user.
        return "rejected" if detail is not None and detail.responded_by else "expired"
    if "Approve" in chosen:
        return "retracting"
    if run.state not in _OPEN:
        return "failed"
    return "previewing" if detail is None else "waiting"
