"""Record duplicates of stored events, and the conflicts among them; the event stored first stays."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from psycopg2 import sql

from include.contract import COLUMN_NAMES
from include.db import load_queries
from include.stream.storage.copy import BinaryRows, copy_rows

_SQL = load_queries("conflicts")


def record_conflicts(cursor: Any, duplicates: pa.Table, batch_id: int) -> int:
    """Record duplicates in ``shop.duplicates``, and those that differ from the stored event in ``shop.conflicts``.

    Postgres compares the typed values, so the duplicates are first copied into a temporary table.

    Parameters
    ----------
    cursor:
        A cursor in the transaction of the batch, after its events are stored, so that the first of two events of one id
        in the batch is found too.
    duplicates:
        Table with the columns of the contract, extra, file_id and line.
    batch_id:
        The batch.

    Returns
    -------
    int
        The number of conflicts.
    """
    if duplicates.num_rows == 0:
        return 0
    cursor.execute(sql.SQL(_SQL["make_room"]).format(columns=_columns()))
    rows = BinaryRows.of(duplicates.select([*COLUMN_NAMES, "extra", "file_id", "line"]), json_columns=["extra"])
    copy_rows(cursor, "duplicates", rows, schema="pg_temp")
    compared = {"duplicate_columns": _columns("duplicate"), "stored_columns": _columns("stored")}
    cursor.execute(sql.SQL(_SQL["record_duplicates"]).format(**compared), {"batch_id": batch_id})
    cursor.execute(
        sql.SQL(_SQL["record_conflicts"]).format(
            differences=sql.SQL(", ").join(
                sql.SQL("({name}, stored.{column} IS DISTINCT FROM duplicate.{column})").format(
                    name=sql.Literal(name), column=sql.Identifier(name)
                )
                for name in COLUMN_NAMES
            ),
            **compared,
        ),
        {"batch_id": batch_id},
    )
    return int(cursor.rowcount)


def _columns(*table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table, name) for name in COLUMN_NAMES)
