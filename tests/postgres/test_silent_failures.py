"""Tests of failures that Airflow cannot report: programs that do not work, and tasks killed without an alert."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.alerts import Alert, raise_alert, resolve_alert
from include.alerts.notice import Notice
from include.db import transaction
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.postgres import server_user
from include.platform.watching.outages import Outages
from include.platform.watching.silent_failures import GRACE, report_silent_failures
from include.settings import Settings
from tests.support.disks import fill, small_disk
from tests.support.postgres import database_away, superuser, temporary_home
from tests.support.validated import query

PROGRAMS = ("postgres", "scheduler", "triggerer")


def outcomes(database: Settings) -> list[tuple[Any, ...]]:
    return query(database, "SELECT key, severity, title, occurrences, resolution FROM shop.alerts ORDER BY alert_id")


def test_an_outage_is_one_alert_that_ends_when_the_program_works(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.notify({"scheduler"}, {}, {})
    assert outcomes(database) == []
    for seconds in (45.0, 55.0, 65.0):
        outages.notify({"scheduler"}, {"scheduler": seconds}, {})
    outages.notify({"scheduler"}, {"scheduler": 75.0}, {"scheduler": "It was restarted."})
    # The program was restarted and is not yet healthy.
    outages.notify({"scheduler"}, {}, {})
    row = ("platform: scheduler", "critical", "scheduler does not work", 2)
    assert outcomes(database) == [(*row, None)]
    ((detail,),) = query(database, "SELECT detail FROM shop.alerts")
    assert detail.startswith("It has not worked for 75 s. It was restarted. See the end of `make logs")
    outages.notify(set(), {}, {})
    assert outcomes(database) == [(*row, "recovered")]


def test_an_outage_reported_by_an_earlier_watchdog_is_resolved_by_this_one(database: Settings) -> None:
    dsn = database.dsn("ops")
    for name in PROGRAMS:
        raise_alert(dsn, Alert("critical", "watchdog", f"{name} does not work", "", key=f"platform: {name}"))
    Outages(dsn, PROGRAMS).notify({"triggerer"}, {}, {})
    assert [row[-1] for row in outcomes(database)] == ["recovered", "recovered", None]


def test_an_outage_of_the_database_is_reported_when_it_is_back(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.notify(set(), {}, {})
    with database_away(database):
        outages.notify({"postgres"}, {"postgres": 45.0}, {})
        outages.notify({"postgres"}, {"postgres": 95.0}, {})
        outages.notify(set(), {}, {})
    outages.notify(set(), {}, {})
    outages.notify(set(), {}, {})
    assert outcomes(database) == [("platform: postgres", "critical", "postgres did not work", 1, "event")]


@pytest.fixture
def full_disk(database: Settings) -> Iterator[None]:
    """Put the table of alerts on a disk without a free byte."""
    user = pwd.getpwnam(name) if (name := server_user()) else pwd.getpwuid(os.geteuid())
    own = f"size=64k,mode=0700,uid={user.pw_uid},gid={user.pw_gid}"
    move = "ALTER TABLE shop.alerts SET TABLESPACE {}"
    with temporary_home() as home, small_disk(home / "disk", own) as disk:
        with superuser(database) as cursor:
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            cursor.execute("GRANT CREATE ON TABLESPACE small TO shop_owner")
        try:
            with transaction(database.dsn("owner")) as cursor:
                cursor.execute(move.format("small"))
            fill(disk)
            yield
        finally:
            with transaction(database.dsn("owner")) as cursor:
                cursor.execute(move.format("pg_default"))
            with superuser(database) as cursor:
                cursor.execute("DROP TABLESPACE small")


def test_an_outage_is_sent_even_if_the_database_has_no_room_to_record_it(database: Settings, full_disk: None) -> None:
    notices: list[Notice] = []

    def send(notice: Notice) -> list[str]:
        notices.append(notice)
        return ["alert_team"]

    outages = Outages(database.dsn("ops"), PROGRAMS, send=send)
    for seconds in (45.0, 55.0):
        outages.notify({"scheduler"}, {"scheduler": seconds}, {})
    (notice,) = notices
    assert notice.alert.severity == "critical"
    assert "No space left on device" in notice.alert.detail
    assert outcomes(database) == []


def test_a_recovery_that_cannot_be_recorded_is_recorded_later(database: Settings) -> None:
    outages = Outages(database.dsn("ops"), PROGRAMS)
    outages.notify({"triggerer"}, {"triggerer": 45.0}, {})
    with database_away(database):
        outages.notify(set(), {}, {})
    outages.notify(set(), {}, {})
    assert [row[-1] for row in outcomes(database)] == ["recovered"]


NOW = datetime.now(UTC)


class Airflow(AirflowApi):
    """Return failed tasks in the form of the REST API's answer."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.failed = list(tasks)

    def failed_tasks(self, since: datetime) -> list[dict[str, Any]]:
        return [task for task in self.failed if datetime.fromisoformat(task["end_date"]) >= since]


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


