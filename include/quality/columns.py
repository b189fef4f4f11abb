"""The columns of a table: those that its suite declares, and those that PostgreSQL knows."""

from __future__ import annotations

import re
from typing import Any

from include.db import load_queries
from include.errors import SuiteError
from include.quality.model import Check, Suite
from include.quality.results import CheckResult
from include.quality.yaml_source import did_you_mean

# The check that a suite's `columns:` stands for.
COLUMNS_CHECK = "columns_are_as_declared"

_SQL = load_queries("quality")
# As people write them, and as PostgreSQL does.
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
    """The types of the columns that the role may see, by name, in their order.

    Raises
    ------
    SuiteError
        When there is no such table or view.
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
    """Whether the table has exactly the declared columns and types, in whichever order."""
    check = Check(COLUMNS_CHECK, COLUMNS_CHECK, {}, "critical", "Whoever reads the table counts on its columns.")
    faults = [f"{name} is missing" for name in declared if name not in actual]
    faults += [
        f"{name} is {actual[name]}, not {type_name}"
        for name, type_name in declared.items()
        if name in actual and _canonical(type_name) != actual[name]
    ]
    faults += [f"{name} is not declared" for name in actual if name not in declared]
    observed = "; ".join(faults) or f"{len(actual)} columns"
    return CheckResult(check, not faults, observed, f"the {len(declared)} columns and types that the suite declares")


def fault_of_columns(suite: Suite, check: Check, actual: dict[str, str]) -> str | None:
    """What is wrong with the columns of a check, with its place; None when the table has them."""
    for column in check.columns:
        if column not in actual:
            place = f"{suite.path}:{check.line}"
            return f"{place}: {suite.table} has no column {column}{did_you_mean(str(column), actual)}"
    return None


def _canonical(type_name: str) -> str:
    """``numeric(12, 2)`` as PostgreSQL writes it: ``numeric(12,2)``."""
    name = re.sub(r"\s*([,()])\s*", r"\1", type_name.strip().lower())
    base, bracket, rest = name.partition("(")
    is_array = base.endswith("[]")
    base = base.removesuffix("[]")
    return _ALIASES.get(base, base) + ("[]" if is_array else "") + bracket + rest
