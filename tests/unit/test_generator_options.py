"""Tests of the options that the generator refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from include.errors import SettingsError, ShopstreamError
from include.generator.options import MAX_ROWS_PER_FILE
from include.generator.run import generate
from tests.support.generated import START, make_options


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"seed": -1}, "seed=-1 is negative"),
        ({"start": datetime(2026, 1, 1)}, "has no time zone"),
        ({"events_per_second": 0}, "events_per_second=0 is not above 0"),
        ({"events_per_second": float("nan")}, "events_per_second=nan is not above 0"),
        ({"duration_seconds": -5}, "duration_seconds=-5 is not above 0"),
        ({"duration_seconds": float("inf")}, "duration_seconds=inf is not above 0 and finite"),
        ({"duration_seconds": None}, "a run that is not paced needs an end"),
        ({"rows_per_file": 0}, "rows_per_file=0 is not within 1"),
        ({"rows_per_file": MAX_ROWS_PER_FILE + 1}, "is not within 1 and"),
        ({"bad_share": -0.1}, "bad_share=-0.1 is not within 0 and 1"),
        ({"late_share": float("nan")}, "late_share=nan is not within 0 and 1"),
        ({"bad_share": 0.5, "duplicate_share": 0.5}, "the shares add up to 1.05"),
    ],
)
def test_each_fault_is_named(change: dict, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault.replace("(", r"\(")):
        make_options(**change)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        make_options(seed=-1, rows_per_file=0, late_share=2)
    assert str(error.value).count("\n  - ") == 4, "the shares do not add up either"


def test_a_backfill_may_not_reach_into_the_future(tmp_path: Path) -> None:
    start = datetime.now(UTC)
    with pytest.raises(ShopstreamError, match="in the future"):
        generate(make_options(start=start, duration_seconds=3600), tmp_path / "landing", tmp_path / "manifests")
    assert list(tmp_path.iterdir()) == []


def test_the_run_is_named_by_its_start_in_utc_and_seed() -> None:
    start = (START + timedelta(microseconds=125_999)).astimezone(timezone(timedelta(hours=-5)))
    assert make_options(start=start).run == "events-20260304T173000125Z-7"
    assert make_options(start=start).start_ms == int(START.timestamp() * 1000) + 125
