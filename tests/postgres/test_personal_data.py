"""Tests that no row that analysts can read, and no alert, identifies a customer, whatever is wrong with a file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from include.contract import COLUMN_NAMES, FILE_FAULTS
from include.db import transaction
from include.db.messages import without_rows
from include.settings import Settings
from include.stream.intake.admission import MAX_FAILURES, note_failure
from include.stream.intake.landing import Landing
from include.stream.supervision.epoch import Driver, renew_epoch
from jobs.recovery import reason_of
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.pipeline import Pipeline, pipeline
from tests.support.validated import query

# Part of every personal field and of most others, so every quotation of a row contains it.
SECRET = "Geheim"
HEADER = ",".join(COLUMN_NAMES)
_READABLE = """
SELECT relation.oid::regclass::text, array_agg(attribute.attname::text ORDER BY attribute.attnum)
FROM pg_class AS relation
INNER JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum > 0
WHERE relation.relkind IN ('r', 'p', 'v', 'm') AND NOT attribute.attisdropped
    AND relation.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
    AND has_schema_privilege(relation.relnamespace, 'USAGE')
    AND has_column_privilege(relation.oid, attribute.attnum, 'SELECT')
GROUP BY relation.oid
"""


def personal(**changes: str | None) -> dict[str, str | None]:
    return valid_row(**{"user_id": f"U{SECRET}1", "city": f"{SECRET}stadt", "brand": "Ordinary", **changes})


def rows(count: int = 2) -> str:
    """Return the lines of personal rows without a header."""
    return csv_text([personal() for _ in range(count)]).split("\n", 1)[1]


def whole(count: int = 2) -> str:
    return csv_text([personal() for _ in range(count)])


FAULTY: dict[str, list[bytes]] = {
    "header_missing": [
        rows().encode(),
        f"{SECRET} Meier\n{rows()}".encode(),
        f'"{SECRET}, never closed\n{rows()}'.encode(),
        rows().replace(",", ";").encode(),
    ],
    "separator_not_comma": [(HEADER.replace(",", ";") + f";{SECRET}\n" + rows()).encode()],
    "separator_line": [f"sep=,\n{whole()}".encode()],
    "header_column_missing": [f"event_id,{SECRET}\n{rows()}".encode()],
    "header_column_repeated": [f"{HEADER},{SECRET},{SECRET},city\n{rows()}".encode()],
    "header_column_unnamed": [f"{HEADER},,{SECRET}\n{rows()}".encode()],
    "header_too_wide": [
        (",".join([HEADER, *[SECRET] * 2000]) + "\n").encode(),
        f"{HEADER},{SECRET * 20_000}\n".encode(),
    ],
    "not_utf8": [
        whole().encode("utf-16"),
        rows().replace("Ordinary", f"{SECRET}\0").encode(),
        rows().replace("Ordinary", f"{SECRET}é").encode("latin-1"),
    ],
    "too_large": [(whole() + rows(3000)).encode()],
}


def read_as_analyst(settings: Settings) -> dict[str, list[str]]:
    """Return every row that the role can read, as text, by table."""
    found = {}
    with transaction(settings.dsn("analyst")) as cursor:
        cursor.execute(_READABLE)
        for table, columns in cursor.fetchall():
            schema, name = table.split(".")
            statement = sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, name)
            )
            try:
                cursor.execute("SAVEPOINT before")
                cursor.execute(statement)
            except psycopg2.errors.ObjectNotInPrerequisiteState:
                # This view was never published.
                cursor.execute("ROLLBACK TO before")
                continue
            found[table] = [str(row) for row in cursor.fetchall()]
    return found


def deliver_what_is_no_text(settings: Settings) -> None:
    """Deliver files with faults that keep them from being read, or from being read to the end."""
    landing = Path(Landing.of(settings).incoming)
    deliver(landing, gzip.compress(whole(500).encode())[:-20], "cut.csv.gz")
    (landing / "folder.csv").mkdir()
    deliver(landing, whole(), "closed.csv")
    (landing / "closed.csv").chmod(0)


def load_poison(stream: Pipeline, settings: Settings) -> None:
    """Load a file whose row PostgreSQL refuses with an error that quotes it, until the file is quarantined."""
    query(
        settings,
        f"DO $$ BEGIN ALTER TABLE shop.events ADD CHECK (city <> '{SECRET}dorf') NOT VALID; END $$; SELECT 1",
    )
    content = csv_text([personal(city=f"{SECRET}dorf")])
    epoch = stream.sink.epoch
    deliver(Path(stream.landing.incoming), content, "poison.csv")
    for _ in range(MAX_FAILURES):
        with pytest.raises(psycopg2.Error, match=SECRET) as caught:
            stream.load()
        failure = f"Traceback (most recent call last):\n{type(caught.value).__name__}: {caught.value}"
        note_failure(settings.dsn("ingest"), "events", epoch, reason_of(failure))
    stream.load()
    renew_epoch(settings.dsn("ingest"), "events", epoch, Driver("continuous", "test", 1), reason_of(failure))


def load_bad_rows(stream: Pipeline) -> None:
    """Load rejects of many kinds, a conflict, an unknown column, and other content under a known name."""
    first = personal()
    bad = csv_text(
        [
            first,
            {**first, "city": f"{SECRET}burg"},
            personal(unit_price=SECRET),
            personal(event_time=SECRET, category=SECRET),
            personal(city=SECRET * 200),
        ]
    )
    lines = rows(2).splitlines()
    bad += f"{lines[0]},{SECRET}\n" + lines[1].replace(f",{SECRET}stadt", f',"{SECRET}"stadt') + "\n"
    stream.load(("bad.csv", bad))
    stream.load(("bad.csv", csv_text([personal(note=SECRET)], [*COLUMN_NAMES, "note"])))


def test_nothing_that_analysts_can_read_identifies_a_customer(database: Settings) -> None:
    with pipeline(database, max_bytes=300_000) as stream:
        stream.load(*(content for contents in FAULTY.values() for content in contents))
        deliver_what_is_no_text(database)
        load_bad_rows(stream)
        load_poison(stream, database)
    faults = {fault for (fault,) in query(database, "SELECT DISTINCT fault FROM shop.files WHERE fault IS NOT NULL")}
    assert faults == FILE_FAULTS.keys()
    # The values are stored where analysts cannot read them.
    assert any(SECRET in str(row) for row in query(database, "SELECT * FROM shop.rejects"))
    assert any(SECRET in str(row) for row in query(database, "SELECT * FROM shop.conflicts"))

    found = read_as_analyst(database)
    assert {"shop.files", "shop.events", "shop.alerts", "shop.runs", "shop.batches"} <= found.keys()
    assert all(found[f"shop.{table}"] for table in ("files", "events", "alerts", "runs", "batches"))
    telling = {table: [row for row in told if SECRET.lower() in row.lower()] for table, told in found.items()}
    assert {table: told for table, told in telling.items() if told} == {}
    # Faults and errors that only operators read quote no value either.
    told = query(
        database, "SELECT fault_detail, last_error FROM shop.files UNION ALL SELECT error, NULL FROM shop.runs"
    )
    assert [row for row in told if SECRET.lower() in str(row).lower()] == []
    assert len({detail for detail, _ in told}) > len(FILE_FAULTS)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT raw FROM shop.rejects",
        "SELECT detail FROM shop.rejects",
        "SELECT fault_detail FROM shop.files",
        "SELECT last_error FROM shop.files",
        "SELECT error FROM shop.runs",
        "SELECT duplicate FROM shop.conflicts",
        "SELECT extra FROM shop.events",
    ],
)
def test_analysts_read_no_column_that_may_hold_a_row(database: Settings, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), transaction(database.dsn("analyst")) as cursor:
        cursor.execute(statement)


# The columns that an analyst cannot read, in tables whose other columns it can read.
_HIDDEN_COLUMNS = {
    # The identity of the customer.
    "events": {"user_id", "city", "extra"},
    "mart_customer_value": {"user_id"},
    # Texts of faults, and the inode, which only distinguishes deliveries of one name.
    "files": {"fault_detail", "last_error", "inode"},
    # Errors, and names of entries of the landing folder that are no deliveries. These can be any text.
    "runs": {"error", "ignored_files", "ignored_since", "ignored_examples"},
}
_HIDDEN_TABLES = {
    # Rows as they were delivered.
    *("rejects", "conflicts", "duplicates"),
    # Aggregates by customer, session and order.
    *("event_facts", "fact_customer_orders", "fact_customers", "fact_day_orders", "fact_sessions", "fact_day_visitors"),
    *("fact_visitor_segments", "fact_day_sessions"),
    # Actions of users, and notifications, which the cockpit shows.
    *("actions", "alert_channels", "alert_deliveries", "explained_failures"),
    "writer",
}


def test_every_column_is_readable_by_analysts_or_hidden_on_purpose(database: Settings) -> None:
    """Where columns are granted one by one, a new column must be granted by a migration or be listed here."""
    columns = query(
        database,
        "SELECT relation.relname::text, attribute.attname::text,"
        " has_column_privilege('shop_analyst', relation.oid, attribute.attnum, 'SELECT')"
        " FROM pg_class AS relation JOIN pg_attribute AS attribute"
        " ON attribute.attrelid = relation.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped"
        " WHERE relation.relnamespace = 'shop'::regnamespace AND relation.relkind IN ('r', 'p', 'v', 'm')"
        " AND NOT relation.relispartition",
    )
    readable = {table for table, _, is_readable in columns if is_readable}
    assert {table for table, _, _ in columns} - readable == _HIDDEN_TABLES
    hidden: dict[str, set[str]] = {}
    for table, column, is_readable in columns:
        if table in readable and not is_readable:
            hidden.setdefault(table, set()).add(column)
    assert hidden == _HIDDEN_COLUMNS


def _error_of(database: Settings, statement: str) -> str:
    with pytest.raises(psycopg2.Error) as caught, transaction(database.dsn("owner")) as cursor:
        cursor.execute(statement)
    return str(caught.value)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"SELECT '{SECRET}'::integer", 'invalid input syntax for type integer: "…"'),
        (f"SELECT E'a\"\\n{SECRET}'::uuid", 'invalid input syntax for type uuid: "…"'),
        (f"SELECT '{SECRET} 2026'::timestamptz", 'invalid input syntax for type timestamp with time zone: "…"'),
        (f"SELECT '{{\"a\": {SECRET}}}'::jsonb", "invalid input syntax for type json"),
        (
            "CREATE TEMPORARY TABLE one (city text UNIQUE);"
            f"INSERT INTO one VALUES (E'{SECRET}\\nHINT: {SECRET}'), (E'{SECRET}\\nHINT: {SECRET}')",
            'duplicate key value violates unique constraint "one_city_key"',
        ),
        ("SELECT * FROM shop.nothing", 'relation "shop.nothing" does not exist'),
    ],
)
def test_messages_of_postgresql_lose_only_the_values_that_they_quote(
    database: Settings, statement: str, expected: str
) -> None:
    message = _error_of(database, statement)
    assert SECRET in message or "nothing" in message
    assert without_rows(message) == expected


@pytest.mark.parametrize("corrupt", [float, int, datetime.fromisoformat], ids=["float", "int", "time"])
def test_messages_of_python_lose_the_value(corrupt: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match=SECRET) as caught:
        corrupt(SECRET)
    assert SECRET not in without_rows(f"ValueError: {caught.value}")
