"""Great Expectations at work on one table of PostgreSQL, in one snapshot, reading as little as it can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import parse_dsn

from include.quality import catalog
from include.quality.model import Check
from include.quality.results import CheckResult, has_error, interpret

# Names the driver; where to connect comes from connect_args, which know sockets and password files.
_URL = "postgresql+psycopg2://from@connect-args/"

Numbered = list[tuple[int, Check]]


def session_options(schema: str, timeout_seconds: float) -> str:
    """What libpq tells the server of a session that checks: it reads only, with a time limit, in one snapshot."""
    return (
        f"-c timezone=UTC -c search_path={schema} -c default_transaction_read_only=on"
        f" -c default_transaction_isolation=repeatable\\ read -c statement_timeout={timeout_seconds * 1000:.0f}"
    )


class Engine:
    """One table, or those of its rows that a condition names, as Great Expectations sees it.

    Parameters
    ----------
    read_dsn:
        A connection that may read.
    relation:
        ``schema.table``.
    condition:
        An SQL condition, or None for all rows.
    row_count:
        How many rows that is.
    snapshot:
        An exported snapshot, whose transaction is open for as long as this is used. The library asks for the rows of a
        table and for those that are NULL in two queries; while the stream commits in between, the second may count more
        than the first, which the library takes for a broken result.
    timeout_seconds:
        The longest that one query may take.
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
        """The results by number. A check that could not be made is a failure with an error, and hinders no other."""
        custom = [one for one in checks if one[1].expectation == catalog.CUSTOM_SQL]
        others = [one for one in checks if one[1].expectation != catalog.CUSTOM_SQL]
        # Only custom SQL may return its rows: their number is limited, that of a column's unexpected values is not.
        return {**self._in_common(others), **self._one_by_one(custom, "COMPLETE")}

    def _in_common(self, checks: Numbered) -> dict[int, CheckResult]:
        """Checks that share queries. Those of rows are first only counted, all in one pass.

        To ask for the values that are wrong means to read the whole table once for each check, so only those that found
        some are made again.
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
        # One that cannot be made takes those down with which it shares a query.
        return {**results, **self._one_by_one(alone, "SUMMARY")}

    def _one_by_one(self, checks: Numbered, result_format: str) -> dict[int, CheckResult]:
        """Checks that have their queries, and so their time, to themselves."""
        results = {}
        for number, check in checks:
            began = time.perf_counter()
            validation = self._validate([(number, check)], result_format).get(number)
            duration_ms = round(1000 * (time.perf_counter() - began), 1)
            results[number] = interpret(check, validation, row_count=self._row_count, duration_ms=duration_ms)
        return results

    def _validate(self, checks: Numbered, result_format: str) -> dict[int, Any]:
        """The library's results by number."""
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
    """Keep the library from fetching all rows of a query asset, which it does only to learn their columns.

    Everywhere else the query stands as a subquery; run by itself it gets a LIMIT.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def limit(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return (f"{statement} LIMIT 0" if statement.replace("%%", "%") == query else statement), parameters


@contextmanager
def engine_of(*arguments: Any, **options: Any) -> Iterator[Engine]:
    """An engine that is closed in the end."""
    engine = Engine(*arguments, **options)
    try:
        yield engine
    finally:
        engine.close()
