"""Run the quick part of the chaos harness on the session's platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.chaos.instance import FEED, Instance
from tests.programs.chaos.journal import Journal
from tests.programs.chaos.run import run
from tests.programs.chaos.schedule import schedule
from tests.programs.chaos.table import markdown
from tests.support.platform import Platform

pytestmark = pytest.mark.timeout(600)

SEED = 20261123
RATE = 500
FAULTS = (
    "mid_copy_kill",
    "unknown_commit_cut",
    "kill_task",
    "after_commit_kill",
    "kill_backend",
    "stop_driver",
    "kill_scheduler",
    "empty_checkpoint",
)


def test_no_event_is_lost_or_doubled_by_faults_under_load(platform: Platform, tmp_path: Path) -> None:
    instance = Instance(platform)
    journal = Journal(tmp_path / "chaos.jsonl")
    try:
        result = run(instance, journal, schedule(SEED, FAULTS), faults=len(FAULTS), minutes=0, rate=RATE, seed=SEED)
    finally:
        instance.api.set_paused(FEED, False)
    assert [injection.fault.name for injection in result.injections] == list(FAULTS)
    assert result.violations == [], markdown(result)
    assert result.totals.events > RATE
