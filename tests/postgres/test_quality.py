"""Tests of suites on a real database: good data passes, each defect fails its check, every result is stored."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from include.db import connect, transaction
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.quality.__main__ import main
from include.quality.model import QUERY, Suite
from include.quality.results import MASK, SuiteOutcome
from include.quality.run import run_suite
from include.quality.suites import load_suites
from include.settings import Settings
from tests.support.rows import load_batch, make_event


@pytest.fixture(scope="module")
def shipped() -> dict[str, Suite]:
    return {suite.name: suite for suite in load_suites()}


@pytest.fixture
def loaded(database: Settings) -> Settings:
    """Return a database with ten minutes of good events, one reject, and refreshed views."""
    now = datetime.now(UTC)
    events = [
        make_event(
            event_type=event_type,
            event_time=now - timedelta(seconds=20 * number),
            session_id=f"S{number // 5}",
            user_id=f"U{number // 10}",
            order_id=f"O{number}" if event_type in ("order", "purchase") else None,
            city=None if number % 3 else "Leipzig",
        )
        for number, event_type in enumerate(["view", "add_to_cart", "add_to_wishlist", "order", "purchase"] * 6)
    ]
    load_batch(database.dsn("owner"), events, rejects=[{"raw": "corrupted;row", "reasons": ["row_ragged"]}])
    for name in view_names():
        refresh_view(database.dsn("ops"), name)
    return database


def run(database: Settings, suite: Suite, run_id: str = "test") -> SuiteOutcome:
    return run_suite(suite, read_dsn=database.dsn("quality"), write_dsn=database.dsn("ops"), run_id=run_id)


def failed(outcome: SuiteOutcome) -> set[tuple[str, ...]]:
    """Return the name and the columns of each check that failed."""
    return {(one.check.name, *one.check.columns) for one in outcome.results if one.status in ("failed", "error")}


def written(directory: Path, text: str) -> Suite:
    """Return the suite of a YAML text."""
    (directory / "tried.yml").write_text(text, encoding="utf-8")
    (suite,) = load_suites(directory)
    return suite


def stored(database: Settings) -> list[tuple[Any, ...]]:
    with transaction(database.dsn("analyst")) as cursor:
        cursor.execute(
            "SELECT check_name, column_name, severity, status, observed, expected, sample, error"
            " FROM shop.quality_results ORDER BY result_id"
        )
        return list(cursor.fetchall())


def test_good_data_passes_every_suite(loaded: Settings, shipped: dict[str, Suite]) -> None:
    outcomes = [run(loaded, suite) for suite in shipped.values()]
    assert {outcome.suite.name: failed(outcome) for outcome in outcomes} == {name: set() for name in shipped}
    made = sum(one.when != "nightly" for suite in shipped.values() for one in suite.checks)
    assert len(stored(loaded)) == made + sum(suite.columns is not None for suite in shipped.values())
    assert {error for *_, error in stored(loaded)} == {None}


def test_data_may_change_while_it_is_checked(loaded: Settings, shipped: dict[str, Suite]) -> None:
    is_done = threading.Event()

    def write() -> None:
        with closing(connect(loaded.dsn("owner"), autocommit=True)) as connection, connection.cursor() as cursor:
            while not is_done.is_set():
                cursor.execute("INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('new.csv', 0, now())")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = [run(loaded, shipped["files"]) for _ in range(3)]
    finally:
        is_done.set()
        writer.join()
    assert [one.error for outcome in outcomes for one in outcome.results if one.error] == []


def test_an_empty_platform_fails_only_the_check_for_events(database: Settings, shipped: dict[str, Suite]) -> None:
    critical = {
        (suite.name, one.check.name) for suite in shipped.values() for one in run(database, suite).critical_failures
    }
    assert critical == {("events", "events_are_there")}


NOT_NULL, IN_SET, BETWEEN, REGEX = (
    f"expect_column_values_to_{what}" for what in ("not_be_null", "be_in_set", "be_between", "match_regex")
)
UNIQUE = "expect_compound_columns_to_be_unique"


@pytest.mark.parametrize(
    ("suite", "damage", "caught_by"),
    [
        ("events", "TRUNCATE shop.events, shop.agg_day", ("events_are_there",)),
        ("events", "UPDATE shop.batches SET committed_at = now() - interval '20 minutes'", ("events_are_fresh",)),
        (
            "events",
            "ALTER TABLE shop.events ALTER user_id DROP NOT NULL;"
            "UPDATE shop.events SET user_id = NULL WHERE session_id = 'S1'",
            (NOT_NULL, "user_id"),
        ),
        ("events", "UPDATE shop.events SET currency = 'eur' WHERE session_id = 'S1'", (IN_SET, "currency")),
        ("events", "UPDATE shop.events SET country = 'Germany' WHERE session_id = 'S1'", (REGEX, "country")),
        (
            "events",
            "ALTER TABLE shop.events DROP CONSTRAINT events_unit_price_check;"
            "UPDATE shop.events SET unit_price = 0 WHERE session_id = 'S1'",
            (BETWEEN, "unit_price"),
        ),
        (
            "events",
            "UPDATE shop.events SET unit_price = 20000 WHERE session_id = 'S1'",
            ("unit_price_is_plausible", "unit_price"),
        ),
        (
            "events",
            "ALTER TABLE shop.events DROP CONSTRAINT events_quantity_check;"
            "UPDATE shop.events SET quantity = 1001 WHERE event_type = 'order'",
            (BETWEEN, "quantity"),
        ),
        (
            "events",
            "UPDATE shop.events SET quantity = NULL WHERE event_type = 'order'",
            ("cart_events_carry_a_quantity",),
        ),
        (
            "events",
            "UPDATE shop.events SET order_id = NULL WHERE event_type = 'order'",
            ("order_events_carry_an_order",),
        ),
        (
            "events",
            "UPDATE shop.events SET payment_method = NULL WHERE event_type = 'purchase'",
            ("purchases_carry_a_payment_method",),
        ),
        (
            "events",
            "UPDATE shop.events SET event_time = event_time - interval '2 hours'",
            ("events_are_mostly_on_time",),
        ),
        ("rejects", "UPDATE shop.rejects SET reasons = '{unheard_of}'", ("reasons_are_known",)),
        ("rejects", "UPDATE shop.rejects SET line = 1", (BETWEEN, "line")),
        (
            "rejects",
            "UPDATE shop.rejects SET file_name = ' '",
            ("expect_column_values_to_not_match_regex", "file_name"),
        ),
        ("files", "UPDATE shop.files SET batch_id = NULL", ("loaded_files_have_a_batch",)),
        (
            "files",
            "UPDATE shop.files SET state = 'quarantined', fault = 'unheard_of'",
            (IN_SET, "fault"),
        ),
        (
            "files",
            "UPDATE shop.files SET state = 'quarantined', fault = 'not_utf8'",
            ("no_file_is_quarantined",),
        ),
        (
            "files",
            "UPDATE shop.files SET state = 'admitted', finished_at = NULL, admitted_at = now() - interval '1 hour'",
            ("admitted_files_are_loaded",),
        ),
        ("batches", "UPDATE shop.files SET accepted = accepted + 1, read = read + 1", ("files_add_up_to_batches",)),
        (
            "batches",
            "DELETE FROM shop.events WHERE session_id = 'S1'",
            ("accepted_events_are_stored",),
        ),
        ("batches", "DELETE FROM shop.rejects", ("rejected_rows_are_stored",)),
        ("batches", "UPDATE shop.batches SET lag_seconds = 61", (BETWEEN, "lag_seconds")),
        (
            "batches",
            "UPDATE shop.batches SET rejected = rejected + 10, read = read + 10",
            ("few_rows_are_rejected",),
        ),
        (
            "rollup_minute",
            "UPDATE shop.rollup_minute SET amount = amount + 0.01 WHERE event_type = 'purchase'",
            ("rollups_equal_events",),
        ),
        ("rollup_minute", "DELETE FROM shop.events WHERE session_id = 'S1'", ("rollups_equal_events",)),
        (
            "rollup_minute",
            "DELETE FROM shop.agg_day WHERE event_type = 'view'",
            ("daily_sums_equal_the_ledger",),
        ),
        ("rollup_minute", "UPDATE shop.rollup_hour SET amount = amount + 0.01", ("hours_equal_minutes",)),
        ("rollup_minute", "UPDATE shop.rollup_minute SET events = 0", (BETWEEN, "events")),
        ("rollup_minute", "UPDATE shop.rollup_minute SET category = 'Toys'", (IN_SET, "category")),
        *(
            (view, "UPDATE shop.rollup_minute SET amount = amount + 0.01", ("revenue_equals_rollups",))
            for view in ("mart_revenue_hourly", "mart_category_performance", "mart_daily_kpis")
        ),
        *(
            (
                view,
                "UPDATE shop.refreshes SET finished_at = now() - interval '2 hours'",
                ("view_is_fresh",),
            )
            for view in view_names()
        ),
    ],
)
def test_each_defect_fails_its_check(
    loaded: Settings, shipped: dict[str, Suite], suite: str, damage: str, caught_by: tuple[str, ...]
) -> None:
    with transaction(loaded.dsn("owner")) as cursor:
        cursor.execute(damage)
    assert caught_by in failed(run(loaded, shipped[suite]))


@pytest.mark.parametrize(
    ("view", "column", "value", "caught_by"),
    [
        ("mart_revenue_hourly", "revenue", "0", (BETWEEN, "revenue")),
        ("mart_revenue_hourly", "currency", "'XXX'", (IN_SET, "currency")),
        ("mart_revenue_hourly", "units", "0", ("units_cover_purchases", "units", "purchases")),
        ("mart_category_performance", "category", "'Toys'", (IN_SET, "category")),
        ("mart_category_performance", "units", "-1", ("units_cover_purchases", "units", "purchases")),
        ("mart_daily_kpis", "events", "0", (BETWEEN, "events")),
        ("mart_daily_kpis", "conversion_rate", "1.01", (BETWEEN, "conversion_rate")),
        ("mart_daily_kpis", "average_order_value", "0", (BETWEEN, "average_order_value")),
        ("mart_daily_kpis", "paid_orders", "1000", ("purchases_cover_orders", "purchases", "paid_orders")),
        ("mart_product_performance", "revenue", "-1", (BETWEEN, "revenue")),
        ("mart_product_performance", "product_name", "NULL", (NOT_NULL, "product_name")),
        (
            "mart_product_performance",
            "purchases_per_view",
            "2",
            ("products_are_looked_at_before_they_are_bought", "purchases_per_view"),
        ),
        ("mart_customer_value", "user_id", "'U1'", (UNIQUE, "user_id", "currency")),
        ("mart_customer_value", "customer_segment", "'other'", (IN_SET, "customer_segment")),
        ("mart_customer_value", "orders", "0", (BETWEEN, "orders")),
        ("mart_customer_value", "recency_days", "-1", (BETWEEN, "recency_days")),
        (
            "mart_customer_value",
            "last_purchase_at",
            "first_purchase_at - interval '1 second'",
            ("last_purchase_follows_the_first", "last_purchase_at", "first_purchase_at"),
        ),
        ("mart_customer_segments", "buyers", "1000", ("orders_cover_buyers", "orders", "buyers")),
        ("mart_customer_segments", "customer_segment", "'other'", (IN_SET, "customer_segment")),
        ("mart_conversion_funnel", "cart_sessions", "1000", ("funnel_narrows",)),
        ("mart_conversion_funnel", "conversion_rate", "2", (BETWEEN, "conversion_rate")),
        ("mart_conversion_funnel", "channel", "'fax'", (IN_SET, "channel")),
    ],
)
def test_each_defect_of_a_view_fails_its_check(
    loaded: Settings, shipped: dict[str, Suite], view: str, column: str, value: str, caught_by: tuple[str, ...]
) -> None:
    # The unique index would refuse the defects that the checks must find.
    with transaction(loaded.dsn("owner")) as cursor:
        cursor.execute(f"DROP INDEX shop.{view}_grain; UPDATE shop.{view} SET {column} = {value}")
    assert caught_by in failed(run(loaded, shipped[view]))


def test_a_failure_shows_observed_and_expected_values(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.events\nchecks:\n"
        "  - {expect: expect_column_values_to_be_in_set, column: event_type, value_set: [view], severity: critical}\n"
        "  - {expect: expect_table_row_count_to_equal, value: 7, severity: warning}\n"
        '  - {name: no_carts, expect: unexpected_rows_expectation, severity: info, unexpected_rows_query: "SELECT'
        " event_type, count(*) FROM {batch} WHERE event_type = 'add_to_cart' GROUP BY 1\"}\n",
    )
    outcome = run(loaded, suite, "manual__1")
    headline, *lines = outcome.summary().splitlines()
    assert headline.startswith("tried (shop.events): 3 checks in ")
    assert headline.endswith(" s, 1 critical failures, 1 warnings")
    assert lines[0].startswith(
        "  critical  expect_column_values_to_be_in_set (event_type): 24 of 30 rows (80 %);"
        ' expected: values to be in set: value_set view; for example ["'
    )
    assert lines[1:] == [
        "  warning   expect_table_row_count_to_equal: 30; expected: table row count to equal: value 7",
        '  info      no_carts: 1 rows; expected: no rows; for example [{"event_type": "add_to_cart", "count": 6}]',
    ]
    with transaction(loaded.dsn("analyst")) as cursor:
        cursor.execute("SELECT DISTINCT run_id, suite, table_name FROM shop.quality_results")
        assert cursor.fetchall() == [("manual__1", "tried", "shop.events")]
        cursor.execute("SELECT check_name FROM shop.quality_results WHERE duration_ms > 0")
        assert cursor.fetchall() == [("no_carts",)], "the others share their queries"
    assert stored(loaded)[1:] == [
        (
            "expect_table_row_count_to_equal",
            None,
            "warning",
            "failed",
            "30",
            "table row count to equal: value 7",
            None,
            None,
        ),
        ("no_carts", None, "info", "failed", "1 rows", "no rows", [{"event_type": "add_to_cart", "count": 6}], None),
    ]


def test_results_hold_no_personal_data(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.events\nchecks:\n"
        "  - {expect: expect_column_values_to_match_regex, column: user_id, regex: x, severity: critical}\n"
        "  - {expect: expect_column_most_common_value_to_be_in_set, column: user_id, value_set: [x],"
        " severity: critical}\n"
        "  - {expect: expect_column_distinct_values_to_be_in_set, column: city, value_set: [x], severity: critical}\n"
        "  - {expect: expect_compound_columns_to_be_unique, column_list: [user_id, currency], severity: critical}\n"
        "  - {name: sql, expect: unexpected_rows_expectation, severity: critical,"
        " unexpected_rows_query: 'SELECT * FROM {batch}'}\n",
    )
    outcome = run(loaded, suite)
    assert len(outcome.critical_failures) == 5
    text = outcome.summary() + repr(stored(loaded))
    assert MASK in text
    for secret in ("U0", "U1", "U2", "Leipzig"):
        assert secret not in text
    assert run(loaded, written(tmp_path, REJECTS_BY_RAW)).critical_failures[0].sample == (MASK,)


REJECTS_BY_RAW = """
table: shop.rejects
checks:
  - {expect: expect_column_values_to_match_regex, column: raw, regex: nothing, severity: critical}
