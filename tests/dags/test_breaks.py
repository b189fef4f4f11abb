"""The data broken on purpose: each kind is found by its check in one run, told once, and its end is told too."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.tasks import quality, views
from include.db import transaction
from include.errors import PlatformError
from include.settings import Settings
from tests.breaks.feeds import Row, ordinary
from tests.breaks.instance import Breakage
from tests.breaks.kinds import KINDS, STALE_VIEW, Kind
from tests.support.rows import load_batch

pytestmark = pytest.mark.timeout(600)

TI = SimpleNamespace(dag_id="refresh_views", task_id="build_and_audit", run_id="run-1", log_url="http://ui/log")


def query(settings: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def load(settings: Settings, rows: Sequence[Row], *, ingested_at: datetime, name: str | None = None) -> None:
    """What the stream would do with a file of these rows."""
    events = [
        {key: value or None for key, value in row.items()} | {"event_time": datetime.fromisoformat(row["event_time"])}
        for row in rows
    ]
    load_batch(settings.dsn("owner"), events, ingested_at=ingested_at, name=name)


def load_good(settings: Settings, rows: int) -> None:
    """The feed goes on."""
    now = datetime.now(UTC)
    load(settings, list(ordinary(now - timedelta(minutes=1), rows, timedelta(minutes=1))), ingested_at=now)


def deliver(settings: Settings, paths: Sequence[Path]) -> None:
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            load(settings, list(csv.DictReader(file)), ingested_at=datetime.now(UTC), name=path.name)


@pytest.fixture
def playground(airflow: Settings) -> Settings:
    """Hours of good events, looked at once and published."""
    now = datetime.now(UTC)
    for age, rows in ((timedelta(hours=3), 6000), (timedelta(minutes=17), 600)):
        name = f"events-20260101T000000000Z-1-{rows:06d}.csv"
        span = timedelta(minutes=60 if rows > 1000 else 15)
        load(airflow, list(ordinary(now - age, rows, span)), ingested_at=now - age + span, name=name)
    look(airflow)
    assert open_alerts(airflow) == {}
    return airflow


def look(settings: Settings) -> list[str]:
    """One run of each DAG that looks; returns what failed."""
    failures = []
    try:
        views.advance(timeout_seconds=60)
        audited = views.build_and_audit(timeout_seconds=60, ti=TI)
        for view_name in views.list_views():
            try:
                views.publish(view_name, audited, timeout_seconds=60)
            except AirflowFailException as failure:
                failures.append(f"publish {view_name}: {failure}")
    except AirflowFailException as failure:
        failures.append(f"build_and_audit: {failure}")
    with suppress(AirflowFailException):
        quality.check_suites(ti=TI)
        return failures
    return [*failures, "check_suites"]


def open_alerts(settings: Settings) -> dict[str, tuple[str, int]]:
    rows = query(settings, "SELECT key, severity, occurrences FROM shop.alerts WHERE resolved_at IS NULL")
    return {key: (severity, occurrences) for key, severity, occurrences in rows}


def last_published(settings: Settings) -> dict[str, datetime]:
    return dict(
        query(
            settings,
            "SELECT view_name, max(published_at) FROM shop.refreshes WHERE published_at IS NOT NULL GROUP BY view_name",
        )
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_each_kind_is_caught_told_once_and_recovers(playground: Settings, kind: Kind) -> None:
    breakage = Breakage(playground, deliver)
    before = last_published(playground)
    breakage.damage(kind.name)

    failures = look(playground)
    key = f"quality/{kind.suite}/{kind.check}"
    severity, occurrences = open_alerts(playground)[key]
    after = last_published(playground)
    held = dict(
        query(playground, "SELECT DISTINCT view_name, held_because FROM shop.refreshes WHERE held_because > ''")
    )
    if kind.is_blocking:
        assert severity == "critical"
        assert failures[0].startswith("build_and_audit: Nothing is published")
        assert kind.check in failures[0]
        assert after == before, "readers keep the rows of before"
        assert set(held) == set(views.list_views())
        assert all(kind.check in because for because in held.values())
    else:
        assert severity == "warning"
        assert held == {}
        fresh = {name for name in after if after[name] > before[name]}
        assert fresh == set(views.list_views()) - ({STALE_VIEW} if kind.name == "stale-view" else set())

    if kind.is_blocking:
        # Good events that come after the bad ones do not make these good.
        load_good(playground, 2500)
    look(playground)
    assert open_alerts(playground)[key][1] > occurrences
    assert query(playground, "SELECT count(*) FROM shop.alerts WHERE key = %s", key) == [(1,)], "told once"

    breakage.repair()
    load_good(playground, 60)
    assert look(playground) == []
    assert open_alerts(playground) == {}
    ((resolution,),) = query(playground, "SELECT resolution FROM shop.alerts WHERE key = %s", key)
    # Without the days that came with the damage there is nothing left to compare with.
    assert resolution == ("not judged any more" if kind.name == "volume-drop" else "recovered")
    assert all(last_published(playground)[name] > after[name] for name in views.list_views())
    good = 6660 + (2500 if kind.is_blocking else 0)
    assert query(playground, "SELECT count(*), count(DISTINCT event_id) FROM shop.events") == [(good, good)]


def test_only_a_playground_is_broken(playground: Settings) -> None:
    breakage = Breakage(playground, deliver)
    with pytest.raises(PlatformError, match=r"the database is at .*, not below"):
        breakage.refuse_what_is_not_a_playground()
    breakage.refuse_data_of_others()
    with pytest.raises(PlatformError, match="nothing is broken at"):
        breakage.repair()
    breakage.damage("stale-view")
    with pytest.raises(PlatformError, match=r"broken already \(stale-view\)"):
        breakage.refuse_data_of_others()
    breakage.repair()
    query(playground, "UPDATE shop.files SET name = 'orders.csv' WHERE file_id = 1 RETURNING 1")
    with pytest.raises(PlatformError, match=r"files that the generator did not make: orders\.csv"):
        breakage.refuse_data_of_others()


def test_an_empty_instance_has_nothing_to_break(airflow: Settings) -> None:
    with pytest.raises(PlatformError, match="only 0 events are older than ten minutes"):
        Breakage(airflow, deliver).damage("doubled-price")
    assert not (airflow.root / "broken.json").exists()
