"""``make break``: what it refuses before it touches anything, and what its feeds are made of."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from include.contract import COLUMN_NAMES
from include.quality.suites import load_suite
from include.settings import REPOSITORY
from tests.breaks.__main__ import main
from tests.breaks.feeds import MISSING_CATEGORY, ROWS, as_csv, broken
from tests.breaks.kinds import KINDS

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def times(kind: str) -> list[datetime]:
    return [datetime.fromisoformat(row["event_time"]) for row in broken(kind, NOW, 10.0)]


@pytest.mark.parametrize("kind", [*KINDS, "repair"])
def test_without_a_platform_there_is_nothing_to_break(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    assert main([kind, *(["--yes"] if kind != "repair" else [])]) == 1
    what = "nothing is broken at" if kind == "repair" else "no platform runs at"
    assert capsys.readouterr().err.startswith(f"{what} {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_others_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    monkeypatch.setenv("SHOPSTREAM_DATABASE_HOST", "db.example.test")
    assert main(["doubled-price", "--yes"]) == 1
    assert "the database is at db.example.test" in capsys.readouterr().err


def test_without_a_kind_make_says_how() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "break", "PYTHON=true"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "make break KIND=" in done.stderr


def test_each_kind_names_a_check_that_exists_and_is_as_severe_as_it_says() -> None:
    for kind in KINDS.values():
        suite = load_suite(kind.suite)
        (check,) = [one for one in suite.checks if one.name == kind.check]
        assert kind.is_blocking == (check.severity == "critical"), kind.name


def test_a_doubled_price_is_twice_that_of_a_good_feed() -> None:
    good = {row["event_id"]: row for row in broken("late-feed", NOW + timedelta(hours=6, minutes=-1), 10.0)}
    doubled = list(broken("doubled-price", NOW, 10.0))
    assert len(doubled) == ROWS
    for row in doubled:
        assert Decimal(row["unit_price"]) == 2 * Decimal(good[row["event_id"]]["unit_price"])


def test_the_other_feeds_lack_a_category_are_late_or_are_of_the_days_before() -> None:
    categories = {row["category"] for row in broken("missing-category", NOW, 10.0)}
    assert len(categories) == 4
    assert MISSING_CATEGORY not in categories
    assert max(times("late-feed")) < NOW - timedelta(hours=5)
    assert {moment.date() for moment in times("volume-drop")} == {NOW.date() - timedelta(days=one) for one in (1, 2)}


def test_a_file_is_one_of_the_contract() -> None:
    rows = list(broken("late-feed", NOW, 10.0))
    header, *lines = as_csv(rows[:3]).splitlines()
    assert header.split(",") == list(COLUMN_NAMES)
    assert len(lines) == 3
