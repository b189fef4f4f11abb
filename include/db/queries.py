"""Load named SQL: Python code has no statements, it loads them by name from ``include/sql/queries/<module>.sql``."""

from __future__ import annotations

import re
from pathlib import Path

SQL_DIR = Path(__file__).resolve().parent.parent / "sql"

_NAME = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


def load_queries(module: str) -> dict[str, str]:
    """Read the statements of one module's file; see ``parse_queries``."""
    return parse_queries(SQL_DIR / "queries" / f"{module}.sql")


def parse_queries(path: Path) -> dict[str, str]:
    """Read the statements of one file.

    Each statement begins with a line ``-- name: <name>``, then comment lines that describe it, then the SQL with
    psycopg2's ``%(name)s`` parameters.

    Returns
    -------
    dict
        Statements by name, in the order of the file.
    """
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
