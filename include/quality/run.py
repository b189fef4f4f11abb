"""Run a suite against Postgres and store its results.

The library connects with a role that can only read, in read-only transactions with a statement timeout. The results are
stored with another role before any error is raised, so every failure is recorded in the database, not only in a log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2 import sql

from include.db import connect, load_queries, one_row
from include.db.messages import without_rows
from include.errors import SuiteError
from include.quality import catalog, feed
from include.quality.columns import columns_of, fault_of_columns, result_of_columns
from include.quality.engine import engine_of, session_options
from include.quality.model import QUERY, Check, Scope, Suite
from include.quality.results import CheckResult, SuiteOutcome, could_not_check, could_not_run, not_judged
from include.quality.sql_text import fill
from include.quality.store import store
from include.quality.suites import Draft
from include.settings import Settings

# Statement timeout of one query, seconds. A full sweep needs longer, since it sorts all stored events.
QUERY_TIMEOUTS: dict[Scope, float] = {"window": 120.0, "candidate": 120.0, "full": 1200.0}
# A batch that was in progress at the last check has rows older than that check, and rows may change.
OVERLAP_SECONDS = 300.0
# When more rows than this were read since the last good check, a run checks only the older ones. This keeps every query
# well within its timeout. It also bounds the cost of failing rows, which are checked again until they are corrected.
MOST_NEW_ROWS = 5_000_000
# Seconds for which one task repeats a suite that is behind. The next task does the rest.
CATCH_UP_SECONDS = 240.0
CANDIDATES = "shop_next"
# An arbitrary constant that no other code uses.
ADVISORY_LOCK = 5_340_004

_SQL = load_queries("quality")


def run_suite(
    suite: Suite,
    *,
    read_dsn: str,
    write_dsn: str,
    run_id: str,
    scope: Scope = "window",
    timeout_seconds: float | None = None,
) -> SuiteOutcome:
    """Run the checks of a suite; store the run in ``shop.quality_runs`` and each result in ``quality_results``.

    A check that cannot run and a suite whose table is missing are stored as failures; they raise no exception.

    Parameters
    ----------
    suite:
        A suite from ``load_suites``.
    read_dsn, write_dsn:
        Connections as role quality, which reads the data, and as role ops, which stores the results.
    run_id:
        Groups the results of several suites; in Airflow the id of the DAG run.
    scope:
        ``window``: the rows loaded since the last good check, or all rows for a suite without a window; when there are
        very many, only the older ones (see ``catch_up``). ``full``: all rows. ``candidate``: the rows of a view's
        candidate.
    timeout_seconds:
        Statement timeout of each query, seconds; that of the scope unless given.
    """
    timeout_seconds = timeout_seconds or QUERY_TIMEOUTS[scope]
    if suite.window is None and scope == "window":
        scope = "full"
    with _alone(write_dsn, suite) if scope == "window" else nullcontext():
        start = time.perf_counter()
        outcome = SuiteOutcome(suite, run_id, scope, datetime.now(UTC), (), 0.0)
        try:
            outcome = _look(outcome, read_dsn, timeout_seconds)
        except Exception as error:
            # Store any error of the library as a result. Without a row, the failure would not be visible.
            reason = without_rows(str(error) if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}")
            outcome = replace(outcome, results=(could_not_run(reason),), error=reason)
        outcome = replace(outcome, seconds=time.perf_counter() - start)
        return store(outcome, write_dsn)


def run_draft(draft: Draft, *, read_dsn: str, write_dsn: str, run_id: str, scope: Scope = "window") -> SuiteOutcome:
    """Run a draft as ``run_suite`` does; for one with faults, store an outcome with the verdict ``broken``."""
    if draft.error is None and draft.suite is not None:
        return run_suite(draft.suite, read_dsn=read_dsn, write_dsn=write_dsn, run_id=run_id, scope=scope)
    suite = draft.suite or Suite(draft.name, "", None, ())
    reason = str(draft.error)
    outcome = SuiteOutcome(suite, run_id, scope, datetime.now(UTC), (could_not_run(reason),), 0.0, error=reason)
    return store(outcome, write_dsn)


def catch_up(run: Callable[[], SuiteOutcome]) -> Iterator[SuiteOutcome]:
    """Run a suite repeatedly until it has checked all new rows, fails, or CATCH_UP_SECONDS have passed.

    Parameters
    ----------
    run:
        ``run_suite`` or ``run_draft`` with its arguments bound.
    """
    until = time.monotonic() + CATCH_UP_SECONDS
    while True:
        outcome = run()
        yield outcome
        if not outcome.is_behind or outcome.verdict in ("failed", "broken") or time.monotonic() > until:
            return


@contextmanager
def _alone(write_dsn: str, suite: Suite) -> Iterator[None]:
    """Hold the lock of a suite's window runs, so that a second run does not repeat what the first one checked."""
    with closing(connect(write_dsn, autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute(_SQL["lock_suite"], {"key": ADVISORY_LOCK, "suite": suite.name})
        yield


@dataclass(frozen=True)
class _Window:
    """The rows that one run of a suite checks, as seen in one snapshot.

    ``condition`` selects the rows, None for all; ``placeholders`` are the values for custom SQL.
    """

    relation: str
    columns: dict[str, str]
    window: tuple[datetime | None, datetime] | None
    is_behind: bool
    condition: str | None
    row_count: int
    snapshot: str
    placeholders: dict[str, str]


def _look(outcome: SuiteOutcome, read_dsn: str, timeout_seconds: float) -> SuiteOutcome:
    """Run the checks and return the outcome with their results."""
    schema, table = outcome.suite.table.split(".")
    schema = CANDIDATES if outcome.scope == "candidate" else schema
    options = session_options(schema, timeout_seconds)
    # The transaction of this connection keeps the snapshot open for all other connections.
    with closing(connect(read_dsn, options=options)) as holder, holder.cursor() as cursor:
        window_ = _window_of(cursor, outcome, schema, table)
        chosen = [check for check in outcome.suite.checks if check.is_for(outcome.scope)]
        decided = {number: _decide_early(cursor, outcome.suite, check, window_) for number, check in enumerate(chosen)}
        left = [
            (number, _filled(check, window_.placeholders))
            for number, check in enumerate(chosen)
            if decided[number] is None
        ]
        made = _make(left, window_, read_dsn, timeout_seconds)
        results = [replace(decided[number] or made[number], check=check) for number, check in enumerate(chosen)]
        results = [_remembered(cursor, outcome, one) for one in results]
    if outcome.suite.columns is not None:
        results.insert(0, result_of_columns(outcome.suite.columns, window_.columns))
    return replace(outcome, results=tuple(results), window=window_.window, is_behind=window_.is_behind)


def _remembered(cursor: Any, outcome: SuiteOutcome, result: CheckResult) -> CheckResult:
    """Add to the result of a critical check that cannot be judged now whether it failed when it was last judged.

    Otherwise a failure would disappear in a quiet hour, or once its rows have left the window.
    """
    if result.status != "not_judged" or result.check.severity != "critical":
        return result
    cursor.execute(
        _SQL["last_evaluated"],
        {
            "suite": outcome.suite.name,
            "check_name": result.check.name,
            "column_name": ", ".join(result.check.columns) or None,
            "scope": outcome.scope,
        },
    )
    if (last := cursor.fetchone()) is None:
        return result
    status, evaluated_at, is_retracted = last
    if status in (None, "passed"):
        return replace(result, is_retracted=is_retracted)
    observed = f"{result.observed}; it failed when it was last judged, at {evaluated_at:%Y-%m-%d %H:%M} UTC"
    return replace(result, still_fails=True, observed=observed)


def _make(
    checks: list[tuple[int, Check]], window_: _Window, read_dsn: str, timeout_seconds: float
) -> dict[int, CheckResult]:
    if not checks:
        return {}
    with engine_of(
        read_dsn,
        window_.relation,
        window_.condition,
        row_count=window_.row_count,
        snapshot=window_.snapshot,
        timeout_seconds=timeout_seconds,
    ) as engine:
        return engine.check(checks)


def _window_of(cursor: Any, outcome: SuiteOutcome, schema: str, table: str) -> _Window:
    cursor.execute(_SQL["export_snapshot"])
    (snapshot,) = one_row(cursor)
    columns = columns_of(cursor, schema, table)
    window, is_behind = _window(cursor, outcome)
    condition = _condition(cursor, outcome.suite, window)
    relation = f"{schema}.{table}"
    cursor.execute(
        sql.SQL(_SQL["count"]).format(relation=sql.Identifier(schema, table), where=sql.SQL(condition or "true"))
    )
    (row_count,) = one_row(cursor)
    cursor.execute(_SQL["last_batch"], {"view_name": table, "is_candidate": outcome.scope == "candidate"})
    (last_batch_id,) = one_row(cursor)
    window_from, window_to = window or (None, outcome.started_at)
    placeholders = {
        "window_from": f"'{window_from.isoformat() if window_from else '-infinity'}'::timestamptz",
        "window_to": f"'{window_to.isoformat()}'::timestamptz",
        "last_batch_id": f"{last_batch_id}::bigint",
        **feed.placeholders(Settings.from_env()),
    }
    return _Window(relation, columns, window, is_behind, condition, row_count, snapshot, placeholders)


def _window(cursor: Any, outcome: SuiteOutcome) -> tuple[tuple[datetime | None, datetime] | None, bool]:
    """Return the window to check, and whether there are newer rows beyond it."""
    window = outcome.suite.window
    if window is None:
        return None, False
    is_all = outcome.scope == "full"
    cursor.execute(
        _SQL["window"],
        {
            "suite": outcome.suite.name,
            "first": window.first,
            "longest": window.longest,
            "overlap_seconds": OVERLAP_SECONDS,
            "most_rows": None if is_all else MOST_NEW_ROWS,
        },
    )
    window_from, window_to, is_behind = one_row(cursor)
    return (None if is_all else window_from, window_to), is_behind


def _condition(cursor: Any, suite: Suite, window: tuple[datetime | None, datetime] | None) -> str | None:
    conditions = [f"({suite.rows})"] if suite.rows else []
    if suite.window is not None and window is not None and window[0] is not None:
        bounds = sql.SQL("{column} > {window_from} AND {column} <= {window_to}").format(
            column=sql.Identifier(suite.window.column),
            window_from=sql.Literal(window[0]),
            window_to=sql.Literal(window[1]),
        )
        conditions.append(bounds.as_string(cursor))
    return " AND ".join(conditions) or None


def _decide_early(cursor: Any, suite: Suite, check: Check, window_: _Window) -> CheckResult | None:
    """Return the result of a check that needs no run or cannot run; None for a check that must run."""
    fault = fault_of_columns(suite, check, window_.columns)
    if fault is not None:
        return could_not_check(check, fault)
    if window_.row_count == 0 and catalog.is_of_rows(check.expectation):
        return not_judged(check, "there are no rows to check")
    # Suites are code, and the role that runs them reads.
    batch = f"(SELECT * FROM {window_.relation} WHERE {window_.condition or 'true'})"  # noqa: S608
    for needs in check.needs:
        cursor.execute(_SQL["before_needs"])
        try:
            query = needs.query.format(**window_.placeholders, batch=batch).rstrip("; \n")
            cursor.execute(sql.SQL(_SQL["needs"]).format(query=sql.SQL(query)))
            (is_enough,) = one_row(cursor)
        except psycopg2.Error as error:
            return could_not_check(check, f"{suite.path}:{check.line}: needs: {without_rows(str(error))}")
        finally:
            cursor.execute(_SQL["after_needs"])
        if not is_enough:
            return not_judged(check, needs.otherwise, waits=needs.of == "window")
    return None


def _filled(check: Check, placeholders: dict[str, str]) -> Check:
    query = check.parameters.get(QUERY)
    if query is None:
        return check
    return replace(check, parameters={**check.parameters, QUERY: fill(query, placeholders)})
