"""Runs a suite against Postgres and stores its results.

The library reads as a role that can only read, in read-only transactions with a time limit; the results are written
with the rights of another role before anything is raised, so that no failure is only a line in a log.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from psycopg2.extensions import parse_dsn
from psycopg2.extras import execute_values

from include.db import connect, load_queries, one_row, transaction
from include.quality import catalog
from include.quality.results import CheckResult, SuiteOutcome, could_not_run, interpret
from include.quality.suites import Check, Suite

QUERY_TIMEOUT_SECONDS = 120.0

_SQL = load_queries("quality")
# Names the driver; where to connect comes from connect_args, which know sockets and password files.
_URL = "postgresql+psycopg2://from@connect-args/"


def run_suite(
    suite: Suite,
    *,
    read_dsn: str,
    write_dsn: str,
    run_id: str,
    timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
) -> SuiteOutcome:
    """Check everything in a suite, and store every result in ``shop.quality_results``.

    A check that could not be made, and a suite whose table is missing, are failures like any other.

    Parameters
    ----------
    suite:
        One of ``load_suites``.
    read_dsn, write_dsn:
        Connections as role quality, which reads the data, and as role ops, which stores the results.
    run_id:
        Ties the results of several suites together; in Airflow the id of the DAG run.
    timeout_seconds:
        The longest that one query may take, seconds.
    """
    start = time.perf_counter()
    try:
        results = _check(suite, read_dsn, timeout_seconds)
    except Exception as error:
        # Whatever kept the library from running the suite must become a row, or the failure would look like silence.
        results = [could_not_run(f"{type(error).__name__}: {error}")]
    outcome = SuiteOutcome(suite, run_id, tuple(results), time.perf_counter() - start)
    _store(outcome, write_dsn)
    return outcome


def _check(suite: Suite, read_dsn: str, timeout_seconds: float) -> list[CheckResult]:
    context = catalog.great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    schema, table = suite.table.split(".")
    options = (
        f"-c timezone=UTC -c search_path={schema} -c default_transaction_read_only=on"
        f" -c default_transaction_isolation=repeatable\\ read -c statement_timeout={timeout_seconds * 1000:.0f}"
    )
    source = context.data_sources.add_postgres(
        "shop", connection_string=_URL, kwargs={"connect_args": {**parse_dsn(read_dsn), "options": options}}
    )
    try:
        with _one_snapshot(source.get_execution_engine().engine, read_dsn):
            return _results(source, suite, table)
    finally:
        source.get_execution_engine().engine.dispose()
        source.get_engine().dispose()


@contextmanager
def _one_snapshot(engine: Any, read_dsn: str) -> Iterator[None]:
    """Let every transaction of the engine see the same state of the database.

    The library asks for the rows of a table and for those that are NULL in two queries; while the stream commits in
    between, the second may count more than the first, which the library takes for a broken result.
    """
    from sqlalchemy import event

    with closing(connect(read_dsn)) as holder, holder.cursor() as cursor:
        holder.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute(_SQL["export_snapshot"])
        (snapshot,) = one_row(cursor)

        def adopt(connection: Any) -> None:
            connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")

        event.listen(engine, "begin", adopt)
        yield


def _results(source: Any, suite: Suite, table: str) -> list[CheckResult]:
    batch = _asset(source, suite, table).add_batch_definition_whole_table("all").get_batch()
    numbered = list(enumerate(suite.checks))
    custom = [(number, check) for number, check in numbered if check.expectation == catalog.CUSTOM_SQL]
    others = [(number, check) for number, check in numbered if check.expectation != catalog.CUSTOM_SQL]
    # Only custom SQL may return its rows: their number is limited, that of a column's unexpected values is not.
    validations = {**_validate(batch, others, "SUMMARY"), **_validate(batch, custom, "COMPLETE")}
    return [interpret(check, validations.get(number)) for number, check in numbered]


def _asset(source: Any, suite: Suite, table: str) -> Any:
    if suite.rows is None:
        return source.add_table_asset(suite.name, table_name=table)
    query = f"SELECT * FROM {suite.table} WHERE {suite.rows}"  # noqa: S608 - suites are code, run by a role that reads
    _fetch_no_rows(source.get_execution_engine().engine, query)
    return source.add_query_asset(suite.name, query=query)


def _fetch_no_rows(engine: Any, query: str) -> None:
    """Keep the library from fetching all rows of a query asset, which it does only to learn their columns.

    Everywhere else the query stands as a subquery; run by itself it gets a LIMIT.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def limit(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return (f"{statement} LIMIT 0" if statement.replace("%%", "%") == query else statement), parameters


def _validate(batch: Any, checks: list[tuple[int, Check]], result_format: str) -> dict[int, Any]:
    """The library's results by number of the check."""
    if not checks:
        return {}
    expectations = [
        catalog.build(check.expectation, check.parameters, severity=check.severity, number=number)
        for number, check in checks
    ]
    suite = catalog.great_expectations().ExpectationSuite(name=result_format, expectations=expectations)
    results = batch.validate(suite, result_format=result_format).results
    return {one.expectation_config.meta["number"]: one for one in results}


def _store(outcome: SuiteOutcome, write_dsn: str) -> None:
    run = {
        "run_id": outcome.run_id,
        "suite": outcome.suite.name,
        "table_name": outcome.suite.table,
        "duration_ms": round(1000 * outcome.seconds, 1),
    }
    with transaction(write_dsn) as cursor:
        execute_values(
            cursor,
            _SQL["store"],
            [{**run, **result.row()} for result in outcome.results],
            template="(%(run_id)s, %(suite)s, %(table_name)s, %(check_name)s, %(column_name)s, %(severity)s,"
            " %(is_success)s, %(observed)s, %(expected)s, %(sample)s::jsonb, %(error)s, %(duration_ms)s)",
        )
