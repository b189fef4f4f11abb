"""What people do: each act is one transaction with its row in the audit trail, and done twice is done once."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from include.airflow.cockpit.database import Change, Queries
from include.airflow.cockpit.guard import Acting
from include.airflow.cockpit.kept import kept
from include.airflow.cockpit.models import Alert, Miss, Reason, Stream
from include.airflow.cockpit.paging import Number
from include.airflow.cockpit.problems import conflict, not_found
from include.airflow.cockpit.routes.alerts import no_alert, read_alert
from include.airflow.cockpit.routes.objectives import miss_of
from include.airflow.cockpit.routes.stream import read_stream
from include.stream.status import ALIVE_WITHIN_SECONDS, QUERY_NAME, Wish

router = APIRouter(tags=["actions"])

_QUERIES = Queries("cockpit_acts", "cockpit_objectives")


@router.post("/stream/{act}", response_model=Stream)
def steer(act: Literal["pause", "resume", "drain"], body: Reason, visitor: Acting) -> Stream:
    """Pause the stream after the batch under way, let it run again, or have it load what waits and then end."""
    wish: Wish = {"pause": "stop", "resume": "run", "drain": "drain"}[act]  # type: ignore[assignment]
    with _QUERIES.change() as change:
        held = change.run("hold_wish", query=QUERY_NAME)
        present = held["wish"] if held else "run"
        if wish == "drain" and present != "drain":
            _needs_driver(change)
        if wish != present:
            change.run("wish", query=QUERY_NAME, wish=wish, actor=visitor.name)
            _record(change, visitor.name, f"stream.{act}", f"stream {QUERY_NAME}", body.reason)
    kept.clear()
    return read_stream()


@router.post("/alerts/{alert_id}/acknowledge", response_model=Alert)
def acknowledge_alert(alert_id: Number, body: Reason, visitor: Acting) -> Alert:
    """Say that somebody looks after an alert. Only who did may say something else later."""
    with _QUERIES.change() as change:
        held = change.run("hold_alert", alert_id=alert_id)
        if held is None:
            raise no_alert(alert_id)
        if held["resolved_at"] is not None:
            raise conflict(f"alert {alert_id} is over: {held['resolution']}", "There is nothing to look after any more")
        _not_anothers(f"alert {alert_id}", held["acknowledged_by"], visitor.name)
        if (held["acknowledged_by"], held["note"]) != (visitor.name, body.reason):
            change.run("acknowledge_alert", alert_id=alert_id, actor=visitor.name, reason=body.reason)
            _record(change, visitor.name, "alert.acknowledge", f"alert {alert_id}", body.reason)
    kept.clear()
    return read_alert(alert_id)


@router.post("/alerts/{alert_id}/resolve", response_model=Alert)
def resolve_alert(alert_id: Number, body: Reason, visitor: Acting) -> Alert:
    """Say that the cause of an alert is over. If it is not, whatever raised the alert raises another."""
    resolution = f"{body.reason} ({visitor.name})"
    with _QUERIES.change() as change:
        held = change.run("hold_alert", alert_id=alert_id)
        if held is None:
            raise no_alert(alert_id)
        if held["resolved_at"] is None:
            change.run("resolve_alert", alert_id=alert_id, resolution=resolution)
            _record(change, visitor.name, "alert.resolve", f"alert {alert_id}", body.reason)
        elif held["resolution"] != resolution:
            raise conflict(f"alert {alert_id} is over already: {held['resolution']}")
    kept.clear()
    return read_alert(alert_id)


@router.post("/objectives/misses/{miss_id}/acknowledge", response_model=Miss)
def acknowledge_miss(miss_id: Number, body: Reason, visitor: Acting) -> Miss:
    """Say what is known of a miss, which may be over. Only who did may say something else later."""
    with _QUERIES.change() as change:
        held = change.run("hold_miss", miss_id=miss_id)
        if held is None:
            raise not_found(f"there is no miss {miss_id}")
        _not_anothers(f"miss {miss_id}", held["acknowledged_by"], visitor.name)
        if (held["acknowledged_by"], held["note"]) != (visitor.name, body.reason):
            change.run("acknowledge_miss", miss_id=miss_id, actor=visitor.name, reason=body.reason)
            _record(change, visitor.name, "miss.acknowledge", f"miss {miss_id}", body.reason)
    kept.clear()
    return miss_of(**_QUERIES.one("miss", miss_id=miss_id))


def _needs_driver(change: Change) -> None:
    found = change.run("has_driver", query=QUERY_NAME, alive_seconds=ALIVE_WITHIN_SECONDS)
    if not (found and found["has_driver"]):
        raise conflict("no driver runs that could drain the stream", "Resume it first, and drain it once it runs")


def _not_anothers(subject: str, acknowledged_by: str | None, actor: str) -> None:
    if acknowledged_by not in (None, actor):
        raise conflict(f"{acknowledged_by} has acknowledged {subject} already", f"Talk to {acknowledged_by}")


def _record(change: Change, actor: str, action: str, subject: str, reason: str) -> None:
    change.run("record", actor=actor, action=action, subject=subject, reason=reason)
