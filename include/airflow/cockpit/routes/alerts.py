"""Alerts with their notifications, and the actions of users."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from include.airflow.cockpit.access.guard import Seeing
from include.airflow.cockpit.access.privacy import hide, without_quoted_rows
from include.airflow.cockpit.database import Queries, Row
from include.airflow.cockpit.models import (
    Action,
    Alert,
    AlertDetail,
    AlertPage,
    Delivery,
    ListedAlert,
    Messages,
    Page,
    Severity,
)
from include.airflow.cockpit.responses.answers import answer
from include.airflow.cockpit.responses.paging import END, Before, Limit, Number, page
from include.airflow.cockpit.responses.problems import not_found

router = APIRouter()

_QUERIES = Queries("cockpit_objectives")
# Open alerts are listed before resolved ones, whatever their age.
_OPEN, _RESOLVED = "open", "resolved"


@router.get("/alerts", response_model=AlertPage, tags=["alerts"])
def alert_list(
    request: Request,
    limit: Limit = 50,
    before: Annotated[
        str | None,
        Query(pattern=r"^(open|resolved)-[1-9][0-9]{0,17}$", description="The `next` of the previous page."),
    ] = None,
    state: Literal["open", "resolved"] | None = None,
    severity: Severity | None = None,
) -> Response:
    """List alerts: open ones first, then resolved ones, each newest first."""

    def read() -> AlertPage:
        part, number = before.split("-") if before else (_OPEN, str(END))
        rows = []
        if part == _OPEN and state != _RESOLVED:
            rows = _QUERIES.rows("alerts", is_open=True, before=number, severity=severity, limit=limit + 1)
            number = str(END)
        if len(rows) <= limit and state != _OPEN:
            missing = limit + 1 - len(rows)
            rows += _QUERIES.rows("alerts", is_open=False, before=number, severity=severity, limit=missing)
        counts = _QUERIES.rows("listed_messages", alert_ids=[row["alert_id"] for row in rows])
        messages = {one.pop("alert_id"): Messages(**one) for one in counts}
        none = Messages(due=0, sent=0, failed=0)
        found = page(
            ListedAlert,
            [_shown(row) | {"messages": messages.get(row["alert_id"], none)} for row in rows],
            "alert_id",
            limit,
        )
        following = found.next
        if following is not None:
            following = f"{_OPEN if found.items[-1].resolved_at is None else _RESOLVED}-{following}"
        opened: dict[Any, int] = _QUERIES.one("open_alerts")
        unacknowledged = opened.pop("unacknowledged")
        return AlertPage(items=found.items, next=following, open_alerts=opened, unacknowledged=unacknowledged)

    return answer(request, read, cache_seconds=0 if before else 1.0)


@router.get("/alerts/{alert_id}", response_model=AlertDetail, tags=["alerts"])
def alert(request: Request, visitor: Seeing, alert_id: Number) -> Response:
    """Return an alert and all notifications about it."""
    row = _QUERIES.row("alert", alert_id=alert_id)
    if row is None:
        raise no_alert(alert_id)
    may_see = visitor.can_act()
    deliveries = [
        Delivery(**hide(one, "last_error", may_see=may_see)) for one in _QUERIES.rows("deliveries", alert_id=alert_id)
    ]
    return answer(request, lambda: AlertDetail(**_shown(row), deliveries=deliveries))


@router.get("/actions", response_model=Page[Action], tags=["actions"])
def actions(request: Request, limit: Limit = 50, before: Before = END) -> Response:
    """List the actions that users took in the cockpit, newest first."""

    def read() -> Page[Action]:
        return page(Action, _QUERIES.rows("actions", before=before, limit=limit + 1), "action_id", limit)

    return answer(request, read)


def no_alert(alert_id: int) -> Exception:
    """Return the error for an alert that does not exist."""
    return not_found(f"alert {alert_id} does not exist, or retention has removed it")


def read_alert(alert_id: int) -> Alert:
    """Return the current state of an alert."""
    row: dict[str, Any] = _QUERIES.one("alert", alert_id=alert_id)
    return Alert(**_shown(row))


def _shown(row: Row) -> Row:
    return row | {"detail": without_quoted_rows(row["detail"])}
