"""COPY of Arrow tables into PostgreSQL, inside the caller's transaction."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg2 import sql


def copy_table(cursor: Any, target: str, table: pa.Table, *, schema: str = "shop") -> None:
    """Append a table to ``schema.target``; its columns are named as those of the target.

    Null becomes NULL and an empty text stays an empty text: pyarrow quotes texts and leaves null bare, which is how
    COPY's CSV format tells the two apart.
    """
    if table.num_rows == 0:
        return
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False))
    buffer.seek(0)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(schema, target), sql.SQL(", ").join(map(sql.Identifier, table.column_names))
    )
    cursor.copy_expert(statement, buffer)
