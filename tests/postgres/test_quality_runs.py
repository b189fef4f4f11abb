"""Runs of suites: their verdicts, what each looks at, what they mean for the alerts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.db import connect, transaction
from include.db.refresh import build_candidate, refresh_view
from include.db.views import view_names
from include.quality.alerting import report
from include.quality.model import Scope
from include.quality.publication import Audit, Auditor
from include.quality.results import SuiteOutcome
from include.quality.run import ADVISORY_LOCK, catch_up, run_draft
from include.quality.suites import read_drafts
from include.settings import Settings
from tests.support.rows import load_batch, make_event
from tests.support.waiting import wait_until

VIEW = "mart_daily_kpis"
WINDOWED = """\
table: shop.events
owner: feeds
window: {column: ingested_at, first: 1 hour, longest: 1 day}
checks:
  - {expect: expect_column_values_to_be_in_set, column: currency, value_set: [EUR], severity: SEVERITY}
  - {name: rows, expect: expect_table_row_count_to_be_between, min_value: 0, severity: info}
"""


def write(directory: Path, text: str, name: str = "tried") -> Path:
    (directory / f"{name}.yml").write_text(text, encoding="utf-8")
    return directory


def run(database: Settings, directory: Path, scope: Scope = "window") -> SuiteOutcome:
    (draft,) = read_drafts(directory)
    return run_draft(
        draft, read_dsn=database.dsn("quality"), write_dsn=database.dsn("ops"), run_id="run-1", scope=scope
    )


def query(database: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def load(database: Settings, age: timedelta, currency: str = "EUR", events: int = 10) -> None:
    moment = datetime.now(UTC) - age
    rows = [make_event(event_time=moment, currency=currency) for _ in range(events)]
    load_batch(database.dsn("owner"), rows, ingested_at=moment)


def seen(outcome: SuiteOutcome) -> str | None:
    """How many rows it looked at."""
    return next(one.observed for one in outcome.results if one.check.name == "rows")


def move_back(database: Settings, minutes: float) -> None:
    """As if the runs so far had been earlier."""
    query(
        database,
        "UPDATE shop.quality_runs SET window_to = window_to - make_interval(mins => %s),"
        " finished_at = finished_at - make_interval(mins => %s)",
        minutes,
        minutes,
    )


def test_a_run_is_a_row_with_its_verdict(database: Settings, tmp_path: Path) -> None:
    load(database, timedelta(minutes=1))
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    assert run(database, tmp_path).verdict == "passed"
    load(database, timedelta(minutes=1), "GBP")
    assert run(database, tmp_path).verdict == "failed"
    write(tmp_path, WINDOWED.replace("SEVERITY", "warning"))
    assert run(database, tmp_path).verdict == "warned"
    write(tmp_path, WINDOWED.replace("SEVERITY", "info"))
    assert run(database, tmp_path).verdict == "passed"
    write(tmp_path, WINDOWED.replace("SEVERITY", "sever"))
    broken = run(database, tmp_path)
    assert broken.verdict == "broken"
    assert "tried.yml:5: severity sever does not exist" in str(broken.error)
    assert query(
        database,
        "SELECT run_id, suite, table_name, owner, scope, verdict, checks, critical_failures, warnings, error IS NULL"
        " FROM shop.quality_runs ORDER BY quality_run_id",
    ) == [
        ("run-1", "tried", "shop.events", "feeds", "window", "passed", 2, 0, 0, True),
        ("run-1", "tried", "shop.events", "feeds", "window", "failed", 2, 1, 0, True),
        ("run-1", "tried", "shop.events", "feeds", "window", "warned", 2, 0, 1, True),
        ("run-1", "tried", "shop.events", "feeds", "window", "passed", 2, 0, 0, True),
        ("run-1", "tried", "shop.events", "feeds", "window", "broken", 1, 1, 0, False),
    ]
    assert query(
        database, "SELECT count(*) FROM shop.quality_results JOIN shop.quality_runs USING (quality_run_id)"
    ) == [(9,)]


def test_a_suite_looks_at_what_came_since_its_last_good_check(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for minutes in (30, 90):
        load(database, timedelta(minutes=minutes))
    assert seen(run(database, tmp_path)) == "10", "the first one looks back for an hour"
    assert seen(run(database, tmp_path)) == "0", "then nothing came"
    load(database, timedelta(minutes=2))
    assert seen(run(database, tmp_path)) == "10", "a batch that was under way then is older than the check"
    move_back(database, 20)
    load(database, timedelta(minutes=1), "GBP")
    assert (run(database, tmp_path).verdict, seen(run(database, tmp_path))) == ("failed", "20")
    move_back(database, 20)
    assert seen(run(database, tmp_path)) == "30", "a failed check does not count: what is bad stays in sight"
    move_back(database, 3 * 1440)
    load(database, timedelta(hours=25))
    assert seen(run(database, tmp_path)) == "40", "but no further back than a day"


@pytest.fixture
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.quality.run.MOST_NEW_ROWS", 15)
    # What is looked at twice does not count here.
    monkeypatch.setattr("include.quality.run.OVERLAP_SECONDS", 0)


@pytest.mark.usefixtures("few_rows_at_once")
def test_very_much_is_looked_at_in_parts(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for minutes in (50, 40, 30, 20):
        load(database, timedelta(minutes=minutes))
    first, second = catch_up(lambda: run(database, tmp_path))
    assert (seen(first), first.is_behind) == ("20", True)
    assert (seen(second), second.is_behind) == ("20", False), "nothing comes after that"
    assert first.window is not None
    assert second.window is not None
    assert first.window[1] == second.window[0]
    assert "of what came until" in first.summary()
    assert "of what came until" not in second.summary()
    assert seen(run(database, tmp_path, "full")) == "40"


def test_of_very_much_only_what_was_under_way_is_looked_at_twice(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for seconds in (200, 150, 100):
        load(database, timedelta(seconds=seconds))
    assert [seen(run(database, tmp_path)) for _ in range(2)] == ["30", "30"]
    monkeypatch.setattr("include.quality.run.MOST_NEW_ROWS", 15)
    assert seen(run(database, tmp_path)) == "0"
    load(database, timedelta(seconds=5))
    assert seen(run(database, tmp_path)) == "10", "it began before the last check, and was stored after it"


@pytest.mark.usefixtures("few_rows_at_once")
def test_what_is_bad_stays_in_sight_and_costs_the_same_whatever_comes(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    load(database, timedelta(minutes=50), "GBP")
    for minutes in (40, 30):
        load(database, timedelta(minutes=minutes))
    for _ in range(2):
        assert [(one.verdict, seen(one)) for one in catch_up(lambda: run(database, tmp_path))] == [("failed", "20")]
        load(database, timedelta(minutes=20))
    query(database, "UPDATE shop.events SET currency = 'EUR'")
    assert [seen(one) for one in catch_up(lambda: run(database, tmp_path))] == ["20", "20", "10"]


def begin_to_look(connection: Any) -> None:
    """As a run of the suite ``tried`` does that looks at what is new."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext('tried'))", (ADVISORY_LOCK,))


