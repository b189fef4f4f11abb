"""Alerts with their messages, and what people did."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.answers import answer
from include.airflow.cockpit.database import Queries
from include.airflow.cockpit.models import Action, Alert, AlertDetail, Delivery, Page, Severity
from include.airflow.cockpit.paging import END, Before, Limit, Number, page
from include.airflow.cockpit.problems import not_found

router = APIRouter()

_QUERIES = Queries("cockpit_objectives")
# An open alert stands before every one that is over, however old it is.
_OPEN, _RESOLVED = "open", "resolved"


@router.get("/alerts", response_model=Page[Alert], tags=["alerts"])
def alert_list(
    request: Request,
    limit: Limit = 50,
    before: Annotated[
        str | None,
        Query(pattern=r"^(open|resolved)-[1-9][0-9]{0,17}$", description="The `next` of the page before."),
    ] = None,
    state: Literal["open", "resolved"] | None = None,
    severity: Severity | None = None,
) -> Response:
    """Alerts: the open ones, then those that are over; newest first."""

    def read() -> Page[Alert]:
        part, number = before.split("-") if before else (_OPEN, str(END))
        rows = []
        if part == _OPEN and state != _RESOLVED:
            rows = _QUERIES.rows("alerts", is_open=True, before=number, severity=severity, limit=limit + 1)
            number = str(END)
        if len(rows) <= limit and state != _OPEN:
            missing = limit + 1 - len(rows)
            rows += _QUERIES.rows("alerts", is_open=False, before=number, severity=severity, limit=missing)
        found = page(Alert, rows, "alert_id", limit)
        if found.next is None:
            return found
        last = _OPEN if found.items[-1].resolved_at is None else _RESOLVED
        return found.model_copy(update={"next": f"{last}-{found.next}"})

    return answer(request, read, kept_seconds=0 if before else 1.0)


@router.get("/alerts/{alert_id}", response_model=AlertDetail, tags=["alerts"])
def alert(request: Request, alert_id: Number) -> Response:
    """An alert, and every message about it."""
    row = _QUERIES.row("alert", alert_id=alert_id)
    if row is None:
        raise no_alert(alert_id)
    deliveries = [Delivery(**one) for one in _QUERIES.rows("deliveries", alert_id=alert_id)]
    return answer(request, lambda: AlertDetail(**row, deliveries=deliveries))


@router.get("/actions", response_model=Page[Action], tags=["actions"])
def actions(request: Request, limit: Limit = 50, before: Before = END) -> Response:
    """What people did through the cockpit, newest first."""

    def read() -> Page[Action]:
        return page(Action, _QUERIES.rows("actions", before=before, limit=limit + 1), "action_id", limit)

    return answer(request, read)


def no_alert(alert_id: int) -> Exception:
    """The refusal of an alert that does not exist."""
    return not_found(f"there is no alert {alert_id}, or it is past its retention")


def read_alert(alert_id: int) -> Alert:
    """An alert as it is now."""
    row: dict[str, Any] = _QUERIES.one("alert", alert_id=alert_id)
    return Alert(**row)
