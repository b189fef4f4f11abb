"""Actions of users. Each action is idempotent, and one transaction writes both its effect and its audit record."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from include.airflow.cockpit.access.guard import Acting
from include.airflow.cockpit.database import Change, Queries
from include.airflow.cockpit.models import Alert, Miss, Publication, Reason, Stream, View
from include.airflow.cockpit.responses.cache import cache
from include.airflow.cockpit.responses.paging import Name, Number
from include.airflow.cockpit.responses.problems import conflict, not_found
from include.airflow.cockpit.routes.alerts import no_alert, read_alert
from include.airflow.cockpit.routes.objectives import miss_of
from include.airflow.cockpit.routes.quality import read_views
from include.airflow.cockpit.routes.stream import read_stream
from include.db.views import suggest, view_names
from include.quality.overrides import OverrideError, grant_in, revoke_in
from include.stream.supervision.status import ALIVE_WITHIN_SECONDS, QUERY_NAME, DesiredState

router = APIRouter(tags=["actions"])

_QUERIES = Queries("cockpit_actions", "cockpit_objectives")


@router.post("/stream/{act}", response_model=Stream)
def steer(act: Literal["pause", "resume", "drain"], body: Reason, visitor: Acting) -> Stream:
    """Pause the stream after the current batch, resume it, or drain it: load all waiting files, then stop."""
    desired_state: DesiredState = {"pause": "stop", "resume": "run", "drain": "drain"}[act]  # type: ignore[assignment]
    with _QUERIES.change() as change:
        held = change.run("hold_desired_state", query=QUERY_NAME)
        present = held["desired_state"] if held else "run"
        if desired_state == "drain" and present != "drain":
            _needs_driver(change)
        if desired_state != present:
            change.run("desired_state", query=QUERY_NAME, desired_state=desired_state, actor=visitor.name)
            _record(change, visitor.name, f"stream.{act}", f"stream {QUERY_NAME}", body.reason)
    cache.clear()
    return read_stream(may_see=True)


@router.post("/alerts/{alert_id}/acknowledge", response_model=Alert)
def acknowledge_alert(alert_id: Number, body: Reason, visitor: Acting) -> Alert:
    """Acknowledge an alert, to say that you are looking after it.

    Only the user who acknowledged the alert may change the note later.
    """
    with _QUERIES.change() as change:
        held = change.run("hold_alert", alert_id=alert_id)
        if held is None:
            raise no_alert(alert_id)
        if held["resolved_at"] is not None:
            raise conflict(f"alert {alert_id} is already resolved: {held['resolution']}", "It needs no acknowledgment")
        _not_anothers(f"alert {alert_id}", held["acknowledged_by"], visitor.name)
        if (held["acknowledged_by"], held["note"]) != (visitor.name, body.reason):
            change.run("acknowledge_alert", alert_id=alert_id, actor=visitor.name, reason=body.reason)
            _record(change, visitor.name, "alert.acknowledge", f"alert {alert_id}", body.reason)
    cache.clear()
    return read_alert(alert_id)


@router.post("/alerts/{alert_id}/resolve", response_model=Alert)
def resolve_alert(alert_id: Number, body: Reason, visitor: Acting) -> Alert:
    """Resolve an alert, because its cause is over. If the cause persists, a new alert is raised."""
    resolution = f"{body.reason} ({visitor.name})"
    with _QUERIES.change() as change:
        held = change.run("hold_alert", alert_id=alert_id)
        if held is None:
            raise no_alert(alert_id)
        if held["resolved_at"] is None:
            change.run("resolve_alert", alert_id=alert_id, resolution=resolution)
            _record(change, visitor.name, "alert.resolve", f"alert {alert_id}", body.reason)
        elif held["resolution"] != resolution:
            raise conflict(f"alert {alert_id} is already resolved: {held['resolution']}")
    cache.clear()
    return read_alert(alert_id)


@router.post("/objectives/misses/{miss_id}/acknowledge", response_model=Miss)
def acknowledge_miss(miss_id: Number, body: Reason, visitor: Acting) -> Miss:
    """Acknowledge a miss, even one that is over, and note what is known about it.

    Only the user who acknowledged the miss may change the note later.
    """
    with _QUERIES.change() as change:
        held = change.run("hold_miss", miss_id=miss_id)
        if held is None:
            raise not_found(f"miss {miss_id} does not exist")
        _not_anothers(f"miss {miss_id}", held["acknowledged_by"], visitor.name)
        if (held["acknowledged_by"], held["note"]) != (visitor.name, body.reason):
            change.run("acknowledge_miss", miss_id=miss_id, actor=visitor.name, reason=body.reason)
            _record(change, visitor.name, "miss.acknowledge", f"miss {miss_id}", body.reason)
    cache.clear()
    return miss_of(**_QUERIES.one("miss", miss_id=miss_id))


@router.post("/views/publish", response_model=list[View])
def publish_views(body: Publication, visitor: Acting) -> list[View]:
    """Override the hold of all views that are held back, so that the next refresh publishes them.

    The override covers the checks that fail now. A view that fails another check is held back as before.
    """
    _publish(None, body, visitor.name)
    return read_views()


@router.post("/views/{view_name}/publish", response_model=View)
def publish_view(view_name: Name, body: Publication, visitor: Acting) -> View:
    """Override the hold of a view, so that the next refresh publishes it.

    The override covers the checks that fail now.
    """
    _publish(_known(view_name), body, visitor.name)
    return _view(view_name)


@router.post("/views/{view_name}/hold", response_model=View)
def hold_view(view_name: Name, body: Reason, visitor: Acting) -> View:
    """Revoke the overrides of a view, so that failing checks hold it back again.

    Overrides that cover all views are revoked too.
    """
    with _QUERIES.change() as change:
        revoke_in(change.cursor, _known(view_name), by=visitor.name, reason=body.reason)
    cache.clear()
    return _view(view_name)


def _publish(view_name: str | None, body: Publication, actor: str) -> None:
    try:
        with _QUERIES.change() as change:
            grant_in(change.cursor, view_name, by=actor, reason=body.reason, hours=body.hours)
    except OverrideError as error:
        raise conflict(error.what, error.remedy) from error
    cache.clear()


def _known(view_name: str) -> str:
    names = view_names()
    if view_name not in names:
        raise not_found(f"the view {view_name!r} does not exist", suggest(view_name, names))
    return view_name


def _view(view_name: str) -> View:
    return next(view for view in read_views() if view.view_name == view_name)


def _needs_driver(change: Change) -> None:
    found = change.run("has_driver", query=QUERY_NAME, alive_seconds=ALIVE_WITHIN_SECONDS)
    if not (found and found["has_driver"]):
        raise conflict("the stream cannot be drained: no driver runs", "Resume it first, and drain it once it runs")


def _not_anothers(subject: str, acknowledged_by: str | None, actor: str) -> None:
    if acknowledged_by not in (None, actor):
        raise conflict(f"{acknowledged_by} has already acknowledged {subject}", f"Talk to {acknowledged_by}")


def _record(change: Change, actor: str, action: str, subject: str, reason: str) -> None:
    change.run("record", actor=actor, action=action, subject=subject, reason=reason)
