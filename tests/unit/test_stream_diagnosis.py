"""Tests of stream diagnosis: which states give a finding and which do not."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from include.stream.supervision.diagnosis import Limits, diagnose, notes, summary
from include.stream.supervision.status import StreamStatus

LIMITS = Limits(stall_seconds=120, max_backlog_files=500)
DRIVER = "driver-20261123225240-0007"
WELL = StreamStatus(
    epoch=7,
    mode="continuous",
    started_at=datetime(2026, 11, 23, tzinfo=UTC),
    ended_at=None,
    run_age_seconds=3600.0,
    ended_age_seconds=None,
    heartbeat_age_seconds=0.5,
    turned_age_seconds=0.3,
    paused=None,
    recent_drivers=0,
    backlog_files=1,
    backlog_bytes=1000,
    ignored_files=0,
    ignored_since=None,
    ignored_examples=[],
    waiting_seconds=0.2,
    waiting_files=1,
    ui_url=None,
    log_path=f"/shop/spark/work/{DRIVER}",
    error=None,
    desired_state="run",
    desired_state_age_seconds=3700.0,
    last_batch_id=12,
    last_commit_age_seconds=1.0,
    lag_seconds=0.3,
    event_lag_seconds=1.5,
    batches=60,
    read=6000,
    accepted=6000,
    duplicate=0,
    rejected=0,
)
ENDED: dict[str, Any] = {
    "ended_at": datetime(2026, 11, 23, tzinfo=UTC),
    "ended_age_seconds": 61.0,
    "heartbeat_age_seconds": 62.0,
}
NEVER_RUN: dict[str, Any] = {
    "epoch": None,
    "run_age_seconds": None,
    "heartbeat_age_seconds": None,
    "turned_age_seconds": None,
    "log_path": None,
    "last_commit_age_seconds": None,
    "event_lag_seconds": None,
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="it works"),
        pytest.param({"desired_state": "drain", "heartbeat_age_seconds": 900.0}, id="desired state drain"),
        pytest.param({"desired_state": "stop", **ENDED}, id="desired state stop"),
        pytest.param({**NEVER_RUN, "desired_state_age_seconds": None}, id="never run, and never asked to run"),
        pytest.param({**NEVER_RUN, "desired_state_age_seconds": 180.0}, id="the platform is being started"),
        pytest.param(
            {**ENDED, "ended_age_seconds": 86_400.0, "desired_state_age_seconds": 170.0}, id="started after a night"
        ),
        pytest.param({**ENDED, "ended_age_seconds": 60.0}, id="the next driver is starting"),
        pytest.param(
            {"backlog_files": 1, "waiting_seconds": 0.1, "last_commit_age_seconds": 9000.0}, id="first file for hours"
        ),
        pytest.param(
            {"run_age_seconds": 60.0, "waiting_seconds": 9000.0, "last_commit_age_seconds": 9000.0, "backlog_files": 0},
            id="files that waited for a driver",
        ),
        pytest.param(
            {"run_age_seconds": 60.0, "heartbeat_age_seconds": 60.0, "turned_age_seconds": 60.0}, id="a slow start"
        ),
        pytest.param({"recent_drivers": 5, "run_age_seconds": 61.0}, id="out of its crash loop"),
        pytest.param({"waiting_seconds": None, "last_commit_age_seconds": 9000.0, "backlog_files": 0}, id="idle"),
        pytest.param(
            {"backlog_files": 1, "last_commit_age_seconds": 9000.0, "event_lag_seconds": 9001.0}, id="old events, idle"
        ),
        pytest.param(
            {"heartbeat_age_seconds": 30.0, "turned_age_seconds": 120.0, "backlog_files": 500},
            id="exactly at the limits",
        ),
    ],
)
def test_healthy_states_give_no_finding(changes: dict[str, Any]) -> None:
    assert diagnose(replace(WELL, **changes), LIMITS) == []


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {**NEVER_RUN, "desired_state_age_seconds": 181.0},
            "no_driver",
            "no driver does: it has never run, 3 min after it was asked to; limit 3 min. Read the log of run_stream",
        ),
        (
            {**ENDED, "error": "disk full\nat line 3"},
            "no_driver",
            r"no driver does: the last driver ended 61 s ago \(disk full\); limit 60 s\.",
        ),
        ({**ENDED, "desired_state_age_seconds": None}, "no_driver", "the last driver ended 61 s ago; limit 60 s"),
        (
            {"heartbeat_age_seconds": 31.0},
            "no_heartbeat",
            f"no heartbeat for 31 s; limit 30 s.*epoch 7, {DRIVER}",
        ),
        ({"turned_age_seconds": 121.0}, "loop_stalled", "not turned for 2 min; limit 2 min"),
        (
            {"run_age_seconds": 130.0, "waiting_seconds": 125.0, "last_commit_age_seconds": 9000.0, "backlog_files": 0},
            "no_progress",
            "the oldest for 2 min, and nothing was committed for 2 min; limit 2 min",
        ),
        ({"recent_drivers": 5, "run_age_seconds": 3.0}, "crash_loop", "started 5 times within 10 min; limit 5"),
    ],
)
def test_critical_states_give_a_critical_finding(changes: dict[str, Any], code: str, text: str) -> None:
    (finding,) = diagnose(replace(WELL, **changes), LIMITS)
    assert (finding.code, finding.severity) == (code, "critical")
    assert finding.needs_recycling is (code in {"no_heartbeat", "loop_stalled", "no_progress"})
    assert re.search(text, finding.text)


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"paused": "0.4 GiB are free"}, "intake_paused", "in no files: 0.4 GiB are free. It continues by itself"),
        ({"backlog_files": 501}, "backlog", "501 files wait; limit 500 (SHOPSTREAM_MAX_BACKLOG_FILES)"),
        ({"waiting_seconds": 61.0}, "lag", "The oldest file waits for 61 s; limit 60 s"),
        ({"event_lag_seconds": 901.0}, "event_lag", "The newest event is 15 min old; limit 15 min"),
    ],
)
def test_lesser_problems_give_a_warning(changes: dict[str, Any], code: str, text: str) -> None:
    (finding,) = diagnose(replace(WELL, **changes), LIMITS)
    assert (finding.code, finding.severity, finding.needs_recycling) == (code, "warning", False)
    assert text in finding.text


def test_a_pause_is_not_diagnosed_as_a_hang() -> None:
    paused = replace(WELL, paused="0.4 GiB are free", waiting_seconds=9000.0, last_commit_age_seconds=9000.0)
    assert {one.code for one in diagnose(paused, LIMITS)} == {"intake_paused", "lag"}


def test_all_findings_are_reported_but_only_one_reason_to_recycle() -> None:
    status = replace(WELL, heartbeat_age_seconds=500.0, turned_age_seconds=500.0, backlog_files=600, recent_drivers=9)
    assert [one.code for one in diagnose(status, LIMITS)] == ["no_heartbeat", "backlog"]
    fresh = replace(status, run_age_seconds=40.0)
    assert [one.code for one in diagnose(fresh, LIMITS)] == ["crash_loop", "backlog"]
    ended = replace(status, **ENDED)
    assert [one.code for one in diagnose(ended, LIMITS)] == ["no_driver", "crash_loop"]


def test_a_driver_that_no_spark_worker_started_has_no_id() -> None:
    assert WELL.driver_id == DRIVER
    assert replace(WELL, log_path="/home/me/shopstream").driver_id is None
    assert replace(WELL, log_path=None).driver_id is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (NEVER_RUN, "The stream has never run; desired state: run."),
        (
            {**ENDED, "desired_state": "drain", "waiting_seconds": None, "backlog_files": 0, "recent_drivers": 1},
            "Epoch 7: ended 61 s ago, last commit 1 s ago; 0 files wait; 1 drivers within 10 min; "
            "desired state: drain.",
        ),
        (
            {"backlog_files": 1234, "waiting_seconds": 20.0},
            "Epoch 7: started 60 min ago, heartbeat 0 s ago, loop turned 0 s ago, last commit 1 s ago; "
            "1,234 files wait, the oldest for 20 s; 0 drivers within 10 min; desired state: run.",
        ),
    ],
)
def test_the_log_line_shows_the_examined_values(changes: dict[str, Any], line: str) -> None:
    assert summary(replace(WELL, **changes)) == line


def test_ignored_entries_give_a_warning_with_their_names() -> None:
    since = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)
    status = replace(WELL, ignored_files=3, ignored_since=since, ignored_examples=["a.tsv", "it's"])
    (finding,) = diagnose(status, LIMITS)
    assert (finding.code, finding.severity, finding.needs_recycling) == ("ignored_files", "warning", False)
    assert "3 entries of the landing folder" in finding.text
    assert "since 2026-11-23 08:05 UTC: 'a.tsv', \"it's\"" in finding.text


def test_files_that_wait_for_a_stopped_stream_give_a_note_but_no_finding() -> None:
    stopped = replace(WELL, **ENDED, desired_state="stop", desired_state_age_seconds=7300.0)
    assert diagnose(stopped, LIMITS) == []
    (note,) = notes(stopped, files_in_landing=41)
    assert "asked to stop 2 h ago, and 42 files wait" in note
    assert notes(replace(stopped, waiting_files=0), files_in_landing=0) == []
    assert notes(replace(WELL, waiting_files=5), files_in_landing=5) == []
