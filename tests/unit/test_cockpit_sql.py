"""The statements of the cockpit: none looks at events, and those that read cannot write."""

from __future__ import annotations

import re

import pytest

from include.db import load_queries
from include.db.queries import SQL_DIR

MODULES = sorted(path.stem for path in (SQL_DIR / "queries").glob("cockpit_*.sql"))
STATEMENTS = {f"{module}.{name}": sql for module in MODULES for name, sql in load_queries(module).items()}


def test_there_are_some() -> None:
    assert len(STATEMENTS) > 30


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_looks_at_events_or_facts(name: str) -> None:
    # Rollups and the ledger stay small; a page that is looked at each second must not read what does not.
    tables = set(re.findall(r"\bshop\.(\w+)", STATEMENTS[name]))
    assert not {table for table in tables if table in ("events", "conflicts") or table.startswith("fact_")}


@pytest.mark.parametrize("name", [name for name in STATEMENTS if not name.startswith("cockpit_acts.")])
def test_readers_only_read(name: str) -> None:
    assert not re.search(r"\b(INSERT|UPDATE|DELETE|FOR UPDATE|nextval)\b", STATEMENTS[name])


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "LIMIT %(limit)s" in STATEMENTS[name]])
def test_lists_have_an_order(name: str) -> None:
    assert "ORDER BY" in STATEMENTS[name]