@pytest.mark.usefixtures("few_rows_at_once")
def test_of_two_at_a_time_the_second_does_not_look_again(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    load(database, timedelta(minutes=30))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor() as pool, closing(connect(database.dsn("ops"), autocommit=True)) as somebody:
        begin_to_look(somebody)
        runs = [pool.submit(run, database, tmp_path) for _ in range(2)]
        wait_until(lambda: query(database, waiting) == [(2,)], seconds=30, what="both to wait")
        somebody.close()
    assert {seen(one.result()) for one in runs} == {"10", "0"}


@pytest.mark.usefixtures("few_rows_at_once")
def test_nothing_is_published_that_was_not_looked_at(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = WINDOWED.replace("SEVERITY", "critical").replace("owner: feeds", "holds_publication: true")
    write(tmp_path, gate)
    for minutes in (50, 40, 30):
        load(database, timedelta(minutes=minutes))
    monkeypatch.setattr("include.quality.run.CATCH_UP_SECONDS", 0)
    assert audit(database, tmp_path).gate == ["tried: not all that is new has been checked"]
    assert audit(database, tmp_path).gate == []


def test_a_sweep_looks_at_everything(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for hours in (1, 50):
        load(database, timedelta(hours=hours))
    with closing(connect(database.dsn("ops"), autocommit=True)) as somebody:
        begin_to_look(somebody)
        assert seen(run(database, tmp_path, "full")) == "20", "and waits for nobody"
    assert query(database, "SELECT scope, window_from, window_to IS NULL FROM shop.quality_runs") == [
        ("full", None, False)
    ]


def test_when_a_check_is_made(database: Settings, tmp_path: Path) -> None:
    always, published, nightly = "{name: a", "{when: published, name: b", "{when: nightly, name: c"
    rest = ", expect: expect_table_row_count_to_be_between, min_value: 0, severity: info}\n"
    checks = "".join(f"  - {one}{rest}" for one in (always, published, nightly))
    write(tmp_path, f"table: shop.{VIEW}\nchecks:\n{checks}")
    build_candidate(database.dsn("ops"), VIEW)

    def made(scope: Scope) -> list[str]:
        return [one.check.name for one in run(database, tmp_path, scope).results]

    assert made("candidate") == ["a"]
    assert made("full") == ["a", "b", "c"]
    write(
        tmp_path,
        f"table: shop.batches\nwindow: {{column: committed_at, first: 1 hour, longest: 1 day}}\nchecks:\n{checks}",
    )
    assert made("window") == ["a", "b"]


NEEDY = """\
table: shop.events
checks:
  - name: compares
    expect: unexpected_rows_expectation
    needs: {query: "SELECT FROM {batch} HAVING count(*) > 15", otherwise: fewer than 16 events}
    unexpected_rows_query: SELECT event_id FROM {batch} WHERE currency = 'GBP'
    severity: critical
"""


def test_too_little_to_compare_with_is_said(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, NEEDY)
    load(database, timedelta(minutes=1), "GBP")
    outcome = run(database, tmp_path)
    assert outcome.verdict == "passed"
    assert "compares: not judged: fewer than 16 events" in outcome.summary()
    assert query(database, "SELECT is_judged, observed FROM shop.quality_results") == [
        (False, "not judged: fewer than 16 events")
    ]
    assert query(database, "SELECT not_judged FROM shop.quality_runs") == [(1,)]
    load(database, timedelta(minutes=1))
    assert run(database, tmp_path).verdict == "failed"
    write(tmp_path, NEEDY.replace("FROM {batch} HAVING", "FROM {batch} HAVIN"))
    broken = run(database, tmp_path)
    assert broken.verdict == "broken"
    assert "tried.yml:3: needs: " in str(broken.results[0].error)


@pytest.mark.parametrize(
    ("columns", "observed"),
    [
        ("{file_id: bigint, code: text}", "code is missing; name is not declared"),
        ("{file_id: int, name: text}", "file_id is bigint, not int"),
        ("{file_id: int8, name: text}", None),
    ],
)
def test_columns_must_be_those_that_are_declared(
    database: Settings, tmp_path: Path, columns: str, observed: str | None
) -> None:
    query(database, "CREATE TABLE shop.things (file_id bigint, name text)")
    query(database, "GRANT SELECT ON shop.things TO shop_quality")
    check = "{expect: expect_column_values_to_not_be_null, column: file_id, severity: info}"
    write(tmp_path, f"table: shop.things\ncolumns: {columns}\nchecks:\n  - {check}\n")
    result = run(database, tmp_path).results[0]
    assert result.check.name == "columns_are_as_declared"
    assert (None if result.is_success else result.observed) == observed


def alerts(database: Settings) -> list[tuple[Any, ...]]:
    return query(database, "SELECT key, severity, owner, occurrences, resolution FROM shop.alerts ORDER BY alert_id")


def tell(database: Settings, outcome: SuiteOutcome) -> None:
    report(outcome, database.dsn("ops"), source="test", views=[f"shop.{VIEW}"])


def test_a_check_has_one_alert_for_as_long_as_it_fails(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "warning"))
    load(database, timedelta(minutes=1), "GBP")
    for _ in range(2):
        tell(database, run(database, tmp_path))
    key = "quality/tried/expect_column_values_to_be_in_set:currency"
    assert alerts(database) == [(key, "warning", "feeds", 2, None)]
    write(tmp_path, "table: shop.events\nchecks: nothing\n")
    tell(database, run(database, tmp_path))
    assert alerts(database)[0][-1] is None, "who cannot look does not say that it is over"
    assert alerts(database)[1][:2] == ("quality/tried/suite_runs", "critical")
    query(database, "UPDATE shop.events SET currency = 'EUR'")
    write(tmp_path, WINDOWED.replace("SEVERITY", "warning"))
    tell(database, run(database, tmp_path))
    assert [resolution for *_, resolution in alerts(database)] == ["recovered", "recovered"]


def test_an_alert_of_a_candidate_does_not_end_because_readers_have_good_rows(
    database: Settings, tmp_path: Path
) -> None:
    write(tmp_path, f"table: shop.{VIEW}\nchecks:\n  - {{name: few, expect: expect_table_row_count_to_be_between,"
          " max_value: 0, severity: critical}\n")  # fmt: skip
    load(database, timedelta(minutes=1))
    build_candidate(database.dsn("ops"), VIEW)
    tell(database, run(database, tmp_path, "candidate"))
    tell(database, run(database, tmp_path, "full"))
    assert alerts(database) == [("quality/tried/few", "critical", "shopstream", 1, None)]
    query(database, "TRUNCATE shop.rollup_minute")
    build_candidate(database.dsn("ops"), VIEW)
    tell(database, run(database, tmp_path, "candidate"))
    assert alerts(database)[0][-1] == "recovered"


def audit(database: Settings, directory: Path, before_step: Callable[[], object] = lambda: None) -> Audit:
    return Auditor(
        directory,
        read_dsn=database.dsn("quality"),
        write_dsn=database.dsn("ops"),
        run_id="run-1",
        timeout_seconds=60,
        on_outcome=lambda outcome: None,
        before_step=before_step,
    ).audit()


FEW = "table: shop.{table}\n{gate}checks:\n  - {{name: few, expect: expect_table_row_count_to_be_between, max_value: 0, severity: {severity}}}\n"  # noqa: E501


def test_a_view_is_held_by_its_own_critical_checks_alone(database: Settings, tmp_path: Path) -> None:
    load(database, timedelta(minutes=1))
    write(tmp_path, FEW.format(table=VIEW, gate="", severity="critical"), "a")
    write(tmp_path, FEW.format(table="mart_revenue_hourly", gate="", severity="warning"), "b")
    found = audit(database, tmp_path)
    assert found.held == {VIEW: "a: few"}
    assert len(found.ready) == len(view_names()) - 1
    assert (found.unbuilt, found.gate) == ({}, [])
    held = "SELECT view_name, held_because FROM shop.refreshes WHERE held_because IS NOT NULL"
    assert query(database, held) == [(VIEW, "a: few")]


def test_a_gate_holds_every_view(database: Settings, tmp_path: Path) -> None:
    load(database, timedelta(minutes=1))
    write(tmp_path, FEW.format(table="events", gate="holds_publication: true\n", severity="critical"), "gate")
    found = audit(database, tmp_path)
    assert (found.ready, found.gate) == ({}, ["gate: few"])
    held = "SELECT count(*), min(held_because), max(held_because) FROM shop.refreshes WHERE held_because IS NOT NULL"
    assert query(database, held) == [(len(view_names()), "gate: few", "gate: few")]


def test_the_stream_is_asked_for_before_each_suite_and_each_view(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, FEW.format(table="alerts", gate="holds_publication: true\n", severity="critical"), "gate")
    write(tmp_path, FEW.format(table=VIEW, gate="", severity="critical"), "a")
    done: list[tuple[int, int]] = []

    def look() -> None:
        counts = "SELECT (SELECT count(*) FROM shop.quality_runs), (SELECT count(*) FROM shop.refreshes)"
        done.extend(query(database, counts))

    audit(database, tmp_path, before_step=look)
    (_, before), place = done[0], view_names().index(VIEW)
    built = [(runs, refreshes - before) for runs, refreshes in done]
    of_the_view_and_earlier = [(1, number) for number in range(place + 1)]
    later = [(2, number) for number in range(place + 1, len(view_names()))]
    assert built == [(0, 0), *of_the_view_and_earlier, (1, place + 1), *later]


def test_a_suite_that_cannot_be_used_vouches_for_nothing(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, FEW.format(table=VIEW, gate="", severity="sever"), "a")
    assert audit(database, tmp_path).held == {VIEW: "a: suite_runs"}
    write(tmp_path, "table: [shop", "a")
    assert audit(database, tmp_path).gate == ["a: suite_runs"]


def test_a_view_that_cannot_be_built_hinders_no_other(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, FEW.format(table="alerts", gate="", severity="info"), "a")
    query(database, f"REVOKE INSERT ON shop_next.{VIEW} FROM shop_ops")
    found = audit(database, tmp_path)
    assert list(found.unbuilt) == [VIEW]
    assert "permission denied" in found.unbuilt[VIEW]
    assert len(found.ready) == len(view_names()) - 1
    query(database, f"GRANT INSERT ON shop_next.{VIEW} TO shop_ops")
    assert refresh_view(database.dsn("ops"), VIEW).row_count == 0
