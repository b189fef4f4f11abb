"""Tests of alerts: a key has at most one open alert, which counts, escalates, resolves and can be raised again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from include.alerts import (
    Alert,
    has_reported,
    note_event,
    raise_alert,
    raise_alert_in,
    resolve_alert,
    sync_alerts,
)
from include.alerts.state import has_notified, leave_to_cause, resolve_earlier_in
from include.db import connect, transaction
from include.settings import Settings
from tests.support.validated import query

ALERT = Alert("warning", "dag.task", "title", "detail", key="key", run_id="run-1")


def states(database: Settings, columns: str) -> list[tuple[object, ...]]:
    return query(database, f"SELECT {columns} FROM shop.alerts ORDER BY alert_id")


@pytest.mark.parametrize("role", ["ops", "ingest"])
def test_a_repeated_alert_is_counted_and_shows_the_latest_details(database: Settings, role: str) -> None:
    dsn = database.dsn(role)  # type: ignore[arg-type]
    first = raise_alert(dsn, ALERT)
    assert raise_alert(dsn, replace(ALERT, title="later", detail="more", run_id="run-2")) == first
    columns = "key, severity, title, detail, run_id, occurrences, last_raised_at > raised_at, resolved_at"
    assert states(database, columns) == [("key", "warning", "later", "more", "run-2", 2, True, None)]


def test_a_resolved_alert_can_be_raised_again(database: Settings) -> None:
    dsn = database.dsn("ingest")
    first = raise_alert(dsn, ALERT)
    assert resolve_alert(dsn, "key")
    assert not resolve_alert(dsn, "key")
    assert raise_alert(dsn, ALERT) != first
    assert resolve_alert(dsn, "key", "closed by Ann")
    assert states(database, "occurrences, resolution") == [(1, "recovered"), (1, "closed by Ann")]


def test_without_a_key_source_and_title_identify_an_alert(database: Settings) -> None:
    for title in ("one", "other", "one"):
        raise_alert(database.dsn("ops"), replace(ALERT, key=None, title=title))
    assert states(database, "key, occurrences") == [("dag.task: one", 2), ("dag.task: other", 1)]


def test_the_severity_of_an_open_alert_never_decreases(database: Settings) -> None:
    dsn = database.dsn("ops")
    acknowledge = "UPDATE shop.alerts SET acknowledged_at = now(), acknowledged_by = 'ann' RETURNING 1"
    raise_alert(dsn, ALERT)
    query(database, acknowledge)
    raise_alert(dsn, replace(ALERT, severity="info"))
    assert states(database, "severity, acknowledged_by") == [("warning", "ann")]
    raise_alert(dsn, replace(ALERT, severity="critical"))
    # Ann acknowledged a lower severity, so the acknowledgment no longer counts.
    assert states(database, "severity, acknowledged_by") == [("critical", None)]
    raise_alert(dsn, ALERT)
    assert states(database, "severity, occurrences") == [("critical", 4)]


def test_the_same_alert_raised_concurrently_is_one_alert(database: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: raise_alert(database.dsn("ops"), ALERT), range(40)))
    assert len(set(ids)) == 1
    assert states(database, "occurrences") == [(40,)]


def test_an_alert_is_rolled_back_with_its_transaction(database: Settings) -> None:
    connection = connect(database.dsn("ingest"))
    with connection.cursor() as cursor:
        raise_alert_in(cursor, ALERT)
    connection.rollback()
    connection.close()
    assert states(database, "key") == []


def test_an_event_is_resolved_at_once_and_suppressed_for_the_given_time(database: Settings) -> None:
    dsn = database.dsn("ops")
    assert note_event(dsn, ALERT, 60)
    assert not note_event(dsn, ALERT, 60)
    assert note_event(dsn, replace(ALERT, key="other"), 60)
    older = "raised_at = raised_at - interval '61 s', resolved_at = resolved_at - interval '61 s'"
    query(database, f"UPDATE shop.alerts SET {older}, last_raised_at = last_raised_at - interval '61 s' RETURNING 1")
    assert note_event(dsn, ALERT, 60)
    assert note_event(dsn, ALERT)
    assert states(database, "key, resolution, resolved_at >= last_raised_at") == [
        ("key", "event", True),
        ("other", "event", True),
        ("key", "event", True),
        ("key", "event", True),
    ]


def test_sync_alerts_resolves_only_its_own_alerts_that_are_gone(database: Settings) -> None:
    dsn = database.dsn("ops")
    lag, backlog = (replace(ALERT, key=f"stream: {code}") for code in ("lag", "backlog"))
    raise_alert(dsn, replace(ALERT, key="streams of others"))
    sync_alerts(dsn, "stream: ", [lag, backlog])
    sync_alerts(dsn, "stream: ", [lag])
    sync_alerts(dsn, "stream: ", [lag])
    assert states(database, "key, occurrences, resolution") == [
        ("streams of others", 1, None),
        ("stream: lag", 3, None),
        ("stream: backlog", 1, "recovered"),
    ]
    sync_alerts(dsn, "stream: ", [])
    assert states(database, "resolution") == [(None,), ("recovered",), ("recovered",)]


def test_a_run_adds_no_alert_to_those_of_its_tasks(database: Settings) -> None:
    dsn = database.dsn("ops")
    run = Alert("critical", "dag", "The run failed", "", run_id="run-1")

    def is_reported(alert: Alert = run) -> bool:
        with transaction(dsn) as cursor:
            return has_reported(cursor, alert)

    raise_alert(dsn, replace(ALERT, severity="critical", source="dagger.task", key="dagger"))
    raise_alert(dsn, ALERT)
    note_event(dsn, replace(ALERT, severity="critical"))
    # These do not count: another DAG's alert, a milder one, and one of a try that another try followed.
    assert not is_reported()
    raise_alert(dsn, replace(ALERT, severity="critical"))
    assert is_reported()
    assert is_reported(replace(run, run_id="run-2")), "the open alert may since have been raised by a later run"
    query(database, "UPDATE shop.alerts SET last_raised_at = last_raised_at - interval '61 min' RETURNING 1")
    assert not is_reported(replace(run, run_id="run-2")), "an alert that was not raised for an hour does not cover it"
    resolve_alert(dsn, "key")
    assert is_reported()
    assert not is_reported(replace(run, run_id="run-2"))


def test_a_run_adds_no_alert_to_those_of_another_dag(database: Settings) -> None:
    dsn = database.dsn("ops")
    raise_alert(dsn, replace(ALERT, severity="critical", source="views.audit", key="quality/events/price"))
    leave_to_cause(dsn, "checks.judge", "run-1")
    run = Alert("critical", "checks", "The run failed", "", run_id="run-1")
    with transaction(dsn) as cursor:
        assert has_reported(cursor, run)
        assert not has_reported(cursor, replace(run, run_id="run-2"))
        assert not has_reported(cursor, replace(run, source="check"))


def test_the_success_of_a_run_does_not_resolve_its_own_failure(database: Settings) -> None:
    raise_alert(database.dsn("ops"), ALERT)
    for run_id, ended in (("run-1", []), ("run-2", ["key"]), ("run-3", [])):
        with transaction(database.dsn("ops")) as cursor:
            assert resolve_earlier_in(cursor, "key", run_id) == ended


def test_a_failure_is_covered_by_a_later_alert_of_its_task_or_by_its_run(database: Settings) -> None:
    dsn = database.dsn("ops")
    ((now,),) = query(database, "SELECT clock_timestamp()")
    assert not has_notified(dsn, "dag.task", "dag", "run-1", now)
    raise_alert(dsn, ALERT)
    assert has_notified(dsn, "dag.task", "dag", "run-9", now)
    ((later,),) = query(database, "SELECT clock_timestamp()")
    assert not has_notified(dsn, "dag.task", "dag", "run-1", later)
    raise_alert(dsn, replace(ALERT, source="dag", key="failed: dag"))
    assert has_notified(dsn, "dag.task", "dag", "run-1", later)
    assert not has_notified(dsn, "dag.task", "dag", "run-2", later)


def test_a_task_failure_that_another_alert_covers_counts_as_notified(database: Settings) -> None:
    dsn = database.dsn("ops")
    ((began,),) = query(database, "SELECT clock_timestamp()")
    for _ in range(2):
        leave_to_cause(dsn, "dag.task", "run-1")
    assert has_notified(dsn, "dag.task", "dag", "run-1", began)
    assert not has_notified(dsn, "dag.task", "dag", "run-2", began)
    assert not has_notified(dsn, "dag.other", "dag", "run-1", began)
    assert states(database, "key") == []
    query(database, "UPDATE shop.explained_failures SET recorded_at = recorded_at - interval '25 h' RETURNING 1")
    assert not has_notified(dsn, "dag.task", "dag", "run-1", began)
    leave_to_cause(dsn, "dag.task", "run-2")
    assert query(database, "SELECT run_id FROM shop.explained_failures") == [("run-2",)]
