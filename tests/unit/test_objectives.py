"""Tests of the objectives, and of how a miss develops minute by minute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.db import load_queries
from include.objectives.announce import alert_of
from include.objectives.catalog import Objective, Unit, describe, objectives_of
from include.objectives.causes import WATCH
from include.objectives.misses import LONGEST_GAP, EvaluatedMinute, Miss, follow
from include.objectives.page import PAGE, with_objectives
from include.settings import Settings

OBJECTIVES = {one.name: one for one in objectives_of(Settings())}
FRESHNESS, AVAILABILITY = OBJECTIVES["freshness"], OBJECTIVES["availability"]
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_objectives(text), "run `make docs` and commit docs/objectives.md"


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def judged(objective: Objective, values: Sequence[float | None], first: int = 0) -> list[EvaluatedMinute]:
    """Return consecutive minutes with these values."""
    return [EvaluatedMinute(after(first + n), value, objective.is_met(value)) for n, value in enumerate(values)]


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_an_objective_can_be_measured_explained_and_acted_upon(objective: Objective) -> None:
    assert objective.name in load_queries("objectives")
    assert set(objective.causes) - {WATCH} <= set(load_queries("objective_causes"))
    assert objective.causes
    assert 0.9 <= objective.target < 1
    assert objective.grace_minutes >= 1
    for text in (objective.measures, objective.why, objective.runbook):
        assert text.endswith(".")
    # The title must be the same each time, so it holds no number.
    assert not re.search(r"\d", objective.title)


def test_every_query_of_causes_belongs_to_an_objective() -> None:
    assert set(load_queries("objective_causes")) == {
        cause for one in OBJECTIVES.values() for cause in one.causes if cause != WATCH
    }


def test_the_bound_of_the_backlog_follows_its_setting() -> None:
    bounds = {one.name: one.bound for one in objectives_of(Settings(max_backlog_files=7))}
    assert bounds["backlog"] == 7
    assert bounds["freshness"] == 5


@pytest.mark.parametrize(
    ("objective", "value", "is_met"),
    [
        (FRESHNESS, 5.0, True),
        (FRESHNESS, 5.01, False),
        (FRESHNESS, None, True),
        (AVAILABILITY, 0.75, True),
        (AVAILABILITY, 0.74, False),
    ],
)
def test_a_value_at_the_bound_meets_the_objective(objective: Objective, value: float | None, is_met: bool) -> None:
    assert objective.is_met(value) is is_met


def test_the_worst_value_depends_on_the_direction_of_the_bound() -> None:
    assert FRESHNESS.worst(6.0, 9.0, None) == 9.0
    assert AVAILABILITY.worst(0.5, 0.1) == 0.1
    assert FRESHNESS.worst(None) is None


def test_a_miss_begins_lasts_and_ends() -> None:
    assert follow(FRESHNESS, None, judged(FRESHNESS, [1, None, 2])) == []
    assert follow(FRESHNESS, None, judged(FRESHNESS, [1, 7, 9, 6])) == [Miss(after(1), after(4), 9)]
    assert follow(FRESHNESS, None, judged(FRESHNESS, [7, 1, 8, 2])) == [
        Miss(after(0), after(1), 7, is_over=True),
        Miss(after(2), after(3), 8, is_over=True),
    ]


def test_an_open_miss_continues() -> None:
    before = Miss(after(0), after(2), 12, miss_id=5, cause="a cause")
    assert follow(FRESHNESS, before, []) == [before]
    assert follow(FRESHNESS, before, judged(FRESHNESS, [6], first=2)) == [replace(before, missed_until=after(3))]
    assert follow(FRESHNESS, before, judged(FRESHNESS, [20, 1], first=2)) == [
        replace(before, missed_until=after(3), worst_value=20, is_over=True)
    ]


def test_a_gap_in_the_measurements_ends_a_miss() -> None:
    before = Miss(after(0), after(1), 12, miss_id=5)
    gap = LONGEST_GAP / timedelta(minutes=1)
    (longer,) = follow(FRESHNESS, before, judged(FRESHNESS, [6], first=int(1 + gap)))
    assert longer == replace(before, missed_until=after(2 + gap))
    first, second = follow(FRESHNESS, before, judged(FRESHNESS, [6], first=int(2 + gap)))
    assert first == replace(before, is_over=True)
    assert second == Miss(after(2 + gap), after(3 + gap), 6)


def test_an_alert_says_how_bad_since_when_why_and_what_to_do() -> None:
    alert = alert_of(FRESHNESS, Miss(after(0), after(3), 12.34, cause="a large file: a.csv"), run_id="r", url="u")
    assert (alert.key, alert.severity, alert.run_id, alert.url) == ("objective: freshness", "warning", "r", "u")
    assert alert.title == "Objective missed: events are in PostgreSQL in time"
    assert alert.detail.splitlines() == [
        "freshness was 12.3 s at worst, the bound is at most 5 s; missed since 2026-11-24 09:00 UTC, 3 minutes.",
        "Cause: a large file: a.csv",
        f"What to do: {FRESHNESS.runbook}",
    ]
    assert "Cause: unknown" in alert_of(AVAILABILITY, Miss(after(0), after(1), 0)).detail


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4211, "seconds", "0.421 s"),
        (960, "seconds", "16 min"),
        (0.05, "share", "5 %"),
        (1234, "files", "1,234 files"),
    ],
)
def test_values_are_formatted_for_readers(value: float, unit: Unit, text: str) -> None:
    assert describe(value, unit) == text