def test_a_killed_task_is_reported_once(database: Settings) -> None:
    dsn = database.dsn("ops")
    airflow = Airflow(failed(), failed(map_index=2))
    assert len(report_silent_failures(airflow, dsn, now=NOW)) == 2
    assert report_silent_failures(airflow, dsn, now=NOW) == []
    assert [row[:3] for row in outcomes(database)] == [
        ("failed: refresh_views.refresh", "critical", "refresh failed without a report"),
        ("failed: refresh_views.refresh[2]", "critical", "refresh[2] failed without a report"),
    ]
    assert query(database, "SELECT url, runbook_url FROM shop.alerts ORDER BY alert_id DESC LIMIT 1") == [
        (
            "/dags/refresh_views/runs/scheduled__2026-03-04T05%3A00%3A00%2B00%3A00/tasks/refresh/mapped/2",
            "/dags/refresh_views",
        )
    ]
    # The next success of the task resolves the alert by this key.
    assert resolve_alert(dsn, "failed: refresh_views.refresh")


def test_the_alert_of_a_killed_mapped_task_has_the_key_that_its_next_success_resolves(
    database: Settings,
) -> None:
    airflow = Airflow(failed(map_index=2, rendered_map_index="mart_a"))
    assert [one.key for one in report_silent_failures(airflow, database.dsn("ops"), now=NOW)] == [
        "failed: refresh_views.refresh[mart_a]"
    ]


@pytest.mark.parametrize(
    "alert",
    [
        Alert("critical", "refresh_views.refresh", "refresh failed: it said so itself", ""),
        Alert("critical", "refresh_views", "", "", key="failed: refresh_views", run_id=failed()["dag_run_id"]),
    ],
)
def test_a_reported_failure_is_not_reported_again(database: Settings, alert: Alert) -> None:
    raise_alert(database.dsn("ops"), alert)
    airflow = Airflow(failed(start_date=(NOW - timedelta(minutes=1)).isoformat()))
    assert report_silent_failures(airflow, database.dsn("ops"), now=NOW) == []


def test_another_alert_about_the_run_does_not_cover_the_task(database: Settings) -> None:
    late = Alert("warning", "refresh_views", "A run missed its deadline", "", run_id=failed()["dag_run_id"])
    raise_alert(database.dsn("ops"), late)
    assert len(report_silent_failures(Airflow(failed()), database.dsn("ops"), now=NOW)) == 1


def test_a_task_that_may_still_report_itself_is_given_time(database: Settings) -> None:
    airflow = Airflow(failed(ago=GRACE - timedelta(seconds=1)), failed(ago=timedelta(minutes=16)))
    assert report_silent_failures(airflow, database.dsn("ops"), now=NOW) == []


def test_a_task_that_never_started_is_reported(database: Settings) -> None:
    assert len(report_silent_failures(Airflow(failed(start_date=None)), database.dsn("ops"), now=NOW)) == 1
