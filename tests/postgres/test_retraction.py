"""Tests that a database after a retraction equals one into which only the other deliveries were loaded."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.contract import COLUMN_NAMES, CURRENCIES, EVENT_TYPES
from include.db import transaction
from include.db.facts import advance_facts, audit_facts
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.reconcile import reconcile
from include.retraction import Retraction, RetractionError, Selection, preview, retract
from include.retraction.report import as_markdown
from include.settings import REPOSITORY, Settings
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.pipeline import Pipeline
from tests.support.postgres import cloned_database
from tests.support.rows import load_batch, make_event
from tests.support.waiting import wait_until

Row = dict[str, str | None]
File = tuple[str, str]

# Queries without generated numbers: their rows must be the same for any order of loading and retracting.
_SAME = {
    "events": f"""
        SELECT {", ".join(f"event.{name}" for name in COLUMN_NAMES)}, event.extra, files.name
        FROM shop.events AS event INNER JOIN shop.files USING (file_id)""",
    "rejects": "SELECT file_name, line, raw, reasons FROM shop.rejects",
    "conflicts": """
        SELECT event_id, files.name, line, columns, conflict.duplicate
        FROM shop.conflicts AS conflict INNER JOIN shop.files USING (file_id)""",
    "duplicates": """
        SELECT event_id, files.name, line, content
        FROM shop.duplicates AS duplicate INNER JOIN shop.files USING (file_id)""",
    "files": "SELECT name, state, read, accepted, duplicate, rejected FROM shop.files WHERE state <> 'retracted'",
    "ledger": """
        SELECT coalesce(sum(read), 0), sum(accepted), sum(duplicate), sum(rejected)
        FROM shop.batches WHERE read > 0""",
    "minutes": "SELECT minute, event_type, category, currency, events, quantity, amount FROM shop.rollup_minute",
    "hours": "SELECT hour, event_type, category, currency, events, quantity, amount FROM shop.rollup_hour",
    **{
        fact: f"SELECT * FROM shop.fact_{fact}"
        for fact in (
            "sessions",
            "days",
            "day_sessions",
            "day_visitors",
            "day_orders",
            "customer_orders",
            "customers",
            "visitor_segments",
            "products",
        )
    },
    "funnel": "SELECT * FROM shop.fact_funnel WHERE sessions <> 0",
}


def held(settings: Settings) -> dict[str, list[Any]]:
    """Bring aggregates and views up to date; return all rows of the database."""
    advance_facts(settings.dsn("ops"))
    found = {}
    for name in view_names():
        refresh_view(settings.dsn("ops"), name)
    with transaction(settings.dsn("owner")) as cursor:
        for name, select in {**_SAME, **{name: f"TABLE shop.{name}" for name in view_names()}}.items():
            cursor.execute(f"SELECT row_to_json(one)::text FROM ({select}) AS one ORDER BY 1")
            found[name] = [row for (row,) in cursor.fetchall()]
    return found


def assert_sound(settings: Settings) -> None:
    """Assert that the ledger agrees with the tables, and the aggregates with the events."""
    assert reconcile(settings.dsn("ops"), settings.manifest_dir, is_ledger_only=True).differences == ()
    advance_facts(settings.dsn("ops"))
    assert set(audit_facts(settings.dsn("ops")).values()) == {0}


def take_back(settings: Settings, **selection: Any) -> Retraction:
    return retract(settings.dsn("owner"), Selection(**selection), by="ada", reason="wrong prices")


def some_rows(chance: random.Random, count: int) -> list[Row]:
    """Build rows of few sessions, customers, orders and products around midnight, so that many coincide."""
    midnight = (datetime.now(UTC) - timedelta(hours=4)).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = []
    for _ in range(count):
        event_time = midnight + timedelta(minutes=chance.randrange(-180, 180))
        kind = chance.choice(EVENT_TYPES)
        has_order = kind in ("order", "purchase")
        rows.append(
            valid_row(
                # A collector that assigns ids when it receives events is a little late.
                event_id=uuid7(event_time + timedelta(minutes=chance.choice([0, 0, 5]))),
                event_type=kind,
                event_time=event_time.isoformat(),
                session_id=f"S{chance.randrange(5)}",
                user_id=f"U{chance.randrange(4)}",
                customer_segment=chance.choice(["new", "regular", "loyal"]),
                order_id=f"O{chance.randrange(6)}" if has_order else None,
                product_id=f"P{chance.randrange(3)}",
                product_name=chance.choice(["Shoes", "Shoes II"]),
                unit_price=f"{chance.randrange(1, 5000) / 100:.2f}",
                quantity=str(chance.randrange(1, 4)) if kind != "view" else None,
                currency=chance.choice(CURRENCIES),
                channel=chance.choice(["web", "app"]),
                payment_method="card" if kind == "purchase" else None,
            )
        )
    return rows


def some_deliveries(seed: int, count: int) -> list[File]:
    """Build deliveries that repeat each other's events, sometimes with other values, and have rejected rows."""
    chance = random.Random(seed)
    pool = some_rows(chance, 30)
    deliveries = []
    for number in range(count):
        rows = []
        for row in chance.choices(pool, k=chance.randrange(1, 14)):
            said = dict(row)
            if chance.random() < 0.2:
                said["city"] = chance.choice(["Köln", "Ulm"])
            if chance.random() < 0.1:
                said["unit_price"] = f"{chance.randrange(1, 100)}.50"
            if chance.random() < 0.1:
                said["unit_price"] = "-1"
            rows.append(said)
        columns = list(COLUMN_NAMES)
        if chance.random() < 0.3:
            columns.append("colour")
            rows = [{**row, "colour": chance.choice(["red", "blue"])} for row in rows]
        deliveries.append((f"delivery-{number}.csv", csv_text(rows, columns)))
    return deliveries


