"""Override the checks that hold views back, in the Airflow UI: show the failed checks, then record the decision."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.airflow.approval import approver
from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.quality.overrides import OverrideError, grant, held

_log = logging.getLogger(__name__)


def preview(params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Find the checks that hold the view back.

    Returns
    -------
    dict
        ``text`` for the user who decides, and ``covers``, the failures that the decision covers.
    """
    view_name = (params or {}).get("view") or None
    try:
        failures, because = held(dsn_of(OPS_CONN_ID), view_name)
    except OverrideError as error:
        # Do not retry: another try would be refused, too.
        raise AirflowFailException(str(error)) from error
    text = "\n".join([f"{because}.", "", "The decision covers these checks:", *(f"- `{one}`" for one in failures)])
    _log.info("%s", text)
    return {"text": text, "covers": failures}


def decide(params: Mapping[str, Any] | None = None, ti: Any = None) -> None:
    """Record the decision in the name of the user who approved it."""
    params = params or {}
    try:
        override = grant(
            dsn_of(OPS_CONN_ID),
            params.get("view") or None,
            by=approver(ti),
            reason=params["reason"],
            hours=params.get("hours"),
            covers=ti.xcom_pull(task_ids="preview")["covers"],
        )
    except OverrideError as error:
        raise AirflowFailException(str(error)) from error
    _log.info("Decision %s of %s: %s", override.override_id, override.granted_by, override.reason)
