"""Runs a suite against Postgres and stores its results.

The library reads as a role that can only read, in read-only transactions with a time limit; the results are written
with the rights of another role before anything is raised, so that no failure is only a line in a log.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
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

QUERY_TIMEOUT_SECONDS = 120.0
# A batch that was under way when the last check looked has rows that are older than it.
OVERLAP_SECONDS = 300.0
CANDIDATES = "shop_next"

_SQL = load_queries("quality")


def run_suite(
    suite: Suite,
    *,
    read_dsn: str,
    write_dsn: str,
    run_id: str,
    scope: Scope = "window",
    timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
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
        ``window``: what was loaded since the last good check, of a suite that has a window, else all; ``full``: all
        rows; ``candidate``: the rows of a view that are not published yet.
    timeout_seconds:
        The longest that one query may take, seconds.
    """
    start, started_at = time.perf_counter(), datetime.now(UTC)
    if suite.window is None and scope == "window":
        scope = "full"
    outcome = SuiteOutcome(suite, run_id, scope, started_at, (), 0.0)
    try:
        outcome = _Run(outcome, read_dsn, timeout_seconds).finished()
    except Exception as error:
        # Whatever kept the library from running the suite must become a row, or the failure would look like silence.
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


@dataclass
class _Run:
    """One run, in one snapshot."""

    outcome: SuiteOutcome
    read_dsn: str
    timeout_seconds: float

    def __post_init__(self) -> None:
        self.suite = self.outcome.suite
        schema, self.table = self.suite.table.split(".")
        self.schema = CANDIDATES if self.outcome.scope == "candidate" else schema
        self.relation = f"{self.schema}.{self.table}"

    def finished(self) -> SuiteOutcome:
        options = session_options(self.schema, self.timeout_seconds)
        with closing(connect(self.read_dsn, options=options)) as holder, holder.cursor() as cursor:
            cursor.execute(_SQL["export_snapshot"])
            (snapshot,) = one_row(cursor)
            columns = columns_of(cursor, self.schema, self.table)
            window = self._window(cursor)
            condition = self._condition(cursor, window)
            row_count = self._count(cursor, condition)
            placeholders = self._placeholders(cursor, window)
            results = self._results(cursor, columns, condition, row_count, snapshot, placeholders)
        return replace(self.outcome, results=results, window=window)

    def _results(
        self,
        cursor: Any,
        columns: dict[str, str],
        condition: str | None,
        row_count: int,
        snapshot: str,
        placeholders: dict[str, str],
    ) -> tuple[CheckResult, ...]:
        known: list[CheckResult] = []
        if self.suite.columns is not None:
            known.append(result_of_columns(self.suite.columns, columns))
        numbered = [one for one in enumerate(self.suite.checks) if one[1].is_for(self.outcome.scope)]
        settled: dict[int, CheckResult] = {}
        for number, check in numbered:
            batch = f"(SELECT * FROM {self.relation} WHERE {condition or 'true'})"  # noqa: S608 - as in engine
            result = self._settle(cursor, check, columns, {**placeholders, "batch": batch})
            if result is not None:
                settled[number] = result
        left = [(number, _filled(check, placeholders)) for number, check in numbered if number not in settled]
        if left:
            with engine_of(
                self.read_dsn,
                self.relation,
                condition,
                row_count=row_count,
                snapshot=snapshot,
                timeout_seconds=self.timeout_seconds,
            ) as engine:
                settled |= engine.check(left)
        return (*known, *(replace(settled[number], check=check) for number, check in numbered))

    def _settle(
        self, cursor: Any, check: Check, columns: dict[str, str], placeholders: dict[str, str]
    ) -> CheckResult | None:
        """The result of a check that need not be made, or cannot: None for all others."""
        fault = fault_of_columns(self.suite, check, columns)
        if fault is not None:
            return could_not_check(check, fault)
        if check.needs is None:
            return None
        cursor.execute(_SQL["before_needs"])
        try:
            cursor.execute(fill(check.needs.query, placeholders))
            return None if cursor.rowcount else not_judged(check, check.needs.otherwise)
        except psycopg2.Error as error:
            return could_not_check(check, f"{_place(self.suite.path, check)}: needs: {str(error).strip()}")
        finally:
            cursor.execute(_SQL["after_needs"])

    def _window(self, cursor: Any) -> tuple[datetime | None, datetime] | None:
        window = self.suite.window
        if window is None:
            return None
        cursor.execute(
            _SQL["window"],
            {
                "suite": self.suite.name,
                "first": window.first,
                "longest": window.longest,
                "overlap_seconds": OVERLAP_SECONDS,
            },
        )
        window_from, window_to = one_row(cursor)
        return (None if self.outcome.scope == "full" else window_from), window_to

    def _condition(self, cursor: Any, window: tuple[datetime | None, datetime] | None) -> str | None:
        conditions = [f"({self.suite.rows})"] if self.suite.rows else []
        if self.suite.window is not None and window is not None and window[0] is not None:
            bounds = sql.SQL("{column} > {window_from} AND {column} <= {window_to}").format(
                column=sql.Identifier(self.suite.window.column),
                window_from=sql.Literal(window[0]),
                window_to=sql.Literal(window[1]),
            )
            conditions.append(bounds.as_string(cursor))
        return " AND ".join(conditions) or None

    def _count(self, cursor: Any, condition: str | None) -> int:
        where = sql.SQL(condition or "true")
        relation = sql.Identifier(self.schema, self.table)
        cursor.execute(sql.SQL(_SQL["count"]).format(relation=relation, where=where))
        return int(one_row(cursor)[0])

    def _placeholders(self, cursor: Any, window: tuple[datetime | None, datetime] | None) -> dict[str, str]:
        cursor.execute(_SQL["last_batch"], {"view_name": self.table, "is_candidate": self.outcome.scope == "candidate"})
        (last_batch_id,) = one_row(cursor)
        window_from, window_to = window or (None, self.outcome.started_at)
        return {
            "window_from": f"'{window_from.isoformat() if window_from else '-infinity'}'::timestamptz",
            "window_to": f"'{window_to.isoformat()}'::timestamptz",
            "last_batch_id": f"{last_batch_id}::bigint",
        }


def _filled(check: Check, placeholders: dict[str, str]) -> Check:
    query = check.parameters.get(QUERY)
    if query is None:
        return check
    return replace(check, parameters={**check.parameters, QUERY: fill(query, placeholders)})


def _place(path: Path, check: Check) -> str:
    return f"{path}:{check.line}"