"""


def test_custom_sql_cannot_write(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.events\nchecks:\n"
        "  - {name: breaks_out, expect: unexpected_rows_expectation, severity: warning,"
        " unexpected_rows_query: SELECT 1}\n",
    )
    # A file with such a query is refused when it is read. This is the answer of the database if one gets past that.
    query = (
        "SELECT 1 WHERE false) AS nothing; SET default_transaction_read_only = off; COMMIT;"
        " DELETE FROM shop.events; COMMIT; SELECT * FROM (SELECT 1"
    )
    check = replace(suite.checks[0], parameters={QUERY: query})
    outcome = run(loaded, replace(suite, checks=(check,)))
    (result,) = outcome.warnings
    assert "permission denied for table events" in str(result.error)
    assert outcome.verdict == "broken"
    with transaction(loaded.dsn("ops")) as cursor:
        cursor.execute("SELECT count(*) FROM shop.events")
        assert cursor.fetchone() == (30,)


def test_the_session_is_read_only_whatever_the_role_may_do(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.events\nchecks:\n"
        "  - name: breaks_out\n    expect: unexpected_rows_expectation\n    severity: warning\n"
        "    unexpected_rows_query: SELECT setval('shop.epochs', 99)\n",
    )
    outcome = run_suite(suite, read_dsn=loaded.dsn("owner"), write_dsn=loaded.dsn("ops"), run_id="test")
    assert "read-only transaction" in str(outcome.warnings[0].error)


def test_a_check_that_cannot_be_made_is_an_error(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.mart_daily_kpis\nchecks:\n"
        "  - {expect: expect_column_values_to_not_be_null, column: dai, severity: info}\n"
        "  - {expect: expect_column_values_to_not_be_null, column: day, severity: critical}\n"
        # Python knows this construct, PostgreSQL does not. It must not fail the checks that share a query with it.
        "  - {expect: expect_column_values_to_match_regex, column: currency, regex: '(?P<x>E)', severity: warning}\n"
        "  - {name: sql, expect: unexpected_rows_expectation, severity: warning,"
        " unexpected_rows_query: SELECT FROM nothing}\n",
    )
    outcome = run(loaded, suite)
    assert [one.status for one in outcome.results] == ["error", "passed", "error", "error"]
    assert str(outcome.results[0].error).endswith(
        "tried.yml:3: shop.mart_daily_kpis has no column dai; did you mean day?"
    )
    assert "invalid regular expression" in str(outcome.results[2].error)
    assert 'relation "nothing" does not exist' in str(outcome.results[3].error)
    assert outcome.verdict == "broken"
    assert [one.check.severity for one in outcome.blockers] == ["info", "warning", "warning"]
    assert [(name, status) for name, _, _, status, *_ in stored(loaded)] == [
        ("expect_column_values_to_not_be_null", "error"),
        ("expect_column_values_to_not_be_null", "passed"),
        ("expect_column_values_to_match_regex", "error"),
        ("sql", "error"),
    ]


def test_a_suite_for_a_missing_table_is_a_critical_failure(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.no_such_table\nchecks:\n"
        "  - {expect: expect_column_values_to_not_be_null, column: a, severity: info}\n",
    )
    (result,) = run(loaded, suite).critical_failures
    assert result.check.name == "suite_runs"
    assert "there is no table or view shop.no_such_table" in str(result.error)
    assert [(name, status) for name, _, _, status, *_ in stored(loaded)] == [("suite_runs", "error")]


def test_a_query_that_takes_too_long_is_a_failure(loaded: Settings, tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        "table: shop.events\nchecks:\n"
        "  - {name: slow, expect: unexpected_rows_expectation, severity: critical,"
        " unexpected_rows_query: SELECT pg_sleep(60)}\n",
    )
    outcome = run_suite(
        suite, read_dsn=loaded.dsn("quality"), write_dsn=loaded.dsn("ops"), run_id="test", timeout_seconds=0.3
    )
    assert "statement timeout" in str(outcome.critical_failures[0].error)


def test_no_query_returns_more_rows_than_the_limit(loaded: Settings, shipped: dict[str, Suite]) -> None:
    now = datetime.now(UTC)
    load_batch(loaded.dsn("owner"), [make_event(event_time=now, currency="XXX") for _ in range(500)])
    fetched = []

    def count(_connection: Any, cursor: Any, *_: Any) -> None:
        fetched.append(cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", count)
    try:
        outcome = run(loaded, shipped["events"])
    finally:
        event.remove(Engine, "after_cursor_execute", count)
    (seen,) = [one for one in outcome.results if one.check.key == f"{IN_SET}:currency"]
    assert str(seen.observed).startswith("500 of 530 rows"), "the suite saw the rows"
    assert max(fetched) <= 100


def test_no_connection_is_left_behind(loaded: Settings, shipped: dict[str, Suite]) -> None:
    run(loaded, shipped["events"])
    with transaction(loaded.dsn("owner")) as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_quality' AND datname = current_database()"
        )
        assert cursor.fetchone() == (0,)


@pytest.fixture
def environment(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Put the settings of the database into the environment, as a process finds them."""
    for name in ("home", "database_host", "database_port", "database_name"):
        monkeypatch.setenv(f"SHOPSTREAM_{name.upper()}", str(getattr(loaded, name)))
    return loaded


def test_check_sets_its_exit_status_by_its_findings(environment: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--suite", "events", "--suite", "rejects"]) == 0
    out = capsys.readouterr().out
    headlines = [line.partition(":")[0] for line in out.splitlines() if not line.startswith(" ")]
    assert headlines == ["events (shop.events)", "rejects (shop.rejects)"]
    assert "volume_is_usual: not judged: fewer than two of the seven days before" in out
    with transaction(environment.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.events SET currency = 'XXX'")
    assert main(["check", "--table", "shop.events"]) == 1
    assert "critical  expect_column_values_to_be_in_set (currency): 30 of 30 rows (100 %)" in capsys.readouterr().out
    assert main(["check", "--suite", "event"]) == 1
    assert capsys.readouterr().err.startswith("there is no suite event in ")
    assert main(["check", "--table", "shop.event"]) == 1
    assert capsys.readouterr().err.startswith("no suite checks shop.event. Choose one of shop.batches, shop.events,")
