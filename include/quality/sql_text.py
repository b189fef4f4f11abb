"""What can be said of a suite's SQL without running it, and its placeholders.

The role that runs it can only read, so this protects nothing: it says at once, with the line, what PostgreSQL would say
at the next run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

PLACEHOLDERS = ("batch", "window_from", "window_to", "last_batch_id")

# In the order of their beginnings: texts, quoted names, comments; what is in them is not SQL.
_INERT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
# At the beginning, after another statement, or as a common table expression.
_WRITES = re.compile(
    r"(?:\A|[;(])\s*(DELETE|INSERT|UPDATE|MERGE|TRUNCATE|DROP|ALTER|CREATE|GRANT|REVOKE|COPY|CALL|DO|REFRESH|VACUUM|LOCK"
    r"|SET|BEGIN|COMMIT|ROLLBACK)\b",
    re.IGNORECASE,
)
_READS = re.compile(r"^\s*\(*\s*(SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)


def fault_of_query(query: str) -> str:
    """What is wrong with a query of a suite, as the end of a sentence; empty when nothing is."""
    bare = _INERT.sub(" ", query)
    if write := _WRITES.search(bare):
        return f"has {write[1].upper()} in it; a check only reads, and its role may do no more: write a SELECT"
    if not _READS.match(bare):
        return f"begins with {bare.split()[0] if bare.split() else 'nothing'}; write one SELECT, or WITH ... SELECT"
    if ";" in bare.strip().rstrip(";"):
        return "has more than one statement; write one SELECT"
    return _fault_of_braces(query)


def _fault_of_braces(query: str) -> str:
    try:
        fields = [name for _, name, _, _ in Formatter().parse(query) if name is not None]
    except ValueError as error:
        return f"has a brace without its other half ({error}); a brace that belongs to the SQL is written twice"
    for name in fields:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            return f"has {{{name}}}; known are {known}, and a brace that belongs to the SQL is written twice"
    return ""


def fill(query: str, values: Mapping[str, str]) -> str:
    """The query with these placeholders replaced; ``{batch}`` and doubled braces are left to Great Expectations."""
    for name, value in values.items():
        query = query.replace(f"{{{name}}}", value)
    return query
