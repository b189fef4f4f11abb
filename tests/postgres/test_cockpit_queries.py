"""Tests of the cockpit's statements on a long history: they read a bounded part of it, and their role cannot write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.db import connect, load_queries
from include.db.connect import one_row
from include.db.queries import SQL_DIR
from include.settings import Settings
from tests.support.long_history import make_history
from tests.support.postgres import cloned_database

MODULES = [*sorted(path.stem for path in (SQL_DIR / "queries").glob("cockpit_*.sql")), "suite_runs"]
READS = {
    f"{module}.{name}": sql
    for module in MODULES
    if module != "cockpit_actions"
    for name, sql in load_queries(module).items()
}
PARAMETERS = {
    "query": "events",
    "since": datetime.now(UTC) - timedelta(days=1),
    "until": datetime.now(UTC),
    "limit": 51,
    "before": 2**63 - 1,
    "state": "quarantined",
    "minutes": 60,
    "bound": 20_000,
    "reason": "row_ragged",
    "with_raw": True,
    "raw_characters": 2000,
    "names": ["mart_daily_kpis", "mart_conversion_funnel"],
    "suite": "events",
    "quality_run_id": 3,
    "quality_run_ids": [3, 4, 5],
    "objective": None,
    "is_open": False,
    "severity": None,
    "alert_id": 3,
    "miss_id": 3,
    "alive_seconds": 15,
    "stall_seconds": 120,
    "start_seconds": 180,
    "gone_seconds": 60,
    "file_id": 3,
    "file_ids": [1, 2, 3],
    "retraction_id": 3,
    "alert_ids": [1, 2, 3],
    "view_name": None,
    "day": None,
    "view": "shop.mart_daily_kpis",
}
# The tables that grow with time: no statement may scan one of them completely.
LONG = {
    *("batches", "files", "rejects", "rollup_minute", "rollup_hour", "quality_runs", "quality_results", "refreshes"),
    *("objective_minutes", "objective_misses", "alerts", "alert_deliveries", "actions"),
}
# Three and a half days with a batch every 15 s.
BATCHES = 20_000
# The largest read: the rejects that an answer examines, in each of the three steps of its plan. The rollups of an
# hour, or of the hours of a day (5 types, 5 categories, 3 currencies), are fewer.
MOST_ROWS = 3 * 20_000


@pytest.fixture(scope="module")
def history(cluster: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Yield a database with some days of history."""
    with cloned_database(cluster, Path(tmp_path_factory.mktemp("history")) / "home") as settings:
        make_history(settings, batches=BATCHES)
        yield settings


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _explain(settings: Settings, sql: str) -> dict[str, Any]:
    connection = connect(settings.dsn("quality"), options="-c timezone=UTC -c jit=off")
    try:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, PARAMETERS)
            (content,) = one_row(cursor)
    finally:
        connection.close()
    found: dict[str, Any] = (json.loads(content) if isinstance(content, str) else content)[0]
    return found


@pytest.mark.parametrize("name", READS)
def test_a_statement_is_served_by_indexes(history: Settings, name: str) -> None:
    explained = _explain(history, READS[name])
    scanned = {node["Relation Name"] for node in _nodes(explained["Plan"]) if node["Node Type"] == "Seq Scan"}
    assert scanned & LONG == set()
    # A complete scan through an index is not allowed either.
    read = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(explained["Plan"])
        if node.get("Relation Name") in LONG
    )
    assert read <= MOST_ROWS


def test_the_role_that_reads_for_the_cockpit_cannot_write(history: Settings) -> None:
    connection = connect(history.dsn("quality"))
    try:
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("INSERT INTO shop.actions (actor, action, subject) VALUES ('a', 'b', 'c')")
        connection.rollback()
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(
                "SET TRANSACTION READ WRITE; INSERT INTO shop.actions (actor, action, subject) VALUES ('a', 'b', 'c')"
            )
    finally:
        connection.close()
