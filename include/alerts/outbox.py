"""Manage the outbox, which records every message about an alert with its channel and its state.

A message is stored before it is sent, so it survives a crash of its sender. Any number of senders may work at the same
time. A message that a sender claimed but did not finish is due again after ``LEASE_SECONDS``. Delivery is therefore
at-least-once: a message can arrive twice, but is never lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.alerts import causes
from include.alerts.notice import Notice
from include.alerts.state import Alert, Severity, raise_alert_in, resolve_alerts_in
from include.db import load_queries, one_row, transaction

# At most NOTIFIED messages about the same key go through a channel within FLAPPING_SECONDS; further ones wait.
NOTIFIED = 3
FLAPPING_SECONDS = 1800.0
# A message is given up after this many attempts, which takes about three and a half hours.
ATTEMPTS = 20
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 900.0
LEASE_SECONDS = 60.0
# A message that was given up is tried again after this time, as long as its alert is open.
AGAIN_SECONDS = 3600.0
# A channel that fails this many times in a row raises an alert.
BROKEN_AFTER = 3

_SQL = load_queries("outbox")


@dataclass(frozen=True)
class Delivery:
    """A message to send, with the current state of its alert and the occasion.

    ``occasion`` is ``raised``, ``reminder`` or ``recovered``. ``earlier`` is the number of alerts with the same key
    that began within the day before this one.
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
    """Plan every message that has to be sent by now (role ops); return whether one is due.

    Parameters
    ----------
    dsn:
        Connection of the role ops.
    reminder_hours:
        Hours after which a reminder of an unacknowledged critical alert is sent; 0 for never.
    """
    limits = {"notified": NOTIFIED, "flapping_seconds": FLAPPING_SECONDS, "reminder_seconds": reminder_hours * 3600}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["lock_plan"])
        rules = causes.parameters()
        cursor.execute(_SQL["find_causes"], rules)
        cursor.execute(_SQL["plan_raised"], limits | rules)
        cursor.execute(_SQL["plan_again"], {"again_seconds": AGAIN_SECONDS})
        cursor.execute(_SQL["plan_recovered"])
        if reminder_hours:
            cursor.execute(_SQL["plan_reminders"], limits)
        cursor.execute(_SQL["is_due"])
        return bool(one_row(cursor)[0])


def claim_deliveries(dsn: str, channels: Collection[str]) -> list[Delivery]:
    """Claim one due message of each of these channels, for ``LEASE_SECONDS``."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["claim"], {"channels": list(channels), "lease_seconds": LEASE_SECONDS})
        names = [column.name for column in cursor.description]
        return [Delivery(**dict(zip(names, row, strict=True))) for row in cursor]


def record_sent(dsn: str, delivery: Delivery) -> None:
    """Record that a message was sent, and end the alert about its channel."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["sent"], {"delivery_id": delivery.delivery_id})
        resolve_alerts_in(cursor, [_channel_key(delivery.channel)])


def record_failed(dsn: str, delivery: Delivery, error: str) -> None:
    """Record a failed attempt; raise an alert, for the other channels, about a channel that keeps failing."""
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
    """Record that a message outside the outbox was sent, so the waiting messages of the channel are due immediately."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["worked"], {"channel": channel})
        resolve_alerts_in(cursor, [_channel_key(channel)])


def record_notified(dsn: str, notice: Notice) -> None:
    """Record an alert that ended before it could be recorded, and the channels that were notified without the outbox.

    These channels have also been notified of its end. The outbox notifies the other channels.
    """
    with transaction(dsn) as cursor:
        values = notice.alert.parameters() | {"began_at": notice.began_at, "ended_at": notice.ended_at}
        cursor.execute(_SQL["record_past"], values)
        (alert_id,) = one_row(cursor)
        cursor.execute(_SQL["record_notified"], {"alert_id": alert_id, "channels": list(notice.channels or ())})


def known_channels(dsn: str) -> list[str]:
    """Return the ids of the channels."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["channels"])
        return [channel for (channel,) in cursor]


def update_channels(dsn: str, present: Mapping[str, Severity], gone: Collection[str] = ()) -> None:
    """Store the channels, each with the minimum severity that it receives, and remove those that are gone."""
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
        title=f"The channel {channel} cannot send messages",
        detail=(
            f"{failures} attempts in a row failed, the last with: {error}\nThe attempts continue, and the waiting "
            f"messages are kept. Correct the connection {channel} under Admin, Connections, and test it with "
            "`make alert-test`."
        ),
        url="/connections",
    )
