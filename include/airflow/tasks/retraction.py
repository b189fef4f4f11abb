"""Retract deliveries, as tasks: a preview for the user who approves, then the retraction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.approval import approver
from include.airflow.connections import OWNER_CONN_ID, dsn_of
from include.retraction import RetractionError, Selection, parse_time
from include.retraction import preview as make_preview
from include.retraction import retract as make_retraction
from include.retraction.report import as_data, as_markdown, name_deliveries

_log = logging.getLogger(__name__)


# Key of the XCom that says why a task failed. The cockpit reads it, because a log is not meant for programs.
FAULT = "fault"


def preview(*, timeout_seconds: float, params: Mapping[str, Any] | None = None, ti: Any = None) -> dict[str, Any]:
    """Work out what the retraction will change.

    Returns
    -------
    dict
        ``deliveries``, a short description, and ``text`` for the user who approves; ``dry_run`` for the cockpit.
    """
    try:
        found = make_preview(dsn_of(OWNER_CONN_ID), selection_of(params or {}), timeout_seconds=timeout_seconds)
    except RetractionError as error:
        raise _refused(error, ti) from error
    text = as_markdown(found)
    _log.info("%s", text)
    return {"deliveries": name_deliveries(found.brought), "text": text, "dry_run": as_data(found)}


def retract(*, timeout_seconds: float, params: Mapping[str, Any] | None = None, ti: Any = None) -> int:
    """Retract the deliveries in the name of the user who approved; return the number of the retraction."""
    params = params or {}
    try:
        done = make_retraction(
            dsn_of(OWNER_CONN_ID),
            selection_of(params),
            by=approver(ti),
            reason=params["reason"],
            timeout_seconds=timeout_seconds,
        )
    except RetractionError as error:
        raise _refused(error, ti) from error
    _log.info(
        "Retraction %s: %s files retracted, %s events removed.",
        done.retraction_id,
        f"{len(done.brought.deliveries):,}",
        f"{done.brought.total('accepted') - done.brought.reassigned:,}",
    )
    return done.retraction_id


def _refused(error: RetractionError, ti: Any) -> AirflowFailException:
    """Store the reason for the cockpit; return an error without retry, since another try would be refused, too."""
    ti.xcom_push(key=FAULT, value=str(error))
    return AirflowFailException(str(error))


def selection_of(params: Mapping[str, Any]) -> Selection:
    """Read the selection from the params of the DAG; an empty text counts as not given.

    Raises
    ------
    RetractionError
        When no condition is given, or a time cannot be parsed.
    """
    given = {name: params.get(name) or None for name in ("name", "file_id", "batch_id", "since", "until")}
    return Selection(
        name=given["name"],
        file_id=given["file_id"],
        batch_id=given["batch_id"],
        since=parse_time(given["since"]) if given["since"] else None,
        until=parse_time(given["until"]) if given["until"] else None,
    )
