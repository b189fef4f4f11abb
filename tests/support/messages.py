"""Build deliveries as the outbox returns them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from include.alerts.outbox import Delivery

RAISED_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def make_delivery(**changes: Any) -> Delivery:
    """Return the first notification of a critical alert about a task, with the given fields changed."""
    values: dict[str, Any] = {
        "delivery_id": 7,
        "channel": "alert_team",
        "occasion": "raised",
        "alert_id": 3,
        "key": "failed: refresh_views.refresh",
        "severity": "critical",
        "source": "refresh_views.refresh",
        "title": "refresh failed: deadlock detected",
        "detail": "PlatformError: the view mart_x could not be refreshed",
        "run_id": "run-1",
        "url": "/dags/refresh_views/runs/run-1",
        "owner": "shop-data",
        "runbook_url": "http://airflow.test/dags/refresh_views",
        "occurrences": 1,
        "raised_at": RAISED_AT,
        "last_raised_at": RAISED_AT,
        "resolved_at": None,
        "resolution": None,
        "earlier": 0,
    }
    return Delivery(**{**values, **changes})
