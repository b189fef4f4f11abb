"""Validate a suite's SQL without running it, and fill its placeholders.

This is not a security measure, because the role that runs the SQL can only read. It reports mistakes early and with
their line, rather than at the next run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

PLACEHOLDERS = (
    "batch",
    "window_from",
    "window_to",
    "last_batch_id",
    "cadence",
    "live",
    "grace",
    "feed_rests",
    "feed_is_expected",
)

# String literals, quoted identifiers and comments, whose content is not parsed as SQL.
_INERT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
# A writing command at the start, after another statement, or in a common table expression.
_WRITES = re.compile(
    r"(?:\A|[;(])\s*(DELETE|INSERT|UPDATE|MERGE|TRUNCATE|DROP|ALTER|CREATE|GRANT|REVOKE|COPY|CALL|DO|REFRESH|VACUUM|LOCK"
    r"|SET|BEGIN|COMMIT|ROLLBACK)\b",
    re.IGNORECASE,
)
_READS = re.compile(r"^\s*\(*\s*(SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)


def fault_of_query(query: str) -> str:
    """Return the fault of a suite's query as the end of a sentence; empty when there is none."""
    bare = _INERT.sub(" ", query)
    if write := _WRITES.search(bare):
        return f"contains {write[1].upper()}, but checks can only read: write a SELECT"
    if not _READS.match(bare):
        return f"begins with {bare.split()[0] if bare.split() else 'nothing'}; write one SELECT, or WITH ... SELECT"
    if ";" in bare.strip().rstrip(";"):
        return "has more than one statement; write one SELECT"
    return _fault_of_braces(query)


def _fault_of_braces(query: str) -> str:
    try:
        fields = [name for _, name, _, _ in Formatter().parse(query) if name is not None]
    except ValueError as error:
        return f"has an unmatched brace ({error}); double a brace that belongs to the SQL"
    for name in fields:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            return f"has {{{name}}}; known are {known}; double a brace that belongs to the SQL"
    return ""


def fill(query: str, values: Mapping[str, str]) -> str:
    """Replace these placeholders in a query; Great Expectations handles ``{batch}`` and doubled braces."""
    for name, value in values.items():
        query = query.replace(f"{{{name}}}", value)
    return query
