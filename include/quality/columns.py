"""Compare the columns that a suite declares with those of the table in PostgreSQL."""

from __future__ import annotations

import re
from typing import Any

from include.db import load_queries
from include.errors import SuiteError
from include.quality.model import Check, Suite
from include.quality.results import CheckResult, Status
from include.quality.yaml_source import did_you_mean

# The check that a suite's `columns:` stands for.
COLUMNS_CHECK = "columns_are_as_declared"

_SQL = load_queries("quality")
# Common spellings of types, and the names that PostgreSQL reports.
_ALIASES = {
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "int": "integer",
    "int8": "bigint",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
}


def columns_of(cursor: Any, schema: str, table: str) -> dict[str, str]:
    """Return the types of the columns that the role may see, by column name, in table order.

    Raises
    ------
    SuiteError
        When the table or view does not exist.
    """
    cursor.execute(_SQL["columns"], {"schema": schema, "table": table})
    columns = dict(cursor.fetchall())
    if not columns:
        cursor.execute(_SQL["relations"], {"schema": schema})
        known = [f"{schema}.{name}" for (name,) in cursor.fetchall()]
        name = f"{schema}.{table}"
        raise SuiteError(
            f"there is no table or view {name}{did_you_mean(name, known)}", "Correct `table:` in the suite"
        )
    return columns


def result_of_columns(declared: dict[str, str], actual: dict[str, str]) -> CheckResult:
    """Check that the table has exactly the declared columns and types, in any order."""
    check = Check(COLUMNS_CHECK, COLUMNS_CHECK, {}, "critical", "Readers of the table depend on its columns.")
    faults = [f"{name} is missing" for name in declared if name not in actual]
    faults += [
        f"{name} is {actual[name]}, not {type_name}"
        for name, type_name in declared.items()
        if name in actual and _canonical(type_name) != actual[name]
    ]
    faults += [f"{name} is not declared" for name in actual if name not in declared]
    status: Status = "failed" if faults else "passed"
    observed = "; ".join(faults) or f"{len(actual)} columns"
    return CheckResult(check, status, observed, f"the {len(declared)} columns and types that the suite declares")


def fault_of_columns(suite: Suite, check: Check, actual: dict[str, str]) -> str | None:
    """Return the message, with file and line, about a check's column that the table lacks; None if it has all."""
    for column in check.columns:
        if column not in actual:
            place = f"{suite.path}:{check.line}"
            return f"{place}: {suite.table} has no column {column}{did_you_mean(str(column), actual)}"
    return None


def _canonical(type_name: str) -> str:
    """Return a type as PostgreSQL writes it, for example ``numeric(12,2)`` for ``numeric(12, 2)``."""
    name = re.sub(r"\s*([,()])\s*", r"\1", type_name.strip().lower())
    base, bracket, rest = name.partition("(")
    is_array = base.endswith("[]")
    base = base.removesuffix("[]")
    return _ALIASES.get(base, base) + ("[]" if is_array else "") + bracket + rest
