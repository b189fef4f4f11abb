"""Tests of the cockpit's SQL: no statement reads events, and statements that read do not write."""

from __future__ import annotations

import re

import pytest

from include.db import load_queries
from include.db.queries import SQL_DIR

MODULES = [*sorted(path.stem for path in (SQL_DIR / "queries").glob("cockpit_*.sql")), "suite_runs"]
STATEMENTS = {f"{module}.{name}": sql for module in MODULES for name, sql in load_queries(module).items()}


def test_statements_are_found() -> None:
    assert len(STATEMENTS) > 30


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_events_or_facts(name: str) -> None:
    # Pages are queried every second, so they read only tables that stay small: rollups and the ledger.
    tables = set(re.findall(r"\bshop\.(\w+)", STATEMENTS[name]))
    assert not {table for table in tables if table in ("events", "conflicts") or table.startswith("fact_")}


@pytest.mark.parametrize("name", [name for name in STATEMENTS if not name.startswith("cockpit_actions.")])
def test_read_statements_do_not_write(name: str) -> None:
    assert not re.search(r"\b(INSERT|UPDATE|DELETE|FOR UPDATE|nextval)\b", STATEMENTS[name])


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "LIMIT %(limit)s" in STATEMENTS[name]])
def test_lists_have_an_order(name: str) -> None:
    assert "ORDER BY" in STATEMENTS[name]
