"""Tests that paused, unreadable or silent watchers are reported, and that alerts of removed DAGs and tasks end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from include.alerts import Alert, raise_alert
from include.alerts.state import failure_key
from include.platform.services.airflow_api import AirflowApi
from include.platform.watching.watchers import GRACE, WATCHERS, Watchers
from include.settings import Settings
from tests.support.validated import query


@dataclass
class Airflow(AirflowApi):
    """Answer as the REST API of an Airflow with these DAGs."""

    paused: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(WATCHERS, False))
    errors: dict[str, str] = field(default_factory=dict)

    def dags(self) -> dict[str, bool]:
        return self.paused

    def import_errors(self) -> dict[str, str]:
        return self.errors

    def task_ids(self, dag_id: str) -> list[str]:
        return ["diagnose_stream"] if dag_id == "watch_stream" else ["publish"]


class Watched:
    """Drive the watchers of an instance with a clock that can be moved on."""

    def __init__(self, settings: Settings) -> None:
        self.airflow = Airflow()
        self.now = datetime.now(UTC)
        self.watchers = Watchers(self.airflow, settings.dsn("ops"), clock=lambda: self.now)

    def look(self, after: timedelta = GRACE) -> list[tuple[str, str]]:
        self.watchers.look()
        self.now += after
        return [(one.severity, one.title) for one in self.watchers.look()]


@pytest.fixture
def watched(database: Settings) -> Watched:
    return Watched(database)


def resolutions(settings: Settings) -> dict[str, str | None]:
    return dict(query(settings, "SELECT key, resolution FROM shop.alerts"))


def test_healthy_watchers_raise_no_alert(watched: Watched) -> None:
    assert watched.look() == []


def test_a_watcher_that_stays_paused_is_reported(database: Settings, watched: Watched) -> None:
    watched.airflow.paused["watch_stream"] = True
    assert watched.look(timedelta(seconds=30)) == []
    assert watched.look() == [("warning", "The DAG watch_stream is paused")]
    watched.airflow.paused["watch_stream"] = False
    assert watched.look() == []
    assert resolutions(database) == {"watcher: watch_stream": "recovered"}


def test_an_unreadable_dag_file_raises_one_alert_although_its_dag_is_missing(watched: Watched) -> None:
    del watched.airflow.paused["evaluate_objectives"]
    watched.airflow.errors["dags/evaluate_objectives.py"] = "Traceback\nSyntaxError: invalid syntax"
    assert watched.look() == [("critical", "dags/evaluate_objectives.py cannot be imported: its DAGs do not run")]


def test_a_missing_watcher_is_reported(watched: Watched) -> None:
    del watched.airflow.paused["check_quality"]
    assert watched.look() == [("critical", "The DAG check_quality is missing")]


def test_a_dag_that_runs_but_evaluates_nothing_is_reported(database: Settings, watched: Watched) -> None:
    judged = (
        "INSERT INTO shop.objective_minutes (objective, minute, bound, is_met)"
        " VALUES ('a', now() - interval {}, 1, true) RETURNING 1"
    )
    query(database, judged.format("'20 min'"))
    assert watched.look() == [("critical", "No objective is evaluated")]
    query(database, "INSERT INTO shop.planned_downtime (kind, reason) VALUES ('stream', 'pause') RETURNING 1")
    assert watched.look() == []
    query(database, "DELETE FROM shop.planned_downtime RETURNING 1")
    query(database, judged.format("'-10 min'"))
    assert watched.look() == []


def test_alerts_of_removed_dags_and_tasks_end(database: Settings, watched: Watched) -> None:
    sources = (
        "old_dag",
        "old_dag.task",
        "watch_stream.old_task",
        "watch_stream.diagnose_stream",
        "refresh_views.publish[a]",
    )
    for source in sources:
        raise_alert(database.dsn("ops"), Alert("critical", source, "failed", "", key=failure_key(source)))
    watched.airflow.errors["dags/old_dag.py"] = "SyntaxError"
    watched.look(timedelta(hours=1))
    assert set(resolutions(database).values()) == {None}, "a DAG that cannot be read may come back"
    watched.airflow.errors.clear()
    watched.look(timedelta(minutes=20))
    gone = "the DAG or the task does not exist any more"
    assert {key: value for key, value in resolutions(database).items() if key.startswith("failed")} == {
        "failed: old_dag": gone,
        "failed: old_dag.task": gone,
        "failed: watch_stream.old_task": gone,
        "failed: watch_stream.diagnose_stream": None,
        "failed: refresh_views.publish[a]": None,
    }
