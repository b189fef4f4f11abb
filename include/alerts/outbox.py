"""The outbox: which message about which alert goes through which channel, and what became of it.

A message is a row before it is sent, so that it outlives whoever was to send it. Any number of senders may work at the
same time. What a sender took but did not finish is due again after ``LEASE_SECONDS``: a message can come twice, never
not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.alerts.state import Alert, Severity, raise_alert_in, resolve_alerts_in
from include.db import load_queries, one_row, transaction

# The same key is told so often within that time; then it waits until there is room again.
TOLD = 3
FLAPPING_SECONDS = 1800.0
# A message is given up after so many attempts, which takes about three and a half hours.
ATTEMPTS = 20
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 900.0
LEASE_SECONDS = 60.0
# A channel that failed so often in a row is an alert by itself.
BROKEN_AFTER = 3

_SQL = load_queries("outbox")


@dataclass(frozen=True)
class Delivery:
    """A message to send: the alert as it is now, and why it is told.

    ``occasion`` is ``raised``, ``reminder`` or ``recovered``; ``earlier`` is how often an alert of the same key began
    within the day before this one.
    """

    delivery_id: int
    channel: str
    occasion: str
    alert_id: int
    key: str
    severity: Severity
    source: str
    title: str
    detail: str
    run_id: str | None
    url: str | None
    owner: str
    runbook_url: str | None
    occurrences: int
    raised_at: datetime
    last_raised_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    earlier: int


def plan_deliveries(dsn: str, *, reminder_hours: float) -> bool:
    """Write down every message that is to be sent by now (role ops); returns whether one is due.

    Parameters
    ----------
    dsn:
        Connection of the role ops.
    reminder_hours:
        Hours after which a critical alert that nobody has acknowledged is told again; 0: never.
    """
    limits = {"told": TOLD, "flapping_seconds": FLAPPING_SECONDS, "reminder_seconds": reminder_hours * 3600}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["lock_plan"])
        cursor.execute(_SQL["plan_raised"], limits)
        cursor.execute(_SQL["plan_recovered"])
        if reminder_hours:
            cursor.execute(_SQL["plan_reminders"], limits)
        cursor.execute(_SQL["is_due"])
        return bool(one_row(cursor)[0])


def claim_deliveries(dsn: str, channels: Collection[str]) -> list[Delivery]:
    """Take one due message of each of these channels, for ``LEASE_SECONDS``."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["claim"], {"channels": list(channels), "lease_seconds": LEASE_SECONDS})
        names = [column.name for column in cursor.description]
        return [Delivery(**dict(zip(names, row, strict=True))) for row in cursor]


def record_sent(dsn: str, delivery: Delivery) -> None:
    """A message got through; so its channel works."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["sent"], {"delivery_id": delivery.delivery_id})
        resolve_alerts_in(cursor, [_channel_key(delivery.channel)])


def record_failed(dsn: str, delivery: Delivery, error: str) -> None:
    """A message did not get through; a channel that keeps failing becomes an alert, which the others tell."""
    values = {
        "delivery_id": delivery.delivery_id,
        "error": error,
        "attempts": ATTEMPTS,
        "first_pause_seconds": FIRST_PAUSE_SECONDS,
        "longest_pause_seconds": LONGEST_PAUSE_SECONDS,
    }
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["failed"], values)
        row = cursor.fetchone()
        if row is not None and row[0] >= BROKEN_AFTER:
            raise_alert_in(cursor, _broken(delivery.channel, row[0], error))


def record_worked(dsn: str, channel: str) -> None:
    """A message that is not in the outbox got through: what waits for the channel is due at once."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["worked"], {"channel": channel})
        resolve_alerts_in(cursor, [_channel_key(channel)])


def known_channels(dsn: str) -> list[str]:
    """The ids of the channels."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["channels"])
        return [channel for (channel,) in cursor]


def update_channels(dsn: str, present: Mapping[str, Severity], gone: Collection[str] = ()) -> None:
    """Write down which channels there are, each with the least severity that it is told of; and forget others."""
    with transaction(dsn) as cursor:
        for channel, min_severity in sorted(present.items()):
            cursor.execute(_SQL["add_channel"], {"channel": channel, "min_severity": min_severity})
        for channel in gone:
            cursor.execute(_SQL["remove_channel"], {"channel": channel})
        resolve_alerts_in(cursor, [_channel_key(channel) for channel in gone], "the channel was removed")


def _channel_key(channel: str) -> str:
    return f"channel: {channel}"


def _broken(channel: str, failures: int, error: Any) -> Alert:
    return Alert(
        severity="critical",
        source="alerts",
        key=_channel_key(channel),
        title=f"The channel {channel} does not get messages through",
        detail=(
            f"{failures} attempts in a row failed, the last with: {error}\nIt is tried again, and what waits is sent "
            f"then. Correct the connection {channel} under Admin, Connections, and try it with `make alert-test`."
        ),
        url="/connections",
    )
