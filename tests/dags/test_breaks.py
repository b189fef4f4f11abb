"""Break the data on purpose: the next run finds each kind of break, reports it once, and later reports its end."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.airflow.tasks import views
from include.errors import PlatformError
from include.quality.suites import SUITES_DIR
from include.retraction import Selection, retract
from include.settings import Settings
from tests.programs.breaks.feeds import broken
from tests.programs.breaks.instance import Breakage
from tests.programs.breaks.kinds import (
    KINDS,
    MENDED_DRIFT,
    MID_REFRESH,
    RENAMED_SUITE,
    RETRACTED_FILE,
    STALE_VIEW,
    Kind,
)
from tests.support.playground import (
    DAY_ROWS,
    deliver,
    last_published,
    load,
    load_days_before,
    load_good,
    load_hours,
    look,
    open_alerts,
    pass_time,
    query,
    refresh,
    sweep,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def playground(airflow: Settings) -> Settings:
    """Return an instance with hours of good events, which were checked and published once."""
    load_hours(airflow)
    look(airflow)
    assert open_alerts(airflow) == {}
    return airflow


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """Return a copy of the suites, so that a test can rename one."""
    return Path(shutil.copytree(SUITES_DIR, tmp_path / "expectations"))


def break_data(playground: Settings, breakage: Breakage, kind: Kind, suites: Path) -> None:
    """Break the data; for one kind of break, while a refresh runs."""
    if kind.name != MID_REFRESH:
        breakage.damage(kind.name)
        return
    before = query(playground, "SELECT max(batch_id) FROM shop.batches")
    damage = threading.Thread(target=breakage.damage, args=(kind.name,))
    damage.start()
    record = playground.root / "broken.json"
    wait_until(record.exists, seconds=60, what="the damage to wait for a refresh")
    refresh(playground, suites)
    damage.join(60)
    # The batch is not published, whether or not the gate saw it.
    assert query(playground, "SELECT max(batch_id) FROM shop.batches") > before
    newest = "SELECT DISTINCT max(last_batch_id) FROM shop.refreshes WHERE published_at IS NOT NULL GROUP BY view_name"
    assert query(playground, newest) == before


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_each_kind_of_break_is_found_reported_once_and_resolved(playground: Settings, suites: Path, kind: Kind) -> None:
    breakage = Breakage(playground, deliver, suites)
    break_data(playground, breakage, kind, suites)
    before = last_published(playground)

    failures = look(playground, suites)
    key = f"quality/{kind.suite}/{kind.check}"
    severity, occurrences = open_alerts(playground)[key]
    after = last_published(playground)
    reasons = dict(
        query(playground, "SELECT DISTINCT view_name, held_because FROM shop.refreshes WHERE held_because > ''")
    )
    if kind.is_blocking:
        assert severity == "critical"
        assert failures[0].startswith("build_and_audit: Nothing is published")
        assert kind.check in failures[0]
        assert after == before, "readers keep the previous rows"
        assert set(reasons) == set(views.list_views())
        assert all(kind.check in reason for reason in reasons.values())
    else:
        assert severity == "warning"
        assert reasons == {}
        published = {name for name in after if after[name] > before[name]}
        assert published == set(views.list_views()) - ({STALE_VIEW} if kind.name == "stale-view" else set())

    if kind.is_blocking:
        # These checks fail again, even if many good events follow the bad ones.
        load_good(playground, 2500)
    look(playground, suites)
    assert open_alerts(playground)[key][1] > occurrences
    assert query(playground, "SELECT count(*) FROM shop.alerts WHERE key = %s", key) == [(1,)], "reported once"

    breakage.repair()
    load_good(playground, 60)
    assert look(playground, suites) == []
    if kind.name == "volume-drop":
        # The repair removed the days that the check compares with. A check that is not judged does not end an alert.
        assert set(open_alerts(playground)) == {key}
        load_days_before(playground)
        assert look(playground, suites) == []
    assert open_alerts(playground) == {}
    ((resolution,),) = query(playground, "SELECT resolution FROM shop.alerts WHERE key = %s", key)
    assert resolution == "recovered"
    assert all(last_published(playground)[name] > after[name] for name in views.list_views())
    good_events = 6660 + (2500 if kind.is_blocking else 0) + (2 * DAY_ROWS if kind.name == "volume-drop" else 0)
    assert bool(failures) == kind.fails
    assert query(playground, "SELECT count(*), count(DISTINCT event_id) FROM shop.events") == [
        (good_events, good_events)
    ]


def test_only_a_playground_can_be_broken(playground: Settings) -> None:
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


def test_an_instance_without_events_cannot_be_broken(airflow: Settings) -> None:
    with pytest.raises(PlatformError, match="only 0 events are older than ten minutes"):
        Breakage(airflow, deliver).damage("doubled-price")
    assert not (airflow.root / "broken.json").exists()


def test_views_stay_held_back_while_no_events_arrive(airflow: Settings) -> None:
    """Double the prices in the evening, and then deliver nothing for hours."""
    load_hours(airflow)
    look(airflow)
    Breakage(airflow, deliver).damage("quiet-night")
    before = last_published(airflow)
    for hours in (0.0, 2.0, 6.0):
        pass_time(airflow, hours)
        assert [failure for failure in look(airflow) if "price_level_is_usual" in failure], f"after {hours} hours"
    assert last_published(airflow) == before


def test_prices_that_stay_doubled_do_not_become_usual(airflow: Settings) -> None:
    """Sell most units at the doubled price: the rows under test must not define the usual price."""
    load_hours(airflow)
    look(airflow)
    now = datetime.now(UTC)
    sold = {"event_type": "purchase", "order_id": "O1", "quantity": "1", "payment_method": "card"}
    load(airflow, [{**row, **sold} for row in broken("doubled-price", now, 0)], ingested_at=now)
    assert refresh(airflow)[0].startswith("build_and_audit: Nothing is published")
    assert open_alerts(airflow)["quality/events/price_level_is_usual"][0] == "critical"


def test_a_sweep_does_not_publish_views_that_are_held_back(airflow: Settings) -> None:
    """Repair the feed in the evening: the nightly sweep cannot judge the drift, so the views stay held back."""
    load_hours(airflow)
    look(airflow)
    Breakage(airflow, deliver).damage(MENDED_DRIFT)
    before = last_published(airflow)
    assert look(airflow)[0].startswith("build_and_audit: Nothing is published")
    pass_time(airflow, 3)
    sweep(airflow)
    pass_time(airflow, 0.25)
    load_good(airflow, 600)
    assert [failure for failure in look(airflow) if "price_level_is_usual" in failure]
    assert last_published(airflow) == before


def figures(settings: Settings) -> dict[str, list[str]]:
    """Return the rows of every view, as readers see them."""
    return {
        name: [row for (row,) in query(settings, f"SELECT published::text FROM shop.{name} AS published ORDER BY 1")]
        for name in views.list_views()
    }


def test_a_retraction_restores_the_previous_figures(playground: Settings) -> None:
    """Retract the file as ``make retract`` does, before any other file arrives."""
    key = "quality/events/price_level_is_usual"
    before = figures(playground)
    Breakage(playground, deliver).damage(RETRACTED_FILE)
    assert look(playground)[0].startswith("build_and_audit: Nothing is published")
    assert open_alerts(playground)[key][0] == "critical"
    assert figures(playground) == before, "readers keep the previous rows"

    retract(playground.dsn("owner"), Selection(name="break-retracted-file-*.csv"), by="ada", reason="doubled prices")
    published = last_published(playground)
    assert look(playground) == []
    assert all(last_published(playground)[name] > published[name] for name in views.list_views())
    assert open_alerts(playground) == {}
    # The check may or may not have enough good rows left for a result.
    ((resolution,),) = query(playground, "SELECT resolution FROM shop.alerts WHERE key = %s", key)
    assert resolution in ("recovered", "the failing rows were retracted")
    assert figures(playground) == before


def test_the_failure_names_a_renamed_suite_and_its_correct_name(playground: Settings, suites: Path) -> None:
    breakage = Breakage(playground, deliver, suites)
    breakage.damage(RENAMED_SUITE)
    (failure,) = refresh(playground, suites)
    assert failure.endswith(f"{suites}/events.yaml:1: the name of a suite ends in .yml; rename it to events.yml)")
