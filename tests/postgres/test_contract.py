"""Tests that the tables of the migrations match the contract."""

from __future__ import annotations

from include.contract import COLUMNS
from include.db import transaction
from include.settings import Settings

LEDGER_COLUMNS = {"batch_id", "file_id", "ingested_at"}
# Columns of a file beyond the contract. They may be personal data, so analysts cannot read them.
UNKNOWN_COLUMNS = "extra"

TYPES = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull
FROM pg_attribute
WHERE attrelid = 'shop.events'::regclass AND attnum > 0 AND NOT attisdropped
"""
READABLE = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'shop' AND table_name = 'events'
    AND has_column_privilege('shop_analyst', 'shop.events', column_name, 'SELECT')
"""
# format_type() spells these types out.
SPELLED_OUT = {"timestamptz": "timestamp with time zone"}


def test_the_events_table_has_the_columns_types_and_nulls_of_the_contract(database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(TYPES)
        found = {name: (kind, is_required) for name, kind, is_required in cursor}
    assert found.pop(UNKNOWN_COLUMNS) == ("jsonb", False)
    assert found.keys() >= LEDGER_COLUMNS
    assert {name: kind for name, kind in found.items() if name not in LEDGER_COLUMNS} == {
        column.name: (SPELLED_OUT.get(column.postgres_type, column.postgres_type), not column.is_nullable)
        for column in COLUMNS
    }


def test_analysts_read_every_column_but_the_personal_ones(database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(READABLE)
        readable = {name for (name,) in cursor}
    assert readable == {column.name for column in COLUMNS if not column.is_personal} | LEDGER_COLUMNS