@contextmanager
def pipeline_of(settings: Settings, **options: Any) -> Iterator[Pipeline]:
    pipeline = Pipeline(settings, **options)
    try:
        yield pipeline
    finally:
        pipeline.close()


@contextmanager
def reference(cluster: Settings, tmp_path: Path, deliveries: Sequence[File], **options: Any) -> Iterator[Settings]:
    """Yield a separate database into which only these deliveries were loaded, in this order."""
    with cloned_database(cluster, tmp_path / "reference") as settings, pipeline_of(settings, **options) as pipeline:
        for one in deliveries:
            pipeline.load(one)
        yield settings


@pytest.mark.parametrize("seed", range(12))
def test_the_rest_equals_what_the_other_deliveries_alone_would_give(
    cluster: Settings, database: Settings, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    deliveries = some_deliveries(seed, 8)
    # With the smaller limit, some deliveries are large enough to be loaded in slices.
    options = {"slice_bytes": chance.choice([1500, 1 << 19])}
    gone: set[str] = set()
    with pipeline_of(database, **options) as pipeline:
        for number, one in enumerate(deliveries, start=1):
            pipeline.load(one)
            if chance.random() < 0.4:
                advance_facts(database.dsn("ops"))
            if chance.random() < 0.4:
                there = [name for name, _ in deliveries[:number] if name not in gone]
                for name in chance.sample(there, min(len(there), chance.randrange(1, 3))):
                    take_back(database, name=name)
                    gone.add(name)
                    assert_sound(database)
        if not gone:
            take_back(database, name="delivery-3.csv")
            gone.add("delivery-3.csv")
    with reference(cluster, tmp_path, [one for one in deliveries if one[0] not in gone], **options) as other:
        assert held(database) == held(other)
    assert_sound(database)


def test_several_deliveries_are_retracted_at_once(cluster: Settings, database: Settings, tmp_path: Path) -> None:
    deliveries = some_deliveries(99, 9)
    with pipeline_of(database) as pipeline:
        pipeline.load(*deliveries)
    taken = take_back(database, name="delivery-?.csv", until=datetime.now(UTC))
    assert len(taken.brought.deliveries) == 9
    with reference(cluster, tmp_path, []) as other:
        assert held(database) == held(other)


def test_the_preview_equals_what_the_next_refresh_publishes(database: Settings) -> None:
    deliveries = some_deliveries(7, 6)
    with pipeline_of(database) as pipeline:
        for one in deliveries:
            pipeline.load(one)
        before = held(database)
        seen = preview(database.dsn("owner"), Selection(name="delivery-1.csv"))
        assert held(database) == before
        assert seen.brought.reassigned > 0
        take_back(database, name="delivery-1.csv")
        after = held(database)
    changed = {change.view_name for change in seen.changes}
    assert changed == {name for name in view_names() if before[name] != after[name]}
    with transaction(database.dsn("owner")) as cursor:
        for change in seen.changes:
            cursor.execute(
                "SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(mart))) "
                f"FROM shop.{change.view_name} AS mart WHERE to_jsonb(mart) @> %s::jsonb",
                [json.dumps(change.key)],
            )
            row = cursor.fetchone()
            if change.after is None:
                assert row is None
            else:
                assert row is not None
                assert {name: row[0][name] for name in change.after} == change.after


def test_the_preview_names_no_customer(database: Settings) -> None:
    """The preview is in a task's log and on a page of Airflow, and viewers can read both."""
    with pipeline_of(database) as pipeline:
        pipeline.load(("a.csv", csv_text([valid_row(user_id="Hildegard-von-Bingen")])))
    seen = preview(database.dsn("owner"), Selection(name="a.csv"))
    assert "Hildegard-von-Bingen" in str(seen.changes)
    assert "mart_customer_value" in as_markdown(seen)
    assert "Hildegard" not in as_markdown(seen)


def test_a_corrected_delivery_replaces_the_wrong_one(database: Settings) -> None:
    wrong = valid_row(unit_price="100.00")
    with pipeline_of(database) as pipeline:
        pipeline.load(("prices.csv", csv_text([wrong])))
        take_back(database, name="prices.csv")
        pipeline.load(("prices.csv", csv_text([{**wrong, "unit_price": "10.00"}])))
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT unit_price::text FROM shop.events")
        assert cursor.fetchall() == [("10.00",)]
        cursor.execute("SELECT count(*) FROM shop.alerts WHERE title LIKE '%%content%%'")
        assert cursor.fetchone() == (0,)


def test_a_retraction_beside_a_busy_stream(cluster: Settings, database: Settings, tmp_path: Path) -> None:
    deliveries = some_deliveries(3, 60)
    with pipeline_of(database) as pipeline:
        pipeline.load(*deliveries[:10])

        def feed() -> None:
            for one in deliveries[10:]:
                pipeline.load(one)

        feeder = threading.Thread(target=feed)
        feeder.start()
        for number in range(0, 10, 2):
            take_back(database, name=f"delivery-{number}.csv")
            advance_facts(database.dsn("ops"))
        feeder.join()
    left = [one for one in deliveries if one[0] not in {f"delivery-{number}.csv" for number in range(0, 10, 2)}]
    assert_sound(database)
    with reference(cluster, tmp_path, left) as other:
        assert held(database) == held(other)


@pytest.mark.parametrize("blocked_by", ["SELECT FROM shop.writer FOR UPDATE", "SELECT FROM shop.files FOR UPDATE"])
def test_a_killed_retraction_changes_nothing(database: Settings, blocked_by: str) -> None:
    with pipeline_of(database) as pipeline:
        pipeline.load(*some_deliveries(5, 5))
    before = held(database)
    code = (
        "import sys; from include.retraction import *;"
        "retract(sys.argv[1], Selection(name='delivery-2.csv'), by='ada', reason='wrong')"
    )
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(blocked_by)
        process = subprocess.Popen([sys.executable, "-c", code, database.dsn("owner")], cwd=REPOSITORY)
        wait_until(lambda: _waiting_backends(database) > 0, seconds=30, what="the retraction to reach the lock")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    wait_until(lambda: _backends_with_locks(database) == 0, seconds=30, what="PostgreSQL to notice")
    assert held(database) == before
    take_back(database, name="delivery-2.csv")
    assert_sound(database)


def _waiting_backends(settings: Settings) -> int:
    return _count(settings, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def _backends_with_locks(settings: Settings) -> int:
    return _count(
        settings,
        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        " AND datname = current_database()",
    )


def _count(settings: Settings, statement: str) -> int:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({}, "no delivery was named"),
        ({"name": "delivery-O.csv"}, r"no delivery with rows matches: name delivery-O.csv. Did you mean"),
        ({"file_id": 4711}, "file_id 4711"),
        ({"batch_id": 4711}, "batch_id 4711"),
    ],
)
def test_an_impossible_retraction_is_refused_with_a_remedy(
    database: Settings, selection: dict[str, Any], message: str
) -> None:
    with pipeline_of(database) as pipeline:
        pipeline.load(*some_deliveries(5, 2))
    with pytest.raises(RetractionError, match=message):
        take_back(database, **selection)


