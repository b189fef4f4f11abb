"""What Airflow cannot say of itself: programs that do not work, and tasks that were killed before they could speak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.alerts import Alert, raise_alert, resolve_alert
from include.platform.outages import Outages
from include.platform.rest import AirflowApi
from include.platform.silent_failures import GRACE, report_silent_failures
from include.settings import Settings
from tests.support.judged import query
from tests.support.postgres import database_away

PROGRAMS = ("postgres", "scheduler", "triggerer")


def outcomes(database: Settings) -> list[tuple[Any, ...]]:
    return query(database, "SELECT key, severity, title, occurrences, resolution FROM shop.alerts ORDER BY alert_id")


def test_an_outage_is_told_once_and_ends_when_the_program_works(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.tell({"scheduler"}, {}, {})
    assert outcomes(database) == []
    for seconds in (45.0, 55.0, 65.0):
        outages.tell({"scheduler"}, {"scheduler": seconds}, {})
    outages.tell({"scheduler"}, {"scheduler": 75.0}, {"scheduler": "It was restarted."})
    # Restarted, and not yet well again.
    outages.tell({"scheduler"}, {}, {})
    row = ("platform: scheduler", "critical", "scheduler does not work", 2)
    assert outcomes(database) == [(*row, None)]
    ((detail,),) = query(database, "SELECT detail FROM shop.alerts")
    assert detail.startswith(
        "It has not done its part for 75 s. It was restarted. What it ran into is at the end of `make"
    )
    outages.tell(set(), {}, {})
    assert outcomes(database) == [(*row, "recovered")]


def test_an_outage_that_an_earlier_watchdog_told_of_ends_with_this_one(database: Settings) -> None:
    dsn = database.dsn("ops")
    for name in PROGRAMS:
        raise_alert(dsn, Alert("critical", "watchdog", f"{name} does not work", "", key=f"platform: {name}"))
    Outages(dsn, PROGRAMS).tell({"triggerer"}, {}, {})
    assert [row[-1] for row in outcomes(database)] == ["recovered", "recovered", None]


def test_an_outage_of_the_database_is_told_when_it_is_back(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.tell(set(), {}, {})
    with database_away(database):
        outages.tell({"postgres"}, {"postgres": 45.0}, {})
        outages.tell({"postgres"}, {"postgres": 95.0}, {})
        outages.tell(set(), {}, {})
    outages.tell(set(), {}, {})
    outages.tell(set(), {}, {})
    assert outcomes(database) == [("platform: postgres", "critical", "postgres did not work", 1, "event")]


def test_an_end_that_cannot_be_recorded_is_recorded_later(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.tell({"triggerer"}, {"triggerer": 45.0}, {})
    with database_away(database):
        outages.tell(set(), {}, {})
    outages.tell(set(), {}, {})
    assert [row[-1] for row in outcomes(database)] == ["recovered"]


NOW = datetime.now(UTC)


class Airflow(AirflowApi):
    """Answers with tasks that failed as the REST API tells of them."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.tasks = list(tasks)

    def failed_tasks(self, since: datetime) -> list[dict[str, Any]]:
        return [task for task in self.tasks if datetime.fromisoformat(task["end_date"]) >= since]


def failed(*, ago: timedelta = GRACE + timedelta(seconds=1), **changes: Any) -> dict[str, Any]:
    end = NOW - ago
    task = {
        "dag_id": "refresh_views",
        "dag_run_id": "scheduled__2026-03-04T05:00:00+00:00",
        "task_id": "refresh",
        "map_index": -1,
        "try_number": 3,
        "start_date": (end - timedelta(seconds=30)).isoformat(),
        "end_date": end.isoformat(),
    }
    return {**task, **changes}


def test_a_task_that_was_killed_is_told_of_once(database: Settings) -> None:
    dsn = database.dsn("ops")
    airflow = Airflow(failed(), failed(map_index=2))
    assert len(report_silent_failures(airflow, dsn, now=NOW)) == 2
    assert report_silent_failures(airflow, dsn, now=NOW) == []
    assert [row[:3] for row in outcomes(database)] == [
        ("failed: refresh_views.refresh", "critical", "refresh failed without a word"),
        ("failed: refresh_views.refresh[2]", "critical", "refresh[2] failed without a word"),
    ]
    assert query(database, "SELECT url, runbook_url FROM shop.alerts ORDER BY alert_id DESC LIMIT 1") == [
        (
            "/dags/refresh_views/runs/scheduled__2026-03-04T05%3A00%3A00%2B00%3A00/tasks/refresh/mapped/2",
            "/dags/refresh_views",
        )
    ]
    # It recovers by the key that the next success of the task ends.
    assert resolve_alert(dsn, "failed: refresh_views.refresh")


@pytest.mark.parametrize(
    "alert",
    [
        Alert("critical", "refresh_views.refresh", "refresh failed: it said so itself", ""),
        Alert("critical", "refresh_views", "", "", key="failed: refresh_views", run_id=failed()["dag_run_id"]),
    ],
)
def test_what_was_reported_is_not_told_again(database: Settings, alert: Alert) -> None:
    raise_alert(database.dsn("ops"), alert)
    airflow = Airflow(failed(start_date=(NOW - timedelta(minutes=1)).isoformat()))
    assert report_silent_failures(airflow, database.dsn("ops"), now=NOW) == []


def test_another_alert_about_the_run_says_nothing_of_the_task(database: Settings) -> None:
    late = Alert("warning", "refresh_views", "A run missed its deadline", "", run_id=failed()["dag_run_id"])
    raise_alert(database.dsn("ops"), late)
    assert len(report_silent_failures(Airflow(failed()), database.dsn("ops"), now=NOW)) == 1


def test_who_can_still_speak_is_given_the_time_for_it(database: Settings) -> None:
    airflow = Airflow(failed(ago=GRACE - timedelta(seconds=1)), failed(ago=timedelta(minutes=16)))
    assert report_silent_failures(airflow, database.dsn("ops"), now=NOW) == []


def test_a_task_that_never_began_is_told_of(database: Settings) -> None:
    assert len(report_silent_failures(Airflow(failed(start_date=None)), database.dsn("ops"), now=NOW)) == 1
