"""Tests of the daily cleanup of Airflow's records: when it starts and how it reports a failure."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.services.airflow_records import EVERY, RecordsCleaner
from include.settings import Settings
from tests.support.waiting import wait_until


@pytest.fixture
def cleaner(tmp_path: Path) -> Callable[[str], RecordsCleaner]:
    """Return a factory of cleaners that run a Python program in place of Airflow's cleanup."""
    settings = Settings.from_env({"SHOPSTREAM_HOME": str(tmp_path)})
    (tmp_path / "airflow").mkdir()
    return lambda program: RecordsCleaner(settings, (sys.executable, "-c", program))


def a_day_passes(home: Path) -> None:
    before = time.time() - EVERY.total_seconds()
    os.utime(home / "airflow" / "cleaned", (before, before))


def test_it_starts_once_a_day_but_not_on_the_first_day(
    cleaner: Callable[[str], RecordsCleaner], tmp_path: Path
) -> None:
    done = tmp_path / "done"
    program = f"open({str(done)!r}, 'a').write('x')"
    cleaner(program).clean_when_due()
    cleaner(program).clean_when_due()
    assert not done.exists()

    a_day_passes(tmp_path)
    ours = cleaner(program)
    stamp = (tmp_path / "airflow" / "cleaned").stat

    def is_over() -> bool:
        ours.clean_when_due()
        return time.time() - stamp().st_mtime < EVERY.total_seconds()

    wait_until(is_over, seconds=30, what="the program to end")
    ours.clean_when_due()
    cleaner(program).clean_when_due()
    assert done.read_text() == "x"


def test_a_failure_is_reported_and_retried(cleaner: Callable[[str], RecordsCleaner], tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    ours = cleaner(f"open({str(attempts)!r}, 'a').write('x'); raise SystemExit(3)")
    ours.clean_when_due()
    a_day_passes(tmp_path)

    def looked_in_vain() -> bool:
        ours.clean_when_due()
        return False

    for _ in range(2):
        with pytest.raises(PlatformError, match="exit status 3"):
            wait_until(looked_in_vain, seconds=30, what="the failure")
    assert attempts.read_text() == "xx"