def test_a_retraction_needs_a_reason(database: Settings) -> None:
    with pytest.raises(RetractionError, match="needs a reason"):
        retract(database.dsn("owner"), Selection(name="x.csv"), by="ada", reason=" ")


def test_a_name_that_is_not_utf8_names_its_delivery(database: Settings) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    with pipeline_of(database) as pipeline:
        pipeline.load((name, csv_text(some_rows(random.Random(1), 3))), ("other.csv", csv_text([valid_row()])))
    take_back(database, name=name)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT count(*) FROM shop.events")
        assert cursor.fetchone() == (1,)


def test_a_delivery_is_retracted_only_once(database: Settings) -> None:
    with pipeline_of(database) as pipeline:
        pipeline.load(*some_deliveries(5, 2))
    take_back(database, name="delivery-0.csv")
    with pytest.raises(RetractionError, match="no delivery with rows"):
        take_back(database, name="delivery-0.csv")


def test_a_delivery_that_retention_has_reached_is_refused(database: Settings) -> None:
    rows = some_rows(random.Random(1), 10)
    with pipeline_of(database) as pipeline:
        pipeline.load(("old.csv", csv_text(rows)))
    before = held(database)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("DELETE FROM shop.events WHERE event_id = %s", [rows[0]["event_id"]])
    with pytest.raises(RetractionError, match=r"of 10 events that name old\.csv brought, 1 are past retention"):
        take_back(database, name="old.csv")
    assert held(database) == before | {"events": held(database)["events"]}


