"""Build micro-batches as the tasks of the job hand them to the sink."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from include.db import transaction
from include.settings import Settings
from include.stream.reading.records import START, Position
from include.stream.validation.validate import BROKEN_RULES, VALIDATED_SCHEMA
from tests.support.csv_files import valid_row


def typed_row(file_id: int, line: int, *, broken: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a row as the job hands it over, except that its event_id is text."""
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
    """Return the end of a file, or of the slice from ``start`` to ``end``, as its reader reports it."""
    detail: dict[str, Any] = {
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


def batch(*rows: dict[str, Any]) -> list[pa.Table]:
    """Return a batch of one task: the rows and footers."""
    ids = [UUID(row["event_id"]).bytes if row.get("event_id") else None for row in rows]
    whole = [
        {name: row.get(name) for name in VALIDATED_SCHEMA.names} | {"event_id": id_}
        for row, id_ in zip(rows, ids, strict=True)
    ]
    return [pa.Table.from_pylist(whole, VALIDATED_SCHEMA)]


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, run as the owner."""
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
