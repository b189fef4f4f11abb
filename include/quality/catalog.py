"""Great Expectations' expectation classes: which exist, what they take, and instances of them."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

# Fields of every class that are no business of a suite's author. Conditions on rows are SQL: `rows:` or a custom check.
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
# What the class of _custom_sql is registered as: it is no expectation of its own.
_CUSTOM_SQL_CLASS = "unexpected_rows_read_once"


@lru_cache(maxsize=1)
def great_expectations() -> Any:
    """The library, imported at the first call; quiet. It has to be told so before it is imported."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations

    return great_expectations


def expectation_types() -> list[str]:
    """The names of all expectations."""
    great_expectations()
    from great_expectations.expectations import registry

    return sorted(set(registry.list_registered_expectation_implementations()) - {_CUSTOM_SQL_CLASS})


def parameters_of(expectation: str) -> list[str]:
    """The parameters that a suite may give to an expectation."""
    return [name for name in _class_of(expectation).__fields__ if name not in _INTERNAL_FIELDS]


def is_of_rows(expectation: str) -> bool:
    """Whether it counts the rows that do not meet it, rather than look at the table as a whole."""
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
    """An instance of an expectation.

    Parameters
    ----------
    expectation, parameters, severity:
        As the suite says.
    number:
        Comes back in the ``meta`` of the result: Great Expectations returns results in an order of its own.

    Raises
    ------
    ValidationError
        pydantic's, when a parameter is missing, unknown or of the wrong kind.
    """
    if expectation == CUSTOM_SQL:
        parameters = {name: _limited(value) for name, value in parameters.items()}
        expectation_class = _custom_sql()
    else:
        expectation_class = _class_of(expectation)
    return expectation_class(**parameters, severity=severity, meta={"number": number})


@lru_cache(maxsize=1)
def _custom_sql() -> Any:
    """The library's class for custom SQL, which runs each query twice: for its rows, and for their number.

    The rows are few (CUSTOM_SQL_LIMIT) and all here, so they can be counted here.
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
    """Custom SQL that returns no more than CUSTOM_SQL_LIMIT rows: all of them would come to the client."""
    if not isinstance(query, str):
        return query
    # The library prints advice whenever it sees SQL without {batch}, which a reconciliation has no use for.
    mention = "" if "{batch}" in query else " /* {batch} */"
    return f"SELECT * FROM (\n{query.strip().rstrip(';')}\n) AS found LIMIT {CUSTOM_SQL_LIMIT}{mention}"  # noqa: S608


def _class_of(expectation: str) -> Any:
    great_expectations()
    from great_expectations.expectations import registry

    return registry.get_expectation_impl(expectation)
