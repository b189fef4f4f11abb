"""Tests of suite runs: their verdicts, the rows that they check, and their effect on alerts."""

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
from include.quality.alerting import end_alerts_of_gone_suites, report
from include.quality.model import Scope
from include.quality.publication import Audit, Auditor
from include.quality.required import GATES
from include.quality.results import SuiteOutcome
from include.quality.run import ADVISORY_LOCK, catch_up, run_draft
from include.quality.suites import read_drafts
from include.retraction import Selection, retract
from include.settings import Settings
from tests.support.rows import load_batch, make_event
from tests.support.suites import fill_up
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
    """Return the number of rows that the run checked."""
    return next(one.observed for one in outcome.results if one.check.name == "rows")


def move_back(database: Settings, minutes: float) -> None:
    """Move the runs so far into the past."""
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


def test_a_suite_checks_the_rows_since_its_last_good_check(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for minutes in (30, 90):
        load(database, timedelta(minutes=minutes))
    assert seen(run(database, tmp_path)) == "10", "the first run looks back for an hour"
    assert seen(run(database, tmp_path)) == "0", "no rows have come since"
    load(database, timedelta(minutes=2))
    assert seen(run(database, tmp_path)) == "10", "a batch that was in flight then is older than the check"
    move_back(database, 20)
    load(database, timedelta(minutes=1), "GBP")
    assert (run(database, tmp_path).verdict, seen(run(database, tmp_path))) == ("failed", "20")
    move_back(database, 20)
    assert seen(run(database, tmp_path)) == "30", "a failed check does not move the window, so bad rows stay in it"
    move_back(database, 3 * 1440)
    load(database, timedelta(hours=25))
    assert seen(run(database, tmp_path)) == "50", "bad rows stay in the window for any length of time"


@pytest.fixture
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.quality.run.MOST_NEW_ROWS", 15)
    # Rows that are checked twice do not matter here.
    monkeypatch.setattr("include.quality.run.OVERLAP_SECONDS", 0)


@pytest.mark.usefixtures("few_rows_at_once")
def test_many_new_rows_are_checked_in_several_runs(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for minutes in (50, 40, 30, 20):
        load(database, timedelta(minutes=minutes))
    first, second = catch_up(lambda: run(database, tmp_path))
    assert (seen(first), first.is_behind) == ("20", True)
    assert (seen(second), second.is_behind) == ("20", False), "nothing is left after that"
    assert first.window is not None
    assert second.window is not None
    assert first.window[1] == second.window[0]
    assert "only rows up to" in first.summary()
    assert "only rows up to" not in second.summary()
    assert seen(run(database, tmp_path, "full")) == "40"


def test_of_many_new_rows_only_those_in_flight_are_checked_twice(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for seconds in (200, 150, 100):
        load(database, timedelta(seconds=seconds))
    assert [seen(run(database, tmp_path)) for _ in range(2)] == ["30", "30"]
    monkeypatch.setattr("include.quality.run.MOST_NEW_ROWS", 15)
    assert seen(run(database, tmp_path)) == "0"
    load(database, timedelta(seconds=5))
    assert seen(run(database, tmp_path)) == "10", "the batch began before the last check and was stored after it"


@pytest.mark.usefixtures("few_rows_at_once")
def test_bad_rows_stay_in_the_window_at_a_constant_cost(database: Settings, tmp_path: Path) -> None:
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
    """Take the lock of a run of the suite ``tried`` that checks new rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext('tried'))", (ADVISORY_LOCK,))


@pytest.mark.usefixtures("few_rows_at_once")
def test_concurrent_runs_do_not_check_the_same_rows_again(database: Settings, tmp_path: Path) -> None:
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
def test_unchecked_rows_are_not_published(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = WINDOWED.replace("SEVERITY", "critical").replace("owner: feeds", "holds_publication: true")
    write(tmp_path, gate)
    for minutes in (50, 40, 30):
        load(database, timedelta(minutes=minutes))
    monkeypatch.setattr("include.quality.run.CATCH_UP_SECONDS", 0)
    assert audit(database, tmp_path).gate == ["tried: not all that is new has been checked"]
    assert audit(database, tmp_path).gate == []


def test_a_sweep_checks_all_rows(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    for hours in (1, 50):
        load(database, timedelta(hours=hours))
    with closing(connect(database.dsn("ops"), autocommit=True)) as somebody:
        begin_to_look(somebody)
        assert seen(run(database, tmp_path, "full")) == "20", "and it does not wait for the lock"
    assert query(database, "SELECT scope, window_from, window_to IS NULL FROM shop.quality_runs") == [
        ("full", None, False)
    ]


def test_each_check_is_made_in_its_scopes(database: Settings, tmp_path: Path) -> None:
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


def test_a_check_with_too_few_rows_is_not_judged(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, NEEDY)
    load(database, timedelta(minutes=1), "GBP")
    outcome = run(database, tmp_path)
    assert outcome.verdict == "not_judged"
    assert "compares: not judged: fewer than 16 events" in outcome.summary()
    assert query(database, "SELECT status, observed FROM shop.quality_results") == [
        ("not_judged", "not judged: fewer than 16 events")
    ]
    assert query(database, "SELECT not_judged FROM shop.quality_runs") == [(1,)]
    load(database, timedelta(minutes=1))
    assert run(database, tmp_path).verdict == "failed"
    write(
        tmp_path, NEEDY.replace("SELECT FROM {batch} HAVING count(*) > 15", "SELECT WHERE '{{1,2}}'::int[] @> '{{1}}'")
    )
    assert run(database, tmp_path).verdict == "failed", "a brace that belongs to the SQL is written twice"
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
def test_columns_must_match_their_declaration(
    database: Settings, tmp_path: Path, columns: str, observed: str | None
) -> None:
    query(database, "CREATE TABLE shop.things (file_id bigint, name text)")
    query(database, "GRANT SELECT ON shop.things TO shop_quality")
    check = "{expect: expect_column_values_to_not_be_null, column: file_id, severity: info}"
    write(tmp_path, f"table: shop.things\ncolumns: {columns}\nchecks:\n  - {check}\n")
    result = run(database, tmp_path).results[0]
    assert result.check.name == "columns_are_as_declared"
    assert (None if result.status == "passed" else result.observed) == observed


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
    assert alerts(database)[0][-1] is None, "a run that cannot check does not resolve the alert"
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
    query(database, "TRUNCATE shop.agg_day")
    build_candidate(database.dsn("ops"), VIEW)
    tell(database, run(database, tmp_path, "candidate"))
    assert alerts(database)[0][-1] == "recovered"


def audit(database: Settings, directory: Path, before_step: Callable[[], object] = lambda: None) -> Audit:
    """Audit with the suites of the directory, and with a passing one for each required suite that is missing."""
    fill_up(directory)
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


def test_a_view_is_held_back_only_by_its_own_critical_checks(database: Settings, tmp_path: Path) -> None:
    load(database, timedelta(minutes=1))
    write(tmp_path, FEW.format(table=VIEW, gate="", severity="critical"), "a")
    write(tmp_path, FEW.format(table="mart_revenue_hourly", gate="", severity="warning"), "b")
    found = audit(database, tmp_path)
    assert found.held == {VIEW: "a: few"}
    assert len(found.ready) == len(view_names()) - 1
    assert (found.unbuilt, found.gate) == ({}, [])
    held = "SELECT view_name, held_because FROM shop.refreshes WHERE held_because IS NOT NULL"
    assert query(database, held) == [(VIEW, "a: few")]


def test_a_gate_holds_back_every_view(database: Settings, tmp_path: Path) -> None:
    load(database, timedelta(minutes=1))
    write(tmp_path, FEW.format(table="events", gate="holds_publication: true\n", severity="critical"), "gate")
    found = audit(database, tmp_path)
    assert (found.ready, found.gate) == ({}, ["gate: few"])
    assert set(found.held) == set(view_names())
    held = "SELECT count(*), min(held_because), max(held_because) FROM shop.refreshes WHERE held_because IS NOT NULL"
    assert query(database, held) == [(len(view_names()), "gate: few", "gate: few")]


def test_an_audit_yields_to_the_stream_before_each_suite_and_each_view(database: Settings, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []

    def look() -> None:
        counts = "SELECT (SELECT count(*) FROM shop.quality_runs), (SELECT count(*) FROM shop.refreshes)"
        done.extend(query(database, counts))

    audit(database, tmp_path, before_step=look)
    (_, before), views = done[0], len(view_names())
    looked = [(runs, refreshes - before) for runs, refreshes in done]
    # Before the aggregates, then before each view. The suites run when all views are built.
    assert looked == [
        (0, 0),
        *((0, built) for built in range(views)),
        *((runs, views) for runs in range(len(GATES) + views)),
    ]


def test_a_suite_that_cannot_be_used_holds_back_views(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, FEW.format(table=VIEW, gate="", severity="sever"), "a")
    assert audit(database, tmp_path).held == {
        VIEW: f"a: suite_runs ({tmp_path}/a.yml:3: severity sever does not exist; known are critical, warning, info)"
    }
    write(tmp_path, "table: [shop", "a")
    (because,) = audit(database, tmp_path).gate
    assert because.startswith(f"a: suite_runs ({tmp_path}/a.yml:1: not YAML: ")


def test_a_view_that_cannot_be_built_does_not_hold_up_others(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, FEW.format(table="alerts", gate="", severity="info"), "a")
    query(database, f"REVOKE INSERT ON shop_next.{VIEW} FROM shop_ops")
    found = audit(database, tmp_path)
    assert list(found.unbuilt) == [VIEW]
    assert "permission denied" in found.unbuilt[VIEW]
    assert len(found.ready) == len(view_names()) - 1
    query(database, f"GRANT INSERT ON shop_next.{VIEW} TO shop_ops")
    assert refresh_view(database.dsn("ops"), VIEW).row_count == 0


# A check that was not made has not passed ----------------------------------------------------------------------------

LEVEL = """\
table: shop.events
window: {column: ingested_at, first: 1 hour, longest: 1 day}
holds_publication: true
checks:
  - name: level
    expect: unexpected_rows_expectation
    needs: {query: "SELECT FROM {batch} HAVING count(*) >= 10", otherwise: fewer than 10 events, of: window}
    unexpected_rows_query: SELECT max(unit_price) FROM {batch} HAVING max(unit_price) > 100
    severity: critical
"""


def window_of(database: Settings) -> tuple[datetime, datetime]:
    newest = "SELECT window_from, window_to FROM shop.quality_runs ORDER BY quality_run_id DESC LIMIT 1"
    return query(database, newest)[0]


def age(database: Settings, by: timedelta) -> None:
    """Let that much time pass by moving all records into the past."""
    for table, columns in {
        "quality_runs": ("window_from", "window_to", "started_at", "finished_at"),
        "quality_results": ("checked_at",),
        "batches": ("started_at", "committed_at"),
        "files": ("arrived_at", "finished_at"),
        "events": ("ingested_at",),
    }.items():
        changes = ", ".join(f"{column} = {column} - %(by)s" for column in columns)
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute(f"UPDATE shop.{table} SET {changes}", {"by": by})


def test_too_few_rows_stay_in_the_window_until_more_arrive(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, LEVEL)
    load(database, timedelta(minutes=20), events=12)
    assert run(database, tmp_path).verdict == "passed"
    age(database, timedelta(hours=1))
    load_batch(database.dsn("owner"), [make_event(unit_price="9999.00")])
    few = run(database, tmp_path)
    assert (few.verdict, [one.status for one in few.results]) == ("not_judged", ["not_judged"])
    first = window_of(database)[0]
    age(database, timedelta(hours=1))
    load(database, timedelta(0), events=11)
    # The window did not move past the row that was not judged.
    assert run(database, tmp_path).verdict == "failed"
    assert window_of(database)[0] <= first


def test_a_failed_check_that_can_no_longer_be_judged_still_fails(database: Settings, tmp_path: Path) -> None:
    """After an hour without a feed the check cannot be judged, but the bad rows are still there."""
    write(
        tmp_path,
        LEVEL.replace("count(*) >= 10", "count(*) FILTER (WHERE ingested_at > {window_to} - interval '1 hour') >= 10"),
    )
    load_batch(database.dsn("owner"), [make_event(unit_price="9999.00") for _ in range(12)])
    tell(database, run(database, tmp_path))
    for _ in range(3):
        age(database, timedelta(hours=2))
        later = run(database, tmp_path)
        assert (later.verdict, later.results[0].status) == ("failed", "not_judged")
        assert "it failed when it was last judged" in later.summary()
        tell(database, later)
    assert alerts(database)[0][:2] == ("quality/tried/level", "critical")
    assert alerts(database)[0][-1] is None, "a check that is not judged resolves no alert"


def test_a_check_passes_after_the_retraction_of_the_bad_rows(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, LEVEL)
    load(database, timedelta(0), events=12)
    load_batch(database.dsn("owner"), [make_event(unit_price="9999.00")], name="wrong.csv")
    assert run(database, tmp_path).verdict == "failed"
    retract(database.dsn("owner"), Selection(name="wrong.csv"), by="ada", reason="wrong price")
    assert run(database, tmp_path).verdict == "passed"


def test_a_retraction_resolves_the_alert_even_if_too_few_rows_remain(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, LEVEL)
    for name in ("one.csv", "two.csv"):
        load_batch(database.dsn("owner"), [make_event(unit_price="9999.00") for _ in range(10)], name=name)
        tell(database, run(database, tmp_path))
        age(database, timedelta(minutes=10))
    # The rows of the other delivery are still wrong, even if the check cannot be judged.
    retract(database.dsn("owner"), Selection(name="two.csv"), by="ada", reason="wrong price")
    write(tmp_path, LEVEL.replace(">= 10", ">= 15"))
    few = run(database, tmp_path)
    tell(database, few)
    assert (few.verdict, few.results[0].status) == ("failed", "not_judged")
    assert [resolution for *_, resolution in alerts(database)] == [None]
    retract(database.dsn("owner"), Selection(name="one.csv"), by="ada", reason="wrong price")
    none = run(database, tmp_path)
    tell(database, none)
    assert none.verdict == "not_judged"
    assert [resolution for *_, resolution in alerts(database)] == ["the failing rows were retracted"]


def test_bad_rows_are_checked_day_after_day(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, LEVEL)
    load_batch(database.dsn("owner"), [make_event(unit_price="9999.00") for _ in range(12)])
    for _ in range(4):
        assert run(database, tmp_path).verdict == "failed"
        age(database, timedelta(days=1))
        load(database, timedelta(0), events=12)


def test_a_sweep_moves_no_window_and_resolves_no_alert_of_a_window(database: Settings, tmp_path: Path) -> None:
    """Prices are bad from 18:00 to 20:00. The sweep at 02:47 cannot compare them and opens no gate at 02:57."""
    write(tmp_path, LEVEL.replace("count(*) >= 10", "count(*) >= 10 AND {window_from} > '-infinity'"))
    load(database, timedelta(0), events=12)
    tell(database, run(database, tmp_path))
    age(database, timedelta(hours=7))
    load_batch(database.dsn("owner"), [make_event(unit_price="9999.00") for _ in range(12)])
    tell(database, run(database, tmp_path))
    query(database, "UPDATE shop.alerts SET acknowledged_at = now(), acknowledged_by = 'ada'")
    age(database, timedelta(hours=7))
    sweep = run(database, tmp_path, "full")
    assert sweep.results[0].status == "not_judged"
    tell(database, sweep)
    age(database, timedelta(minutes=10))
    load(database, timedelta(0), events=12)
    after = run(database, tmp_path)
    tell(database, after)
    assert after.verdict == "failed"
    found = query(database, "SELECT key, resolved_at, acknowledged_by, occurrences FROM shop.alerts")
    assert found == [("quality/tried/level", None, "ada", 2)]


def test_an_alert_of_a_sweep_is_resolved_only_by_a_sweep(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    load(database, timedelta(days=2), "GBP")
    load(database, timedelta(minutes=1))
    tell(database, run(database, tmp_path, "full"))
    tell(database, run(database, tmp_path))
    key = "quality/tried/expect_column_values_to_be_in_set:currency/sweep"
    assert alerts(database) == [(key, "critical", "feeds", 1, None)]
    query(database, "UPDATE shop.events SET currency = 'EUR'")
    tell(database, run(database, tmp_path))
    assert alerts(database)[0][-1] is None
    tell(database, run(database, tmp_path, "full"))
    assert alerts(database)[0][-1] == "recovered"


def test_alerts_of_a_removed_suite_or_check_are_resolved(database: Settings, tmp_path: Path) -> None:
    write(tmp_path, WINDOWED.replace("SEVERITY", "critical"))
    load(database, timedelta(minutes=1), "GBP")
    tell(database, run(database, tmp_path))
    write(
        tmp_path,
        WINDOWED.replace("column: currency, value_set: [EUR]", "column: device, value_set: [x]").replace(
            "SEVERITY", "critical"
        ),
    )
    tell(database, run(database, tmp_path))
    assert [resolution for *_, resolution in alerts(database)] == ["the suite has no such check any more", None]
    end_alerts_of_gone_suites(database.dsn("ops"), ["tried"])
    assert alerts(database)[1][-1] is None
    end_alerts_of_gone_suites(database.dsn("ops"), ["another"])
    assert alerts(database)[1][-1] == "there is no such suite any more"


def test_a_check_without_rows_is_not_judged(database: Settings, tmp_path: Path) -> None:
    checks = "  - {expect: expect_column_values_to_not_be_null, column: city, severity: critical}\n"
    write(tmp_path, f"table: shop.events\nchecks:\n{checks}")
    outcome = run(database, tmp_path)
    assert (outcome.verdict, outcome.results[0].status) == ("not_judged", "not_judged")
    assert "there are no rows to check" in outcome.summary()
    assert query(database, "SELECT verdict, not_judged FROM shop.quality_runs") == [("not_judged", 1)]
