"""Runs a suite against Postgres and stores its results.

The library reads as a role that can only read, in read-only transactions with a time limit; the results are written
with the rights of another role before anything is raised, so that no failure is only a line in a log.
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
from include.errors import SuiteError
from include.quality.columns import columns_of, fault_of_columns, result_of_columns
from include.quality.engine import engine_of, session_options
from include.quality.model import QUERY, Check, Scope, Suite
from include.quality.results import CheckResult, SuiteOutcome, could_not_check, could_not_run, not_judged
from include.quality.sql_text import fill
from include.quality.store import store
from include.quality.suites import Draft

# The longest that one query may take, seconds: a sweep sorts all events that are kept.
QUERY_TIMEOUTS: dict[Scope, float] = {"window": 120.0, "candidate": 120.0, "full": 1200.0}
# A batch that was under way when the last check looked has rows that are older than it; and a row may change.
OVERLAP_SECONDS = 300.0
# Rows that were read since the last good check, above which a run looks at the older ones only. So no query comes near
# its time limit; and what is bad, and stays in sight until it is mended, costs the same however much comes after it.
MOST_NEW_ROWS = 5_000_000
# For so long runs of a suite follow one another; what is left then is for the next task.
CATCH_UP_SECONDS = 240.0
CANDIDATES = "shop_next"
# Any constant serves that nobody else uses.
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
    """Make the checks of a suite, and store the run in ``shop.quality_runs`` and every result in ``quality_results``.

    A check that could not be made, and a suite whose table is missing, are failures like any other.

    Parameters
    ----------
    suite:
        One of ``load_suites``.
    read_dsn, write_dsn:
        Connections as role quality, which reads the data, and as role ops, which stores the results.
    run_id:
        Ties the results of several suites together; in Airflow the id of the DAG run.
    scope:
        ``window``: what was loaded since the last good check, of a suite that has a window, else all; of very much the
        older part (``catch_up``). ``full``: all rows; ``candidate``: the rows of a view that are not published yet.
    timeout_seconds:
        The longest that one query may take, seconds; that of the scope unless given.
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
            # Whatever kept the library from running the suite must become a row, or it would look like silence.
            reason = str(error) if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}"
            outcome = replace(outcome, results=(could_not_run(reason),), error=reason)
        outcome = replace(outcome, seconds=time.perf_counter() - start)
        return store(outcome, write_dsn)


def run_draft(draft: Draft, *, read_dsn: str, write_dsn: str, run_id: str, scope: Scope = "window") -> SuiteOutcome:
    """As ``run_suite``; of a suite that cannot be used the stored outcome says why, and its verdict is ``broken``."""
    if draft.error is None and draft.suite is not None:
        return run_suite(draft.suite, read_dsn=read_dsn, write_dsn=write_dsn, run_id=run_id, scope=scope)
    suite = draft.suite or Suite(draft.name, "", None, ())
    reason = str(draft.error)
    outcome = SuiteOutcome(suite, run_id, scope, datetime.now(UTC), (could_not_run(reason),), 0.0, error=reason)
    return store(outcome, write_dsn)


def catch_up(run: Callable[[], SuiteOutcome]) -> Iterator[SuiteOutcome]:
    """Run a suite, and again while there is more that is new than one run looks at; ends at what is bad, and in time.

    Parameters
    ----------
    run:
        ``run_suite`` or ``run_draft`` with its arguments.
    """
    until = time.monotonic() + CATCH_UP_SECONDS
    while True:
        outcome = run()
        yield outcome
        if not outcome.is_behind or outcome.verdict in ("failed", "broken") or time.monotonic() > until:
            return


@contextmanager
def _alone(write_dsn: str, suite: Suite) -> Iterator[None]:
    """Wait until nobody else looks at what is new: whoever comes second need not look at what the first found good."""
    with closing(connect(write_dsn, autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute(_SQL["lock_suite"], {"key": ADVISORY_LOCK, "suite": suite.name})
        yield


@dataclass(frozen=True)
class _Sight:
    """What one run of a suite looks at, as it is in one snapshot.

    ``condition`` says which rows, None for all of them; ``placeholders`` are those of custom SQL.
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
    """The outcome with its results."""
    schema, table = outcome.suite.table.split(".")
    schema = CANDIDATES if outcome.scope == "candidate" else schema
    options = session_options(schema, timeout_seconds)
    # Its transaction keeps the snapshot open for all others.
    with closing(connect(read_dsn, options=options)) as holder, holder.cursor() as cursor:
        sight = _sight(cursor, outcome, schema, table)
        chosen = [check for check in outcome.suite.checks if check.is_for(outcome.scope)]
        settled = {number: _settle(cursor, outcome.suite, check, sight) for number, check in enumerate(chosen)}
        left = [
            (number, _filled(check, sight.placeholders))
            for number, check in enumerate(chosen)
            if settled[number] is None
        ]
        made = _make(left, sight, read_dsn, timeout_seconds)
    results = [replace(settled[number] or made[number], check=check) for number, check in enumerate(chosen)]
    if outcome.suite.columns is not None:
        results.insert(0, result_of_columns(outcome.suite.columns, sight.columns))
    return replace(outcome, results=tuple(results), window=sight.window, is_behind=sight.is_behind)


def _make(
    checks: list[tuple[int, Check]], sight: _Sight, read_dsn: str, timeout_seconds: float
) -> dict[int, CheckResult]:
    if not checks:
        return {}
    with engine_of(
        read_dsn,
        sight.relation,
        sight.condition,
        row_count=sight.row_count,
        snapshot=sight.snapshot,
        timeout_seconds=timeout_seconds,
    ) as engine:
        return engine.check(checks)


def _sight(cursor: Any, outcome: SuiteOutcome, schema: str, table: str) -> _Sight:
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
    }
    return _Sight(relation, columns, window, is_behind, condition, row_count, snapshot, placeholders)


def _window(cursor: Any, outcome: SuiteOutcome) -> tuple[tuple[datetime | None, datetime] | None, bool]:
    """What to look at, and whether more is new than that."""
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


def _settle(cursor: Any, suite: Suite, check: Check, sight: _Sight) -> CheckResult | None:
    """The result of a check that need not be made, or cannot: None for all others."""
    fault = fault_of_columns(suite, check, sight.columns)
    if fault is not None:
        return could_not_check(check, fault)
    if check.needs is None:
        return None
    # Suites are code, and the role that runs them reads.
    batch = f"(SELECT * FROM {sight.relation} WHERE {sight.condition or 'true'})"  # noqa: S608
    cursor.execute(_SQL["before_needs"])
    try:
        query = fill(check.needs.query, {**sight.placeholders, "batch": batch}).rstrip("; \n")
        cursor.execute(sql.SQL(_SQL["needs"]).format(query=sql.SQL(query)))
        (is_enough,) = one_row(cursor)
        return None if is_enough else not_judged(check, check.needs.otherwise)
    except psycopg2.Error as error:
        return could_not_check(check, f"{suite.path}:{check.line}: needs: {str(error).strip()}")
    finally:
        cursor.execute(_SQL["after_needs"])


def _filled(check: Check, placeholders: dict[str, str]) -> Check:
    query = check.parameters.get(QUERY)
    if query is None:
        return check
    return replace(check, parameters={**check.parameters, QUERY: fill(query, placeholders)})
