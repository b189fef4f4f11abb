"""Test that a normal feed raises no alert and holds back no view, and that a missing delivery is reported."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from include.airflow.alerting.notifier import ReportedFailure
from include.airflow.tasks import views
from include.airflow.tasks.objectives import evaluate_objectives
from include.airflow.tasks.stream import diagnose_stream
from include.alerts.planned import announce_window
from include.settings import Settings
from include.stream.supervision.status import set_desired_state
from tests.programs.breaks.feeds import Row, ordinary
from tests.support.ageing import age_all
from tests.support.playground import (
    TI,
    last_published,
    load,
    load_good,
    load_hours,
    look,
    open_alerts,
    query,
)
from tests.support.receivers import Hook, web_hook
from tests.support.rows import uuid7
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

DAY = timedelta(days=1)
FRESH = "quality/events/events_are_fresh"
_ROWS_PER_DAY = 1500
_HISTORY_ROWS, _HISTORY_BATCHES = 100_000, 10
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
def feed(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return a function that sets how often the shop's feed delivers."""

    def set_feed(*, cadence_minutes: float = 5, quiet_days: str = "") -> Settings:
        monkeypatch.setenv("SHOPSTREAM_FEED_CADENCE_MINUTES", str(cadence_minutes))
        monkeypatch.setenv("SHOPSTREAM_FEED_QUIET_DAYS", quiet_days)
        return airflow

    return set_feed


def check_all_is_well(settings: Settings) -> None:
    """Run every check; assert that nothing fails, no alert is open, and every view is published again."""
    before = last_published(settings)
    assert look(settings) == []
    assert open_alerts(settings) == {}
    after = last_published(settings)
    assert {name for name in after if after[name] > before.get(name, datetime.min.replace(tzinfo=UTC))} == set(
        views.list_views()
    )


def load_day(settings: Settings, *, age: timedelta = timedelta(0)) -> None:
    """Load the file of one day as if it had arrived ``age`` ago, six hours after its last event."""
    arrived_at = datetime.now(UTC) - age
    load(settings, list(ordinary(arrived_at - DAY - timedelta(hours=6), _ROWS_PER_DAY, DAY)), ingested_at=arrived_at)


def year_old_history(now: datetime, rows: int) -> list[Row]:
    """Return a year-old history of one category, at the lower prices of that time."""
    templates = [row for row in ordinary(now - 365 * DAY, 5000, timedelta(hours=1)) if row["category"] == "Books"]
    history = []
    for number in range(rows):
        row, moment = templates[number % len(templates)], now - 365 * DAY + timedelta(seconds=10 * number)
        price = (Decimal(row["unit_price"]) / 2).quantize(Decimal("0.01")) + Decimal("0.01")
        changes = {"event_time": moment.isoformat(), "event_id": uuid7(moment), "unit_price": str(price)}
        history.append({**row, **changes})
    return history


def test_a_backfill_beside_a_running_feed_is_not_reported_as_drift(airflow: Settings) -> None:
    load_hours(airflow)
    check_all_is_well(airflow)
    history = year_old_history(datetime.now(UTC), _HISTORY_ROWS)
    part = len(history) // _HISTORY_BATCHES
    for number in range(_HISTORY_BATCHES):
        load(airflow, history[number * part : (number + 1) * part], ingested_at=datetime.now(UTC))
        load_good(airflow, 60)
        if number in (0, _HISTORY_BATCHES - 1):
            check_all_is_well(airflow)
    # Events that are loaded after the backfill are compared with current prices.
    load_good(airflow, 2500)
    check_all_is_well(airflow)


def test_a_backfill_does_not_count_as_a_delivery_of_the_feed(airflow: Settings) -> None:
    load_hours(airflow)
    check_all_is_well(airflow)
    age_all(airflow, timedelta(hours=1))
    load(airflow, year_old_history(datetime.now(UTC), 1000), ingested_at=datetime.now(UTC))
    look(airflow)
    assert FRESH in open_alerts(airflow)


def test_a_daily_feed_alerts_only_on_a_day_without_its_file(feed: Callable[..., Settings]) -> None:
    shop = feed(cadence_minutes=1440)
    for days in (3, 2, 1):
        load_day(shop, age=days * DAY)
    check_all_is_well(shop)
    for _ in range(2):
        load_day(shop)
        check_all_is_well(shop)
        age_all(shop, timedelta(hours=23.9))
    # The next file is five hours late now, then seven hours, and at last a day.
    age_all(shop, timedelta(hours=5))
    check_all_is_well(shop)
    age_all(shop, timedelta(hours=2))
    assert look(shop) == [], "it is reported, and the loaded events are published nevertheless"
    assert set(open_alerts(shop)) == {FRESH}
    age_all(shop, timedelta(hours=17))
    look(shop)
    assert set(open_alerts(shop)) == {FRESH}
    load_day(shop)
    check_all_is_well(shop)


