"""Tests of notifications: sent once, repeated while critical, ended by a recovery, and limited when alerts flap."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from include.alerts import Alert, note_event, raise_alert, resolve_alert
from include.alerts.outbox import (
    ATTEMPTS,
    BROKEN_AFTER,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    NOTIFIED,
    Delivery,
    claim_deliveries,
    known_channels,
    plan_deliveries,
    record_failed,
    record_sent,
    record_worked,
    update_channels,
)
from include.settings import Settings
from tests.support.validated import query

MAIL, CHAT = "alert_mail", "alert_chat"
ALERT = Alert("critical", "dag.task", "title", "detail", key="key")


@pytest.fixture
def ops(database: Settings) -> str:
    """Return the connection string of the role ops, with one channel."""
    dsn = database.dsn("ops")
    update_channels(dsn, {MAIL: "warning"})
    return dsn


@pytest.fixture
def later(database: Settings) -> Callable[[str], None]:
    """Return a function that makes time pass: it makes all records older by an interval."""
    columns = {
        "alerts": ("raised_at", "last_raised_at", "resolved_at"),
        "alert_deliveries": ("planned_at", "due_at", "sent_at"),
        "alert_channels": ("added_at", "retry_at"),
    }

    def pass_time(interval: str) -> None:
        for table, names in columns.items():
            changes = ", ".join(f"{name} = {name} - interval '{interval}'" for name in names)
            query(database, f"UPDATE shop.{table} SET {changes} RETURNING 1")

    return pass_time


def tell(dsn: str, *channels: str) -> list[str]:
    """Plan and send all due notifications, as a dispatcher does; return them in order."""
    told = []
    plan_deliveries(dsn, reminder_hours=4)
    while deliveries := claim_deliveries(dsn, channels or [MAIL]):
        for one in deliveries:
            record_sent(dsn, one)
            told.append(f"{one.occasion} {one.severity} {one.key}")
        plan_deliveries(dsn, reminder_hours=4)
    return told


def take(dsn: str) -> Delivery:
    plan_deliveries(dsn, reminder_hours=4)
    (delivery,) = claim_deliveries(dsn, [MAIL])
    return delivery


def test_an_alert_is_sent_once_however_often_it_is_raised(ops: str) -> None:
    for _ in range(3):
        raise_alert(ops, ALERT)
        plan_deliveries(ops, reminder_hours=4)
    assert tell(ops) == ["raised critical key"]
    raise_alert(ops, ALERT)
    assert tell(ops) == []
    assert not plan_deliveries(ops, reminder_hours=4)


def test_a_message_has_all_details_of_its_alert(ops: str) -> None:
    alert = replace(ALERT, run_id="run-1", url="/log", owner="ann", runbook_url="/dags/dag")
    alert_id = raise_alert(ops, alert)
    raise_alert(ops, alert)
    one = take(ops)
    assert (one.channel, one.occasion, one.alert_id, one.occurrences, one.earlier) == (MAIL, "raised", alert_id, 2, 0)
    assert (one.title, one.detail, one.owner, one.url, one.runbook_url) == (
        "title",
        "detail",
        "ann",
        "/log",
        "/dags/dag",
    )


def test_each_channel_receives_alerts_from_its_minimum_severity_on(ops: str) -> None:
    update_channels(ops, {CHAT: "critical", "alert_log": "info"})
    for severity in ("info", "warning", "critical"):
        raise_alert(ops, replace(ALERT, severity=severity, key=severity))
    assert tell(ops, CHAT) == ["raised critical critical"]
    assert tell(ops, MAIL) == ["raised warning warning", "raised critical critical"]
    assert tell(ops, "alert_log") == ["raised info info", "raised warning warning", "raised critical critical"]


def test_an_alert_is_sent_again_when_its_severity_rises(ops: str) -> None:
    raise_alert(ops, replace(ALERT, severity="warning"))
    assert tell(ops) == ["raised warning key"]
    raise_alert(ops, ALERT)
    assert tell(ops) == ["raised critical key"]
    raise_alert(ops, replace(ALERT, severity="warning"))
    assert tell(ops) == []


def test_a_recovery_is_sent_to_the_channels_that_received_the_alert(ops: str) -> None:
    raise_alert(ops, ALERT)
    assert tell(ops) == ["raised critical key"]
    update_channels(ops, {CHAT: "warning"})
    resolve_alert(ops, "key")
    assert tell(ops, MAIL) == ["recovered critical key"]
    assert tell(ops, CHAT) == []
    assert tell(ops) == []


def test_an_alert_that_ends_before_it_is_sent_is_sent_with_its_recovery(ops: str) -> None:
    raise_alert(ops, ALERT)
    resolve_alert(ops, "key")
    assert tell(ops) == ["raised critical key", "recovered critical key"]


def test_an_event_is_sent_once_and_has_no_recovery(ops: str, later: Callable[[str], None]) -> None:
    note_event(ops, ALERT)
    assert tell(ops) == ["raised critical key"]
    later("5 h")
    assert tell(ops) == []


def test_a_new_channel_receives_open_alerts_but_no_past_ones(ops: str) -> None:
    note_event(ops, replace(ALERT, key="event"))
    raise_alert(ops, replace(ALERT, key="over"))
    resolve_alert(ops, "over")
    raise_alert(ops, replace(ALERT, key="open"))
    update_channels(ops, {CHAT: "warning"})
    assert tell(ops, CHAT) == ["raised critical open"]


def test_a_critical_alert_is_repeated_until_it_is_acknowledged(
    database: Settings, ops: str, later: Callable[[str], None]
) -> None:
    raise_alert(ops, ALERT)
    raise_alert(ops, replace(ALERT, severity="warning", key="mild"))
    tell(ops)
    later("3 h 59 min")
    assert tell(ops) == []
    later("2 min")
    assert tell(ops) == ["reminder critical key"]
    later("4 h 1 min")
    plan_deliveries(ops, reminder_hours=0)
    assert claim_deliveries(ops, [MAIL]) == []
    assert tell(ops) == ["reminder critical key"]
    query(database, "UPDATE shop.alerts SET acknowledged_at = now(), acknowledged_by = 'ann' RETURNING 1")
    later("4 h 1 min")
    assert tell(ops) == []
    resolve_alert(ops, "key")
    assert tell(ops) == ["recovered critical key"]


def test_a_flapping_alert_is_sent_a_few_times_and_then_held_back(ops: str, later: Callable[[str], None]) -> None:
    told = []
    for _ in range(10):
        raise_alert(ops, ALERT)
        told += tell(ops)
        resolve_alert(ops, "key")
        told += tell(ops)
        later("1 min")
    assert told == ["raised critical key", "recovered critical key"] * NOTIFIED
    # The last of the alerts that were held back is sent once the limit allows it again.
    later("25 min")
    assert tell(ops) == ["raised critical key", "recovered critical key"]
    assert tell(ops) == []


def test_a_flapping_alert_that_stays_open_is_sent(ops: str, later: Callable[[str], None]) -> None:
    for _ in range(NOTIFIED + 2):
        raise_alert(ops, ALERT)
        tell(ops)
        resolve_alert(ops, "key")
        tell(ops)
    raise_alert(ops, ALERT)
    assert tell(ops) == []
    raise_alert(ops, replace(ALERT, key="other"))
    assert tell(ops) == ["raised critical other"]
    later("31 min")
    plan_deliveries(ops, reminder_hours=4)
    (delivery,) = claim_deliveries(ops, [MAIL])
    assert (delivery.key, delivery.resolved_at, delivery.earlier) == ("key", None, NOTIFIED + 2)


def test_a_flapping_alert_is_sent_when_its_severity_rises(ops: str) -> None:
    for _ in range(NOTIFIED + 2):
        raise_alert(ops, replace(ALERT, severity="warning"))
        tell(ops)
        resolve_alert(ops, "key")
        tell(ops)
    raise_alert(ops, ALERT)
    assert tell(ops) == ["raised critical key"]


def test_no_two_senders_claim_the_same_message(ops: str) -> None:
    for number in range(30):
        raise_alert(ops, replace(ALERT, key=str(number)))

    def work(_: int) -> list[str]:
        return tell(ops)

    with ThreadPoolExecutor(6) as pool:
        told = [one for part in pool.map(work, range(6)) for one in part]
    assert sorted(told) == sorted(f"raised critical {number}" for number in range(30))


def test_a_message_that_its_sender_does_not_finish_is_due_again(ops: str, later: Callable[[str], None]) -> None:
    raise_alert(ops, ALERT)
    first = take(ops)
    assert claim_deliveries(ops, [MAIL]) == []
    assert not plan_deliveries(ops, reminder_hours=4)
    later("61 s")
    assert plan_deliveries(ops, reminder_hours=4)
    (again,) = claim_deliveries(ops, [MAIL])
    assert again.delivery_id == first.delivery_id
    record_sent(ops, again)
    # The result of the late sender no longer counts.
    record_failed(ops, first, "late")
    assert claim_deliveries(ops, [MAIL]) == []


def test_a_failing_channel_is_paused_for_longer_each_time(
    database: Settings, ops: str, later: Callable[[str], None]
) -> None:
    raise_alert(ops, ALERT)
    pauses = []
    for _ in range(8):
        record_failed(ops, take(ops), "answered 500")
        ((pause,),) = query(
            database, "SELECT extract(epoch FROM retry_at - clock_timestamp())::float8 FROM shop.alert_channels"
        )
        pauses.append(round(pause))
        assert claim_deliveries(ops, [MAIL]) == []
        later("900 s")
    assert pauses == [15, 30, 60, 120, 240, 480, 900, 900]
    assert (FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) == (15, 900)
    record_sent(ops, take(ops))
    assert query(database, "SELECT failures, last_error, last_sent_at IS NOT NULL FROM shop.alert_channels") == [
        (0, None, True)
    ]


def test_a_message_is_given_up_after_its_last_attempt_and_keeps_the_reason(
    database: Settings, ops: str, later: Callable[[str], None]
) -> None:
    raise_alert(ops, ALERT)
    for attempt in range(ATTEMPTS):
        assert query(database, "SELECT state, attempts FROM shop.alert_deliveries") in ([], [("due", attempt)])
        record_failed(ops, take(ops), f"error {attempt}")
        later("900 s")
    assert query(database, "SELECT state, attempts, last_error FROM shop.alert_deliveries") == [
        ("failed", ATTEMPTS, f"error {ATTEMPTS - 1}")
    ]
    plan_deliveries(ops, reminder_hours=0)
    assert claim_deliveries(ops, [MAIL]) == []
    # The alert is still open and critical, so its reminder is a new attempt.
    plan_deliveries(ops, reminder_hours=4)
    assert [one.occasion for one in claim_deliveries(ops, [MAIL])] == ["reminder"]


def test_a_refused_message_does_not_hold_up_others(ops: str, later: Callable[[str], None]) -> None:
    raise_alert(ops, replace(ALERT, key="refused"))
    raise_alert(ops, replace(ALERT, key="fine"))
    assert take(ops).key == "refused"
    later("61 s")
    assert take(ops).key == "fine"


def test_a_broken_channel_is_an_alert_for_the_others(
    database: Settings, ops: str, later: Callable[[str], None]
) -> None:
    update_channels(ops, {CHAT: "warning"})
    raise_alert(ops, ALERT)
    tell(ops, CHAT)
    for attempt in range(BROKEN_AFTER):
        assert tell(ops, CHAT) == [], f"broken after {attempt} attempts"
        record_failed(ops, take(ops), "answered 500")
        later("900 s")
    assert tell(ops, CHAT) == [f"raised critical channel: {MAIL}"]
    ((title, detail),) = query(database, "SELECT title, detail FROM shop.alerts WHERE source = 'alerts'")
    assert title == "The channel alert_mail cannot send messages"
    assert "3 attempts in a row failed, the last with: answered 500" in detail
    # The broken channel does not send the alert about itself.
    assert tell(ops) == ["raised critical key"]
    assert tell(ops, CHAT) == [f"recovered critical channel: {MAIL}"]


def test_a_successful_test_message_ends_the_pause(ops: str) -> None:
    raise_alert(ops, ALERT)
    record_failed(ops, take(ops), "answered 500")
    assert tell(ops) == []
    record_worked(ops, MAIL)
    assert tell(ops) == ["raised critical key"]


def test_the_messages_of_a_removed_channel_fail(database: Settings, ops: str) -> None:
    raise_alert(ops, ALERT)
    plan_deliveries(ops, reminder_hours=4)
    update_channels(ops, {CHAT: "info"}, gone=[MAIL])
    assert known_channels(ops) == [CHAT]
    assert query(database, "SELECT state, last_error FROM shop.alert_deliveries") == [
        ("failed", "the Airflow connection is gone")
    ]
    update_channels(ops, {CHAT: "critical"})
    assert query(database, "SELECT channel, min_severity FROM shop.alert_channels") == [(CHAT, "critical")]


def test_messages_are_deleted_with_their_alert(database: Settings, ops: str) -> None:
    raise_alert(ops, ALERT)
    tell(ops)
    query(database, "DELETE FROM shop.alerts RETURNING 1")
    assert query(database, "SELECT count(*) FROM shop.alert_deliveries") == [(0,)]
