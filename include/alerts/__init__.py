"""Record alerts from their beginning to their end, and plan the messages about them.

``state`` writes ``shop.alerts``, ``outbox`` plans and hands out the messages (``shop.alert_deliveries``), and
``message`` formats them. ``include.airflow`` sends them, since the channels are Airflow Connections.
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
    sync_alerts,
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
    "sync_alerts",
]
