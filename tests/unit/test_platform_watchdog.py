"""Tests of the watchdog: it restarts only programs that run without working, and reports every failure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from include.errors import PlatformError
from include.platform.programs.supervisor import ProgramState
from include.platform.watching.watchdog import (
    FIRST_START_SECONDS,
    LONGEST_GAP_SECONDS,
    LOOK_SECONDS,
    START_SECONDS,
    TIMEOUT_SECONDS,
    Chore,
    Watchdog,
    unhealthy_programs,
)
from include.settings import Settings
from tests.support.sockets import free_ports


@dataclass
class Airflow:
    """Stand in for Airflow and supervisord: the health, states and uptime of the programs."""

    ill: list[str] = field(default_factory=list)
    uptime_seconds: int = 1000
    state: str = "RUNNING"
    killed: list[str] = field(default_factory=list)

    def unhealthy(self) -> list[str]:
        return self.ill

    def states(self) -> dict[str, ProgramState]:
        names = ("postgres", "api-server", "scheduler", "dag-processor", "triggerer", "spark-worker")
        return {name: ProgramState(name, self.state, 1, self.uptime_seconds, "") for name in names}

    def kill_program(self, name: str) -> None:
        self.killed.append(name)


@dataclass
class Reported:
    """Record what the watchdog reports."""

    overdue: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    ill: Collection[str] = ()

    def notify(self, ill: Collection[str], overdue: Mapping[str, float], done: Mapping[str, str]) -> None:
        self.ill = ill
        self.overdue += [name for name in overdue if name not in self.overdue]
        self.done += done


@dataclass
class Watched:
    """Drive a watchdog with a clock that advances by one look at a time."""

    airflow: Airflow
    reported: Reported = field(default_factory=Reported)
    now: float = 0.0

    def __post_init__(self) -> None:
        settings = Settings(spark_master_ui_port=free_ports(1)[0])
        self.watchdog = Watchdog(
            lambda: unhealthy_programs(self.airflow, settings),  # type: ignore[arg-type]
            self.airflow,  # type: ignore[arg-type]
            self.reported,  # type: ignore[arg-type]
        )

    def look(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_SECONDS
            self.watchdog.look(self.now)


@pytest.fixture
def watched() -> Watched:
    return Watched(Airflow())


@pytest.mark.parametrize("component", ["scheduler", "dag_processor", "triggerer", "api-server"])
def test_a_program_that_stays_unhealthy_is_killed_once_and_reported(watched: Watched, component: str) -> None:
    watched.airflow.ill = [component]
    watched.look(TIMEOUT_SECONDS)
    assert watched.airflow.killed == []
    watched.look(LOOK_SECONDS)
    name = component.replace("_", "-")
    assert watched.airflow.killed == [name]
    assert (watched.reported.overdue, watched.reported.done) == ([name], [name])
    watched.airflow.uptime_seconds = 0
    watched.look(10 * TIMEOUT_SECONDS)
    assert len(watched.airflow.killed) == 1


def test_heartbeats_missed_while_the_machine_slept_kill_no_program(watched: Watched) -> None:
    watched.airflow.ill = ["scheduler", "triggerer"]
    watched.look(LOOK_SECONDS)
    watched.now += 10 * LONGEST_GAP_SECONDS
    watched.look(TIMEOUT_SECONDS - LOOK_SECONDS)
    assert watched.airflow.killed == watched.reported.overdue == []
    watched.airflow.ill = []
    watched.look(LOOK_SECONDS)
    assert watched.airflow.killed == []


def test_a_program_that_recovers_in_time_is_not_killed(watched: Watched) -> None:
    for _ in range(5):
        watched.airflow.ill = ["scheduler"]
        watched.look(TIMEOUT_SECONDS - LOOK_SECONDS)
        watched.airflow.ill = []
        watched.look(LOOK_SECONDS)
    assert watched.airflow.killed == []


def test_no_program_is_killed_while_the_database_is_away(watched: Watched) -> None:
    watched.airflow.ill = ["metadatabase", "scheduler", "triggerer", "dag_processor"]
    watched.look(10 * TIMEOUT_SECONDS)
    assert watched.airflow.killed == []
    assert watched.reported.overdue == ["postgres"]


@pytest.mark.parametrize(("state", "uptime"), [("STOPPING", 1000), ("BACKOFF", 0), ("RUNNING", START_SECONDS - 1)])
def test_a_starting_or_stopping_program_is_left_to_the_supervisor(watched: Watched, state: str, uptime: int) -> None:
    watched.airflow.ill = ["scheduler"]
    watched.airflow.state, watched.airflow.uptime_seconds = state, uptime
    watched.look(10 * TIMEOUT_SECONDS)
    assert watched.airflow.killed == []


def test_a_worker_that_its_master_has_forgotten_is_killed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.platform.watching.watchdog.has_lost_its_workers", lambda settings: True)
    watched.look(TIMEOUT_SECONDS + LOOK_SECONDS)
    assert watched.airflow.killed == ["spark-worker"]


def test_nothing_is_reported_while_the_platform_starts(watched: Watched) -> None:
    watched.airflow.ill, watched.airflow.uptime_seconds = ["scheduler"], START_SECONDS - 1
    watched.look(FIRST_START_SECONDS)
    assert watched.reported.overdue == []
    watched.look(LOOK_SECONDS)
    assert watched.reported.overdue == ["scheduler"]


def test_a_program_that_is_down_is_reported_without_a_health_report(watched: Watched) -> None:
    watched.look(LOOK_SECONDS)
    watched.airflow.state = "FATAL"
    watched.look(TIMEOUT_SECONDS + LOOK_SECONDS)
    assert sorted(watched.reported.overdue) == sorted(watched.airflow.states())
    assert watched.airflow.killed == []
    watched.airflow.state = "RUNNING"
    watched.look(LOOK_SECONDS)
    assert watched.reported.ill == set()


def test_a_program_that_was_stopped_on_purpose_is_not_reported(watched: Watched) -> None:
    watched.airflow.state = "STOPPED"
    watched.look(10 * TIMEOUT_SECONDS)
    assert watched.reported.overdue == []


def test_a_failed_chore_is_retried_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    done: list[float] = []

    def work() -> None:
        done.append(1)
        raise PlatformError("the database is away")

    chore = Chore(10, work)
    for now in range(31):
        chore.do(now)
    assert len(done) == 4
    assert caplog.text.count("the database is away") == 1
