"""Store outcomes: one row in ``shop.quality_runs``, and one per check in ``shop.quality_results``."""

from __future__ import annotations

from dataclasses import replace

from psycopg2.extras import execute_values

from include.db import load_queries, one_row, transaction
from include.quality.results import SuiteOutcome

_SQL = load_queries("quality")


def store(outcome: SuiteOutcome, write_dsn: str) -> SuiteOutcome:
    """Store an outcome in one transaction, and return it with its ``quality_run_id``."""
    window_from, window_to = outcome.window or (None, None)
    run = {
        "run_id": outcome.run_id,
        "suite": outcome.suite.name,
        "table_name": outcome.suite.table,
        "owner": outcome.suite.owner,
        "scope": outcome.scope,
        "window_from": window_from,
        "window_to": window_to,
        "started_at": outcome.started_at,
        "verdict": outcome.verdict,
        "checks": len(outcome.results),
        "critical_failures": len(outcome.critical_failures),
        "warnings": len(outcome.warnings),
        "not_judged": len(outcome.not_judged),
        "is_complete": outcome.is_complete,
        "error": outcome.error,
    }
    with transaction(write_dsn) as cursor:
        cursor.execute(_SQL["store_run"], run)
        (quality_run_id,) = one_row(cursor)
        execute_values(
            cursor,
            _SQL["store_results"],
            [{**run, "quality_run_id": quality_run_id, **result.row()} for result in outcome.results],
            template="(%(quality_run_id)s, %(run_id)s, %(suite)s, %(table_name)s, %(check_name)s, %(column_name)s,"
            " %(severity)s, %(status)s, %(observed)s, %(expected)s, %(sample)s::jsonb, %(error)s,"
            " %(duration_ms)s)",
        )
    return replace(outcome, quality_run_id=quality_run_id)
