"""Test the state of a whole run of ``refresh_views`` for each kind of break."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from include.airflow.tasks import views
from include.quality.overrides import grant
from include.settings import REPOSITORY, Settings
from tests.programs.breaks.instance import Breakage
from tests.programs.breaks.kinds import KINDS, MID_REFRESH, RENAMED_SUITE, STALE_VIEW, Kind
from tests.support.airflow import DagTest
from tests.support.playground import deliver, last_published, load_hours, open_alerts, query, refresh
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

TIMEOUT_SECONDS = 240


@pytest.fixture
def playground(airflow: Settings) -> Settings:
    """Return an instance with hours of good events, which are published."""
    load_hours(airflow)
    assert refresh(airflow) == []
    return airflow


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout, so that a test can rename a suite."""
    for name in ("dags", "expectations", "include"):
        shutil.copytree(REPOSITORY / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "checkout"


@pytest.fixture
def run(playground: Settings, checkout: Path, metadata: Path, tmp_path: Path) -> Any:
    """Yield a function that starts runs of ``refresh_views`` from the copy of the checkout."""
    runs: list[DagTest] = []

    def start() -> DagTest:
        variables = {"PYTHONPATH": str(checkout), "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags")}
        home = tmp_path / f"home-{len(runs)}"
        runs.append(DagTest(playground, "refresh_views", None, metadata=metadata, home=home, variables=variables))
        return runs[-1]

    yield start
    for started in runs:
        started.stop()


def critical_alerts(playground: Settings) -> set[str]:
    return {key for key, (severity, _) in open_alerts(playground).items() if severity == "critical"}


def assets(run: DagTest) -> set[str]:
    """Return the assets for which the run has created an event."""
    with closing(sqlite3.connect(run.metadata)) as connection:
        events = "SELECT asset.name FROM asset_event JOIN asset ON asset.id = asset_event.asset_id"
        return {name for (name,) in connection.execute(events)}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_run_fails_when_a_view_is_held_back_or_failed(
    playground: Settings, checkout: Path, run: Any, kind: Kind
) -> None:
    breakage = Breakage(playground, deliver, checkout / "expectations")
    if kind.name == MID_REFRESH:
        damage = threading.Thread(target=breakage.damage, args=(kind.name,))
        damage.start()
        wait_until((playground.root / "broken.json").exists, seconds=60, what="the damage to wait for a refresh")
        # This run may succeed or fail: timing decides whether its gate sees the new rows.
        run().end(seconds=TIMEOUT_SECONDS)
        damage.join(60)
    else:
        breakage.damage(kind.name)
    before = last_published(playground)
    broken = run()
    log = broken.fail(seconds=TIMEOUT_SECONDS) if kind.fails else broken.succeed(seconds=TIMEOUT_SECONDS)
    published = {name for name, moment in last_published(playground).items() if moment > before[name]}
    if kind.is_blocking:
        assert published == set()
        assert critical_alerts(playground) == {f"quality/{kind.suite}/{kind.check}"}, "one cause raises one alert"
        assert f"{kind.suite}: {kind.check}" in log
    elif kind.name == "stale-view":
        assert published == set(views.list_views()) - {STALE_VIEW}
        (failed,) = {key for key in critical_alerts(playground) if "publish" in key}
        assert failed.startswith("failed: refresh_views.publish[")
    else:
        assert published == set(views.list_views())
        assert critical_alerts(playground) == set()
    assert "Callback failed" not in log


def test_the_run_after_the_repair_succeeds(playground: Settings, run: Any) -> None:
    breakage = Breakage(playground, deliver)
    breakage.damage("doubled-price")
    run().fail(seconds=TIMEOUT_SECONDS)
    breakage.repair()
    repaired = run()
    repaired.succeed(seconds=TIMEOUT_SECONDS)
    assert critical_alerts(playground) == set()
    assert assets(repaired) == set(views.list_views()), "each publication is an event of the view's asset"


def test_the_run_succeeds_when_a_user_overrides_the_checks(playground: Settings, run: Any) -> None:
    Breakage(playground, deliver).damage("doubled-price")
    run().fail(seconds=TIMEOUT_SECONDS)
    before = last_published(playground)
    grant(playground.dsn("ops"), None, by="otto", reason="prices have doubled, I asked the shop")
    log = run().succeed(seconds=TIMEOUT_SECONDS)
    decision = "otto decided so (prices have doubled, I asked the shop), despite events: "
    assert f"is published despite failed checks: {decision}" in log
    assert all(moment > before[name] for name, moment in last_published(playground).items())
    run().fail(seconds=TIMEOUT_SECONDS)


def test_a_view_that_stays_held_back_raises_no_second_alert(playground: Settings, checkout: Path, run: Any) -> None:
    Breakage(playground, deliver, checkout / "expectations").damage(RENAMED_SUITE)
    query(playground, "UPDATE shop.refreshes SET finished_at = finished_at - interval '1 hour' RETURNING 1")
    log = run().fail(seconds=TIMEOUT_SECONDS)
    assert f"{len(views.list_views())} views are stale" in log
    assert critical_alerts(playground) == {"quality/events/suite_runs"}
