"""Alerts: what people should look at, from its beginning to its end, and who was told.

``state`` writes ``shop.alerts``, ``outbox`` plans and hands out the messages about them (``shop.alert_deliveries``),
``message`` words them. Sending is Airflow's part, since the ways to people are its Connections: ``include.airflow``.
"""

from include.alerts.state import (
    Alert,
    Severity,
    has_reported,
    note_event,
    note_event_in,
    raise_alert,
    raise_alert_in,
    resolve_alert,
    resolve_alerts_in,
    settle_alerts,
)

__all__ = [
    "Alert",
    "Severity",
    "has_reported",
    "note_event",
    "note_event_in",
    "raise_alert",
    "raise_alert_in",
    "resolve_alert",
    "resolve_alerts_in",
    "settle_alerts",
]
