"""Tests that one cause sends one message: alerts that follow from it or from planned downtime are only recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import pytest

from include.alerts import Alert, Severity, note_event, raise_alert, resolve_alert
from include.alerts.__main__ import main as announce
from include.alerts.causes import RULES
from include.alerts.outbox import AGAIN_SECONDS, ATTEMPTS, record_failed, update_channels
from include.alerts.planned import announce_window, begin_downtime, end_downtime, note_catching_up
from include.db import transaction
from include.platform.instance.environment import settings_environment
from include.settings import Settings
from include.stream.supervision.status import set_desired_state
from tests.postgres.test_outbox import MAIL, later, ops, take, tell
from tests.support.validated import query

__all__ = ["later", "ops"]

Later = Callable[[str], None]

HELD = "quality/events/price_level_is_usual"
HELD_VIEWS = (
    "failed: refresh_views.check_freshness",
    "objective: refresh_age",
    *(f"quality/mart_{name}/view_is_fresh" for name in ("daily_kpis", "revenue_hourly", "customer_value")),
)
LOADED_BY_NOBODY = (
    "objective: availability",
    "objective: freshness",
    "objective: backlog",
    "quality/events/events_are_fresh",
    "failed: generate_events.stream_is_ready",
)


def alert(key: str, severity: Severity | None = None) -> Alert:
    """Build an alert with the severity that the platform gives it."""
    is_minor = key.startswith(("objective: ", "quality/", "failed: generate"))
    return Alert(severity or ("warning" if is_minor else "critical"), "source", key, "detail", key=key)


def causes(settings: Settings) -> dict[str, str | None]:
    return dict(query(settings, "SELECT key, caused_by FROM shop.alerts ORDER BY alert_id"))


def four_minutes_later(settings: Settings) -> None:
    """Set the end of the planned downtime to four minutes ago, past the three minutes that a start may take."""
    earlier = ", ".join(f"{column} = {column} - interval '4 min'" for column in ("began_at", "ended_at"))
    query(settings, f"UPDATE shop.planned_downtime SET {earlier} RETURNING 1")


@pytest.mark.parametrize(
    ("cause", "consequences"),
    [
        (HELD, HELD_VIEWS),
        ("failed: refresh_views.publish[mart_daily_kpis]", HELD_VIEWS),
        ("watch_stream: no_driver", LOADED_BY_NOBODY),
        ("watch_stream: no_heartbeat", LOADED_BY_NOBODY),
        ("platform: spark-worker", ("watch_stream: no_driver", *LOADED_BY_NOBODY)),
        ("platform: postgres", ("failed: check_quality.check_suites", "objective: quality_age", *HELD_VIEWS)),
        ("failed: check_quality.check_suites", ("objective: quality_age",)),
        ("quality/events/volume_is_usual", ("quality/events/events_are_fresh",)),
    ],
)
def test_one_cause_sends_one_message(
    database: Settings, ops: str, later: Later, cause: str, consequences: tuple[str, ...]
) -> None:
    raise_alert(ops, alert(cause, "critical"))
    for key in consequences:
        raise_alert(ops, alert(key))
    assert tell(ops) == [f"raised critical {cause}"]
    assert all(causes(database)[key] is not None for key in consequences)
    for key in (*consequences, cause):
        resolve_alert(ops, key)
    assert tell(ops) == [f"recovered critical {cause}"]
    later("20 min")
    assert tell(ops) == []


def test_a_consequence_that_outlives_its_cause_is_sent_later(database: Settings, ops: str, later: Later) -> None:
    raise_alert(ops, alert(HELD, "critical"))
    raise_alert(ops, alert("objective: refresh_age"))
    tell(ops)
    assert causes(database)["objective: refresh_age"] == HELD
    resolve_alert(ops, HELD)
    assert tell(ops) == [f"recovered critical {HELD}"], "the views are refreshed within minutes"
    later("11 min")
    assert tell(ops) == ["raised warning objective: refresh_age"]
    assert causes(database)["objective: refresh_age"] is None


def test_an_alert_never_explains_a_more_severe_one(ops: str) -> None:
    """Otherwise a channel for critical alerts only would receive neither."""
    raise_alert(ops, alert("watch_stream: backlog", "warning"))
    raise_alert(ops, alert("failed: generate_events.generate", "critical"))
    assert len(tell(ops)) == 2


def test_a_warning_of_a_suite_does_not_explain_a_stale_view(ops: str) -> None:
    raise_alert(ops, alert("quality/events/late_events", "warning"))
    raise_alert(ops, alert("objective: refresh_age"))
    assert len(tell(ops)) == 2


def test_a_retry_of_the_stream_waits_for_the_alert_that_explains_it(database: Settings, ops: str, later: Later) -> None:
    retry = Alert("warning", "stream_events.run_stream", "run_stream failed: the driver was killed", "detail")
    note_event(ops, retry)
    assert tell(ops) == []
    raise_alert(ops, alert("watch_stream: no_driver"))
    assert tell(ops) == ["raised critical watch_stream: no_driver"]
    later("3 min")
    assert tell(ops) == []
    resolve_alert(ops, "watch_stream: no_driver")
    later("1 day")
    note_event(ops, retry)
    later("3 min")
    assert tell(ops) == [f"raised warning {retry.source}: {retry.title}"], (
        "without such an alert it is sent two minutes later"
    )


def test_the_rules_of_causes_have_no_cycle() -> None:
    """Two alerts that explain each other would both stay silent."""
    keys = {
        key.replace("%", "x") for rule in RULES for pattern in (*rule.causes, *rule.consequences) for key in [pattern]
    }

    def matches(key: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(key, pattern.replace("%", "*")) for pattern in patterns)

    follows = {
        cause: {
            key
            for rule in RULES
            if matches(cause, rule.causes) and not matches(cause, rule.consequences)
            for key in keys
            if matches(key, rule.consequences) and key != cause
        }
        for cause in keys
    }
    for start in keys:
        reached: set[str] = set()
        front = {start}
        while front:
            front = {key for one in front for key in follows[one]} - reached
            reached |= front
        assert start not in reached, f"{start} causes itself"


@pytest.mark.parametrize("desired_state", ["stop", "drain"])
def test_a_paused_stream_sends_no_alerts_during_and_after_the_pause(
    database: Settings, ops: str, later: Later, desired_state: str
) -> None:
    set_desired_state(ops, desired_state)  # type: ignore[arg-type]
    for key in ("watch_stream: no_driver", "failed: stream_events", *LOADED_BY_NOBODY):
        raise_alert(ops, alert(key))
    raise_alert(ops, alert("failed: audit_facts.audit"))
    assert tell(ops) == ["raised critical failed: audit_facts.audit"], "only what a pause explains is silent"
    assert causes(database)["objective: freshness"] == f"planned: the stream was asked to {desired_state}, by shop_ops"
    set_desired_state(ops, "run")
    assert tell(ops) == [], "the stream has three minutes to start"
    four_minutes_later(database)
    assert tell(ops) == ["raised critical watch_stream: no_driver"]
    assert causes(database)["failed: stream_events"] == "watch_stream: no_driver"


def test_lag_is_not_sent_until_the_stream_has_caught_up(database: Settings, ops: str, later: Later) -> None:
    set_desired_state(ops, "stop")
    set_desired_state(ops, "run")
    four_minutes_later(database)
    raise_alert(ops, alert("watch_stream: lag", "warning"))
    assert tell(ops) == []
    now = datetime.now(UTC)
    with transaction(ops) as cursor:
        note_catching_up(cursor, now - timedelta(minutes=2))
    assert tell(ops) == [], "a file waits in the landing folder"
    with transaction(ops) as cursor:
        note_catching_up(cursor, None)
    assert tell(ops) == ["raised warning watch_stream: lag"]


def test_make_down_silences_the_whole_platform_but_not_bad_data(database: Settings, ops: str) -> None:
    begin_downtime(database.dsn("owner"), "make down")
    begin_downtime(database.dsn("owner"), "make down")
    for key in ("failed: refresh_views.publish", "platform: scheduler", "objective: quality_age"):
        raise_alert(ops, alert(key))
    note_event(ops, Alert("warning", "refresh_views", "A run missed its deadline", "", key="refresh_views: deadline"))
    raise_alert(ops, alert(HELD, "critical"))
    assert tell(ops) == [f"raised critical {HELD}"]
    end_downtime(database.dsn("owner"))
    assert tell(ops) == []


def test_an_announced_window_silences_alerts(
    database: Settings, ops: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings_environment(database).items():
        monkeypatch.setenv(name, value)
    announce_window(ops, "later", length=timedelta(hours=1), began_at=datetime.now(UTC) + timedelta(hours=2))
    raise_alert(ops, alert("platform: scheduler"))
    assert tell(ops) == ["raised critical platform: scheduler"], "the window has not begun"
    assert announce(["--minutes", "30", "--reason", "a new disk"]) == 0
    assert "No alerts are sent about planned work until" in capsys.readouterr().out
    raise_alert(ops, alert("platform: triggerer"))
    assert tell(ops) == []
    assert announce(["--end"]) == 0
    assert capsys.readouterr().out == "2 announced windows have ended; alerts are sent again.\n"
    four_minutes_later(database)
    assert tell(ops) == ["raised critical platform: triggerer"]


def test_a_failed_delivery_is_retried_while_its_alert_is_open(database: Settings, ops: str, later: Later) -> None:
    update_channels(ops, {MAIL: "warning"})
    raise_alert(ops, alert("objective: freshness"))
    raise_alert(ops, alert("objective: backlog"))
    query(database, "UPDATE shop.alert_channels SET retry_at = now() RETURNING 1")
    for _ in range(2):
        delivery = take(ops)
        query(
            database,
            f"UPDATE shop.alert_deliveries SET attempts = {ATTEMPTS}"
            f" WHERE delivery_id = {delivery.delivery_id} RETURNING 1",
        )
        record_failed(ops, delivery, "away over the weekend")
        later("20 min")
    assert query(database, "SELECT DISTINCT state FROM shop.alert_deliveries") == [("failed",)]
    resolve_alert(ops, "objective: backlog")
    assert tell(ops) == []
    later(f"{AGAIN_SECONDS} s")
    assert tell(ops) == ["raised warning objective: freshness"]