@pytest.mark.parametrize("cadence_minutes", [5, 1440])
def test_a_quiet_day_is_not_reported_but_the_day_after_is(
    feed: Callable[..., Settings], cadence_minutes: float
) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def weekday(days_ago: int) -> str:
        return _WEEKDAYS[(midnight - days_ago * DAY).weekday()]

    shop = feed(cadence_minutes=cadence_minutes, quiet_days=weekday(0))
    for days in (3, 2, 1):
        load_day(shop, age=datetime.now(UTC) - midnight + (days - 1) * DAY + timedelta(minutes=1))
    check_all_is_well(shop)
    # The day before yesterday had its file, and yesterday was quiet. Today the shop is open, but no file arrives.
    age_all(shop, DAY)
    feed(cadence_minutes=cadence_minutes, quiet_days=f"{weekday(0)},{weekday(1)}")
    check_all_is_well(shop)
    age_all(shop, DAY)
    feed(cadence_minutes=cadence_minutes, quiet_days=weekday(2))
    assert look(shop) == []
    assert FRESH in open_alerts(shop)


# Planned work sends no alert ----------------------------------------------------------------------------------------


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """Yield a channel that receives every alert."""
    with web_hook() as receiver:
        connection = {"conn_type": "http", "host": receiver.url, "extra": {"min_severity": "info"}}
        monkeypatch.setenv("AIRFLOW_CONN_ALERT_HOOK", json.dumps(connection))
        yield receiver


def monitor(settings: Settings) -> None:
    """Run once everything that monitors the platform."""
    with suppress(ReportedFailure):
        diagnose_stream(ti=TI, second_look_seconds=0)
    evaluate_objectives(ti=TI)
    look(settings)


@contextmanager
def live_driver(settings: Settings) -> Iterator[None]:
    """Imitate a driver of the stream in the database: write a heartbeat every second until the block ends."""
    query(
        settings,
        "INSERT INTO shop.runs (epoch, query, mode, host, pid, turned_at)"
        " VALUES (nextval('shop.epochs'), 'events', 'continuous', 'here', 1, clock_timestamp()) RETURNING 1",
    )
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(1):
            change = "heartbeat_at = clock_timestamp(), turned_at = clock_timestamp()"
            query(settings, f"UPDATE shop.runs SET {change} WHERE ended_at IS NULL RETURNING 1")

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        query(settings, "UPDATE shop.runs SET ended_at = clock_timestamp() WHERE ended_at IS NULL RETURNING 1")


def continue_feed(settings: Settings, minutes: int) -> None:
    """Let the feed deliver for some more minutes, and then monitor the platform."""
    age_all(settings, timedelta(minutes=minutes))
    live_runs = (
        "SELECT FROM shop.runs WHERE ended_at IS NULL AND heartbeat_at > clock_timestamp() - interval '5 seconds'"
    )
    wait_until(lambda: query(settings, live_runs), seconds=30, what="a heartbeat after the time that passed")
    load_good(settings, 600)
    monitor(settings)


@pytest.fixture
def monitored_shop(airflow: Settings, hook: Hook) -> Settings:
    """Return a shop with a few hours of events whose stream should run."""
    load_hours(airflow)
    set_desired_state(airflow.dsn("ops"), "run")
    with live_driver(airflow):
        age_all(airflow, timedelta(hours=1))
    return airflow


def test_a_pause_of_the_stream_sends_no_alert(monitored_shop: Settings, hook: Hook) -> None:
    ops = monitored_shop.dsn("ops")
    with live_driver(monitored_shop):
        continue_feed(monitored_shop, 6)
        set_desired_state(ops, "stop")
    for minutes in (1, 20, 180):
        age_all(monitored_shop, timedelta(minutes=minutes))
        monitor(monitored_shop)
    assert hook.titles == []
    set_desired_state(ops, "run")
    monitor(monitored_shop)
    with live_driver(monitored_shop):
        for minutes in (1, 10):
            continue_feed(monitored_shop, minutes)
    assert hook.titles == []
    assert open_alerts(monitored_shop) == {}
    # Without a plan, the same standstill is reported.
    age_all(monitored_shop, timedelta(minutes=10))
    monitor(monitored_shop)
    assert "raised: the stream: no driver" in hook.titles


def test_a_maintenance_window_sends_no_alert(monitored_shop: Settings, hook: Hook) -> None:
    ops = monitored_shop.dsn("ops")
    with live_driver(monitored_shop):
        begins = datetime.now(UTC) + timedelta(minutes=10)
        announce_window(ops, "a new disk", length=timedelta(hours=1), began_at=begins)
        continue_feed(monitored_shop, 9)
        assert hook.titles == []
        age_all(monitored_shop, timedelta(minutes=2))
    for minutes in (1, 57):
        age_all(monitored_shop, timedelta(minutes=minutes))
        monitor(monitored_shop)
    assert hook.titles == []
    age_all(monitored_shop, timedelta(minutes=2))
    with live_driver(monitored_shop):
        for minutes in (0, 1, 10):
            continue_feed(monitored_shop, minutes)
    assert hook.titles == []
    assert open_alerts(monitored_shop) == {}
