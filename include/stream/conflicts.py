"""Records the duplicates that say something else than the event that is stored: the first one wins, not in silence."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from psycopg2 import sql

from include.contract import COLUMN_NAMES
from include.db import load_queries
from include.stream.copy import BinaryRows, copy_rows

_SQL = load_queries("conflicts")


def record_conflicts(cursor: Any, duplicates: pa.Table, batch_id: int) -> int:
    """Compare duplicates with the stored events of their ids, and put those that differ into ``shop.conflicts``.

    The comparison is Postgres's, of typed values: the duplicates are copied into a temporary table first.

    Parameters
    ----------
    cursor:
        In the transaction of the batch, after its events are stored: the first of two in one batch is among them.
    duplicates:
        The columns of the contract, file_id and line.
    batch_id:
        Of the batch.

    Returns
    -------
    int
        How many differ.
    """
    if duplicates.num_rows == 0:
        return 0
    cursor.execute(sql.SQL(_SQL["make_room"]).format(columns=_columns()))
    rows = BinaryRows.of(duplicates.select([*COLUMN_NAMES, "file_id", "line"]))
    copy_rows(cursor, "duplicates", rows, schema="pg_temp")
    cursor.execute(
        sql.SQL(_SQL["record"]).format(
            differences=sql.SQL(", ").join(
                sql.SQL("({name}, stored.{column} IS DISTINCT FROM duplicate.{column})").format(
                    name=sql.Literal(name), column=sql.Identifier(name)
                )
                for name in COLUMN_NAMES
            ),
            duplicate_columns=_columns("duplicate"),
            stored_columns=_columns("stored"),
        ),
        {"batch_id": batch_id},
    )
    return int(cursor.rowcount)


def _columns(*table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table, name) for name in COLUMN_NAMES)
