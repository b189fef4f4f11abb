"""Micro-batches as the job's transforms hand them to the sink, made by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.settings import Settings
from include.stream.batch import BROKEN_RULES
from include.stream.records import START, Position
from tests.support.csv_files import valid_row

SCHEMA = pa.schema(
    [
        ("file_id", pa.int64()),
        ("line", pa.int64()),
        ("is_footer", pa.bool_()),
        ("row_error", pa.string()),
        ("detail", pa.string()),
        ("extra", pa.string()),
        *((name, pa.string()) for name in COLUMN_NAMES),
        (BROKEN_RULES, pa.int64()),
    ]
)
for name, kind in {
    "event_time": pa.timestamp("us", tz="UTC"),
    "unit_price": pa.decimal128(12, 2),
    "quantity": pa.int32(),
}.items():
    SCHEMA = SCHEMA.set(SCHEMA.get_field_index(name), pa.field(name, kind))


def typed_row(file_id: int, line: int, *, broken: int = 0, **changes: Any) -> dict[str, Any]:
    """A row as the job's transforms hand it over."""
    row = {
        **valid_row(),
        "event_time": datetime.now(UTC),
        "unit_price": Decimal("10.00"),
        "quantity": 1,
        **changes,
    }
    return {**row, "file_id": file_id, "line": line, "is_footer": False, BROKEN_RULES: broken}


def footer(
    file_id: int,
    read: int,
    fault: str | None = None,
    *,
    start: Position = START,
    end: Position | None = None,
    digest: str | None = None,
    size_bytes: int | None = None,
) -> dict[str, Any]:
    """The end of a file, or of the part from ``start`` to ``end``, as its reader says it."""
    detail = {
        "fault_detail": "it is broken" if fault else None,
        "extra_columns": [],
        "digest": digest,
        "size_bytes": size_bytes,
        "start": asdict(start),
        "end": asdict(end) if end else None,
    }
    return {
        "file_id": file_id,
        "line": read,
        "is_footer": True,
        "row_error": fault,
        "detail": json.dumps(detail),
        BROKEN_RULES: 0,
    }


def batch(*rows: dict[str, Any]) -> pa.Table:
    """The rows and footers as one batch."""
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], SCHEMA)


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, as the owner sees them."""
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
