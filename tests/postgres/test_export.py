"""Tests of the export: safe for spreadsheets, exact, and limited to the columns that a role may read."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pytest

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.db.export import export
from include.errors import ExportError
from include.platform.instance.environment import base_environment
from include.settings import REPOSITORY, Role, Settings
from tests.support.csv_files import csv_text, valid_row
from tests.support.pipeline import pipeline
from tests.support.rows import load_batch, make_event

ATTACK = "=cmd|' /C calc'!A0"


def exported(settings: Settings, table: str, role: Role = "analyst") -> list[dict[str, str]]:
    target = io.BytesIO()
    export(settings.dsn(role), table, target)
    return list(csv.DictReader(io.StringIO(target.getvalue().decode("utf-8"), newline="")))


@pytest.mark.parametrize(
    "text",
    [ATTACK, "+1+1", "-2+3", '@SUM(1,"2")', "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"],
)
def test_a_text_that_a_spreadsheet_would_run_is_neutralized(database: Settings, text: str) -> None:
    load_batch(database.dsn("owner"), [make_event(product_name=text, brand=f"N{text}")])
    (row,) = exported(database, "events")
    assert (row["product_name"], row["brand"]) == (f"'{text}", f"N{text}")


def test_numbers_and_ordinary_texts_are_exported_unchanged(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event(event_type="view", unit_price="1234.50", product_name="")])
    (row,) = exported(database, "events")
    assert row["unit_price"] == "1234.50"
    assert row["quantity"] == row["order_id"] == row["product_name"] == ""
    assert row["country"] == "DE"


def test_a_negative_number_stays_a_number(database: Settings) -> None:
    load_batch(database.dsn("owner"), [], rejects=[{"raw": "-1,x", "reasons": ["row_ragged"]}])
    (row,) = exported(database, "rejects", "ops")
    assert row["raw"] == "'-1,x"
    assert row["line"] == "2"
    assert row["reasons"] == "{row_ragged}"


def test_null_and_empty_text_differ(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event(product_name="", city=None)])
    target = io.BytesIO()
    export(database.dsn("owner"), "events", target)
    header, row = target.getvalue().decode().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True))
    assert (fields["product_name"], fields["city"]) == ('""', "")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_an_export_loads_again_as_the_same_events(
    database: Settings, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("PGTZ", zone)
    rows = [valid_row(), valid_row(city=None, product_name='a "b",\nc'), valid_row(event_time="2026-01-02T03:04Z")]
    with pipeline(database) as stream:
        stream.load(csv_text(rows))
        export(database.dsn("owner"), "events", exported := io.BytesIO())
        copied = io.BytesIO()
        with transaction(database.dsn("owner")) as cursor:
            columns = ", ".join(COLUMN_NAMES)
            cursor.copy_expert(f"COPY (SELECT {columns} FROM shop.events) TO STDOUT (FORMAT csv, HEADER)", copied)
        for content in (exported.getvalue(), copied.getvalue()):
            (result,) = stream.load(content)
            assert (result.accepted, result.duplicate, result.rejected, result.conflicts) == (0, 3, 0, 0)


def test_a_role_gets_the_columns_that_it_may_read(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    left_out = export(database.dsn("analyst"), "events", target := io.BytesIO())
    assert {"user_id", "city"} <= set(left_out)
    header = target.getvalue().decode().splitlines()[0].split(",")
    assert set(header).isdisjoint(left_out)
    assert export(database.dsn("owner"), "events", io.BytesIO()) == []


def test_a_view_can_be_exported(database: Settings) -> None:
    assert exported(database, "mart_daily_kpis") == []


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ("mart_daily_kpi", "Did you mean mart_daily_kpis"),
        ("zzz", "alerts, batches, "),
        ('events"; DROP TABLE shop.events; --', "is not a table or view"),
        ("rejects", "that this role may read"),
        ("events_before_2026", "is not a table or view"),
    ],
)
def test_an_unknown_table_is_refused_with_a_suggestion(database: Settings, table: str, remedy: str) -> None:
    with pytest.raises(ExportError, match="is not a table or view of the schema shop") as refused:
        export(database.dsn("analyst"), table, io.BytesIO())
    assert remedy in str(refused.value)


def test_the_command_writes_the_table_and_nothing_else(database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event(product_name=ATTACK)])
    done = subprocess.run(
        [sys.executable, "-m", "include.platform", "export", "events"],
        cwd=REPOSITORY,
        env=base_environment(database),
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["product_name"] == f"'{ATTACK}"
    assert "user_id" in done.stderr


def test_make_export_without_a_table_prints_its_usage() -> None:
    command = ["make", "--no-print-directory", "export", "PYTHON=true"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make export TABLE=" in done.stderr
