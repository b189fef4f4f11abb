"""Tests of ``make break``: its refusals before it changes anything, and the content of its feeds."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.contract import COLUMN_NAMES
from include.errors import PlatformError
from include.quality.results import SUITE_RUNS
from include.quality.suites import load_suite
from include.settings import REPOSITORY
from tests.programs.breaks import __main__ as commands
from tests.programs.breaks.__main__ import main
from tests.programs.breaks.feeds import MISSING_CATEGORY, ROWS, as_csv, broken
from tests.programs.breaks.kinds import KINDS

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def times(kind: str) -> list[datetime]:
    return [datetime.fromisoformat(row["event_time"]) for row in broken(kind, NOW, 10.0)]


@pytest.mark.parametrize("kind", [*KINDS, "repair"])
def test_break_and_repair_are_refused_without_a_platform(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    assert main([kind, *(["--yes"] if kind != "repair" else [])]) == 1
    what = "nothing is broken at" if kind == "repair" else "no platform runs at"
    assert capsys.readouterr().err.startswith(f"{what} {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_an_external_database_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    monkeypatch.setenv("SHOPSTREAM_DATABASE_HOST", "db.example.test")
    assert main(["doubled-price", "--yes"]) == 1
    assert "the database is at db.example.test" in capsys.readouterr().err


def test_make_break_without_a_kind_prints_its_usage() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "break", "PYTHON=true"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "make break KIND=" in done.stderr


@pytest.mark.slow
def test_each_kind_names_an_existing_check_of_matching_severity() -> None:
    for kind in KINDS.values():
        if kind.check == SUITE_RUNS:
            continue
        suite = load_suite(kind.suite)
        (check,) = [one for one in suite.checks if one.name == kind.check]
        assert kind.is_blocking == (check.severity == "critical"), kind.name


def test_the_docs_describe_each_kind() -> None:
    text = (REPOSITORY / "docs" / "quality.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(tuple(f"| `{name}` |" for name in KINDS))]
    assert rows == [kind.row for kind in KINDS.values()]


def test_a_doubled_price_is_twice_that_of_a_good_feed() -> None:
    good = {row["event_id"]: row for row in broken("late-feed", NOW + timedelta(hours=6, minutes=-1), 10.0)}
    doubled = list(broken("doubled-price", NOW, 10.0))
    assert len(doubled) == ROWS
    for row in doubled:
        assert Decimal(row["unit_price"]) == 2 * Decimal(good[row["event_id"]]["unit_price"])


def test_the_other_feeds_lack_a_category_are_late_or_cover_earlier_days() -> None:
    categories = {row["category"] for row in broken("missing-category", NOW, 10.0)}
    assert len(categories) == 4
    assert MISSING_CATEGORY not in categories
    assert max(times("late-feed")) < NOW - timedelta(hours=5)
    assert {moment.date() for moment in times("volume-drop")} == {NOW.date() - timedelta(days=one) for one in (2, 3)}


def test_a_file_has_the_columns_of_the_contract() -> None:
    rows = list(broken("late-feed", NOW, 10.0))
    header, *lines = as_csv(rows[:3]).splitlines()
    assert header.split(",") == list(COLUMN_NAMES)
    assert len(lines) == 3


def test_a_refused_break_leaves_the_feed_running(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: dict[str, bool] = {}

    def refuse(kind: str) -> None:
        raise PlatformError("too few events", "Wait a while")

    api = SimpleNamespace(set_paused=paused.__setitem__, active_runs=lambda dag_id: [])
    breakage = SimpleNamespace(refuse_what_is_not_a_playground=lambda: None, damage=refuse)
    monkeypatch.setattr(commands, "AirflowApi", lambda settings: api)
    monkeypatch.setattr(commands, "Breakage", lambda settings: breakage)
    monkeypatch.setattr(commands, "running_settings", lambda settings: settings)
    assert commands.main(["doubled-price", "--yes"]) == 1
    assert paused == {"generate_events": False}