def test_a_file_that_is_still_being_loaded_is_refused(database: Settings) -> None:
    with pipeline_of(database) as pipeline:
        pipeline.load(*some_deliveries(5, 1))
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute("UPDATE shop.files SET state = 'admitted', finished_at = NULL")
        with pytest.raises(RetractionError, match=r"delivery-0\.csv is still being loaded"):
            take_back(database, name="delivery-0.csv")


def test_the_record_says_who_why_and_how_much(database: Settings) -> None:
    with pipeline_of(database) as pipeline:
        pipeline.load(("a.csv", csv_text([valid_row(), valid_row(), valid_row(unit_price="-1")])))
    done = take_back(database, name="a.csv")
    with transaction(database.dsn("analyst")) as cursor:
        cursor.execute("SELECT done_by, reason, selection, files, events, reassigned, rejects FROM shop.retractions")
        assert cursor.fetchall() == [("ada", "wrong prices", {"name": "a.csv"}, 1, 2, 0, 1)]
        cursor.execute("SELECT retraction_id, name, read, accepted, rejected FROM shop.retraction_files")
        assert cursor.fetchall() == [(done.retraction_id, "a.csv", 3, 2, 1)]
        cursor.execute("SELECT state, read FROM shop.files")
        assert cursor.fetchall() == [("retracted", 0)]


def test_a_large_delivery_is_retracted_beside_a_large_rest(database: Settings) -> None:
    """No list of ids may be searched from end to end for each event, even with little work_mem.

    With such a search, a million rows beside 90,000 took over ten minutes.
    """
    now = datetime.now(UTC)
    owner = database.dsn("owner")
    for name in ("good.csv", "bad.csv"):
        events = [
            make_event(
                event_time=now,
                user_id=f"U{name}{number % 900}",
                session_id=f"S{name}{number}",
                order_id=f"O{name}{number}",
                product_id=f"P{number % 3000}",
            )
            for number in range(15_000)
        ]
        load_batch(owner, events, name=name)
    with transaction(owner) as cursor:
        cursor.execute("ALTER ROLE shop_owner SET work_mem = '64kB'")
    try:
        seen = preview(owner, Selection(name="bad.csv"), timeout_seconds=15)
        done = retract(owner, Selection(name="bad.csv"), by="ada", reason="too large", timeout_seconds=15)
    finally:
        with transaction(owner) as cursor:
            cursor.execute("ALTER ROLE shop_owner RESET work_mem")
    assert seen.brought == done.brought
    assert len(held(database)["events"]) == 15_000
