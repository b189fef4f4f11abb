"""Tests that rows copied in PostgreSQL's binary format are stored exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.db import transaction
from include.settings import Settings
from include.stream.storage.binary_copy import encode
from include.stream.storage.copy import BinaryRows, copy_rows

SCHEMA = pa.schema(
    [
        ("id", pa.binary(16)),
        ("at", pa.timestamp("us", tz="UTC")),
        ("words", pa.string()),
        ("price", pa.decimal128(12, 2)),
        ("small", pa.int32()),
        ("large", pa.int64()),
        ("extra", pa.string()),
    ]
)
COLUMNS = "id uuid, at timestamptz, words text, price numeric(12, 2), small integer, large bigint, extra jsonb"

values = st.fixed_dictionaries(
    {
        "id": st.none() | st.uuids().map(lambda one: one.bytes),
        "at": st.none()
        | st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(tzinfo=UTC)),
        "words": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        "price": st.none()
        | st.integers(-(10**12) + 1, 10**12 - 1).map(lambda hundredths: Decimal(hundredths).scaleb(-2)),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "large": st.none() | st.integers(-(2**63), 2**63 - 1),
        "extra": st.none() | st.sampled_from(["{}", '{"a": "ü"}']),
    }
)


def stored(database: Settings, table: pa.Table) -> list[dict[str, Any]]:
    """Copy a table into a temporary one and return the stored rows."""
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copied ({COLUMNS})")
        copy_rows(cursor, "copied", BinaryRows.of(table, json_columns=["extra"]), schema="pg_temp")
        cursor.execute("SELECT id::text, at, words, price, small, large, extra::text FROM copied")
        rows = [dict(zip(SCHEMA.names, row, strict=True)) for row in cursor.fetchall()]
        cursor.execute("DROP TABLE copied")
    return [{**row, "id": UUID(row["id"]).bytes if row["id"] else None} for row in rows]


# All examples share one database: each creates and drops its own table.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(values, min_size=1, max_size=20), st.integers(0, 3))
def test_every_value_arrives_exactly(database: Settings, rows: list[dict[str, Any]], first: int) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA).slice(first)
    assert stored(database, table) == table.to_pylist()


def test_several_chunks_are_one_copy(database: Settings) -> None:
    row = dict.fromkeys(SCHEMA.names)
    chunks = [pa.Table.from_pylist([{**row, "large": number}], SCHEMA) for number in range(3)]
    assert [one["large"] for one in stored(database, pa.concat_tables(chunks))] == [0, 1, 2]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a column of type double cannot be written"):
        list(encode(pa.table({"x": [1.5]})))
