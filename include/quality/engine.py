"""Run Great Expectations on one PostgreSQL table in one snapshot, with as few reads as possible."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import parse_dsn

from include.quality import catalog
from include.quality.model import Check
from include.quality.results import CheckResult, has_error, interpret

# Names only the driver. The address comes from connect_args, which support sockets and password files.
_URL = "postgresql+psycopg2://from@connect-args/"

Numbered = list[tuple[int, Check]]


def session_options(schema: str, timeout_seconds: float) -> str:
    """Return the libpq options of a checking session: read-only, repeatable read, with a statement timeout."""
    return (
        f"-c timezone=UTC -c search_path={schema} -c default_transaction_read_only=on"
        f" -c default_transaction_isolation=repeatable\\ read -c statement_timeout={timeout_seconds * 1000:.0f}"
    )


class Engine:
    """A table, or the rows of it that meet a condition, as a Great Expectations batch.

    Parameters
    ----------
    read_dsn:
        A connection with read access.
    relation:
        ``schema.table``.
    condition:
        An SQL condition, or None for all rows.
    row_count:
        Number of rows that meet the condition.
    snapshot:
        An exported snapshot, whose transaction must stay open while the engine is used. The library counts the rows of
        a table and the NULL ones in two queries. Without a snapshot, the stream may commit between them, and the second
        may count more rows than the first, which the library reports as an error.
    timeout_seconds:
        The statement timeout of each query, seconds.
    """

    def __init__(
        self,
        read_dsn: str,
        relation: str,
        condition: str | None,
        *,
        row_count: int,
        snapshot: str,
        timeout_seconds: float,
    ) -> None:
        from sqlalchemy import event

        self._row_count = row_count
        schema, table = relation.split(".")
        context = catalog.great_expectations().get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        options = session_options(schema, timeout_seconds)
        self._source = context.data_sources.add_postgres(
            "shop", connection_string=_URL, kwargs={"connect_args": {**parse_dsn(read_dsn), "options": options}}
        )
        engine = self._source.get_execution_engine().engine

        @event.listens_for(engine, "begin")
        def adopt(connection: Any) -> None:
            connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")

        if condition is None:
            asset = self._source.add_table_asset(table, table_name=table)
        else:
            query = f"SELECT * FROM {relation} WHERE {condition}"  # noqa: S608 - suites are code, run by a role that reads
            _fetch_no_rows(engine, query)
            asset = self._source.add_query_asset(table, query=query)
        self._batch = asset.add_batch_definition_whole_table("all").get_batch()

    def close(self) -> None:
        """Close every connection."""
        self._source.get_execution_engine().engine.dispose()
        self._source.get_engine().dispose()

    def check(self, checks: Numbered) -> dict[int, CheckResult]:
        """Return the results by number. A check that cannot run gives a result with an error and affects no other."""
        custom = [one for one in checks if one[1].expectation == catalog.CUSTOM_SQL]
        others = [one for one in checks if one[1].expectation != catalog.CUSTOM_SQL]
        # Only custom SQL may return all its rows. Their number is limited; that of a column's unexpected values is not.
        return {**self._in_common(others), **self._one_by_one(custom, "COMPLETE")}

    def _in_common(self, checks: Numbered) -> dict[int, CheckResult]:
        """Run checks that share queries; the first pass over row checks only counts failing rows, in one query.

        To fetch the failing values, the library reads the whole table once for each check, so only the checks that
        found failing rows run again.
        """
        of_rows = [one for one in checks if catalog.is_of_rows(one[1].expectation)]
        of_tables = [one for one in checks if not catalog.is_of_rows(one[1].expectation)]
        found = {**self._validate(of_rows, "BOOLEAN_ONLY"), **self._validate(of_tables, "SUMMARY")}
        alone = [(number, check) for number, check in checks if has_error(found.get(number))]
        again = [
            (number, check)
            for number, check in of_rows
            if (number, check) not in alone and not (found[number].success and check.parameters.get("mostly", 1) == 1)
        ]
        found |= self._validate(again, "SUMMARY")
        results = {number: interpret(check, found.get(number), row_count=self._row_count) for number, check in checks}
        # A check with an error also fails the checks that share its query, so each of these runs alone.
        return {**results, **self._one_by_one(alone, "SUMMARY")}

    def _one_by_one(self, checks: Numbered, result_format: str) -> dict[int, CheckResult]:
        """Run each check with its own queries, and measure its duration."""
        results = {}
        for number, check in checks:
            began = time.perf_counter()
            validation = self._validate([(number, check)], result_format).get(number)
            duration_ms = round(1000 * (time.perf_counter() - began), 1)
            results[number] = interpret(check, validation, row_count=self._row_count, duration_ms=duration_ms)
        return results

    def _validate(self, checks: Numbered, result_format: str) -> dict[int, Any]:
        """Return the library's results by number."""
        if not checks:
            return {}
        expectations = [
            catalog.build(check.expectation, check.parameters, severity=check.severity, number=number)
            for number, check in checks
        ]
        suite = catalog.great_expectations().ExpectationSuite(name=result_format, expectations=expectations)
        results = self._batch.validate(suite, result_format=result_format).results
        return {one.expectation_config.meta["number"]: one for one in results}


def _fetch_no_rows(engine: Any, query: str) -> None:
    """Keep the library from fetching all rows of a query asset just to learn its columns.

    The library runs the bare query only for that purpose, and otherwise uses it as a subquery. The bare query gets a
    LIMIT 0.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def limit(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return (f"{statement} LIMIT 0" if statement.replace("%%", "%") == query else statement), parameters


@contextmanager
def engine_of(*arguments: Any, **options: Any) -> Iterator[Engine]:
    """Create an engine and close it at the end."""
    engine = Engine(*arguments, **options)
    try:
        yield engine
    finally:
        engine.close()
