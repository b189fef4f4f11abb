"""List the expectation classes of Great Expectations and their parameters, and create instances of them."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

# Fields of every class that a suite may not set. Row conditions are written in SQL: as `rows:` or as a custom check.
_INTERNAL_FIELDS = frozenset(
    {
        "batch_id",
        "catch_exceptions",
        "condition_parser",
        "description",
        "id",
        "meta",
        "notes",
        "rendered_content",
        "result_format",
        "row_condition",
        "severity",
        "windows",
    }
)

CUSTOM_SQL = "unexpected_rows_expectation"
CUSTOM_SQL_LIMIT = 100
# The name under which the library registers the class of _custom_sql. Suites must not use it as an expectation.
_CUSTOM_SQL_CLASS = "unexpected_rows_read_once"


@lru_cache(maxsize=1)
def great_expectations() -> Any:
    """Import the library on the first call and return it. Its log level must be set before the import."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations

    return great_expectations


def expectation_types() -> list[str]:
    """Return the names of all expectations."""
    great_expectations()
    from great_expectations.expectations import registry

    return sorted(set(registry.list_registered_expectation_implementations()) - {_CUSTOM_SQL_CLASS})


def parameters_of(expectation: str) -> list[str]:
    """Return the parameters that a suite may give to an expectation."""
    return [name for name in _class_of(expectation).__fields__ if name not in _INTERNAL_FIELDS]


def is_of_rows(expectation: str) -> bool:
    """Return whether the expectation counts failing rows, rather than checks the table as a whole."""
    great_expectations()
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    return issubclass(
        _class_of(expectation), (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    )


def build(expectation: str, parameters: dict[str, Any], *, severity: str, number: int) -> Any:
    """Create an instance of an expectation.

    Parameters
    ----------
    expectation, parameters, severity:
        As given in the suite.
    number:
        Returned in the ``meta`` of the result, because Great Expectations does not keep the order of the checks.

    Raises
    ------
    ValidationError
        pydantic's, when a parameter is missing, unknown or of the wrong type.
    """
    if expectation == CUSTOM_SQL:
        parameters = {name: _limited(value) for name, value in parameters.items()}
        expectation_class = _custom_sql()
    else:
        expectation_class = _class_of(expectation)
    return expectation_class(**parameters, severity=severity, meta={"number": number})


@lru_cache(maxsize=1)
def _custom_sql() -> Any:
    """Return the library's class for custom SQL, changed to run each query once.

    The library runs the query twice, for the rows and for their number. At most CUSTOM_SQL_LIMIT rows are fetched, so
    they are counted here instead.
    """
    great_expectations()
    from great_expectations.expectations.core import UnexpectedRowsExpectation

    class UnexpectedRowsReadOnce(UnexpectedRowsExpectation):
        metric_dependencies = ("unexpected_rows_query.table",)

        def _validate(self, metrics: Any, *_: Any, **__: Any) -> Any:
            rows = metrics["unexpected_rows_query.table"]
            return {
                "success": not rows,
                "result": {"observed_value": len(rows), "details": {"unexpected_rows": rows}},
            }

    return UnexpectedRowsReadOnce


def _limited(query: Any) -> Any:
    """Limit custom SQL to CUSTOM_SQL_LIMIT rows, since the client fetches every row of the result."""
    if not isinstance(query, str):
        return query
    # The library prints advice about SQL without {batch}, which a check that reconciles tables does not need.
    mention = "" if "{batch}" in query else " /* {batch} */"
    return f"SELECT * FROM (\n{query.strip().rstrip(';')}\n) AS found LIMIT {CUSTOM_SQL_LIMIT}{mention}"  # noqa: S608


def _class_of(expectation: str) -> Any:
    great_expectations()
    from great_expectations.expectations import registry

    return registry.get_expectation_impl(expectation)
