"""Copy Arrow tables into PostgreSQL inside the caller's transaction."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg2 import sql

from include.stream.storage.binary_copy import HEADER, TRAILER, encode

# Bytes per read; psycopg2's default of 8 KiB costs a Python call for every fifty rows.
_READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class BinaryRows:
    """Rows in COPY's binary format, which PostgreSQL need not parse.

    Parameters
    ----------
    columns:
        The columns of the target, in the order of the fields.
    pieces:
        The rows of one COPY.
    """

    columns: Sequence[str]
    pieces: Sequence[pa.Buffer]

    @classmethod
    def of(cls, table: pa.Table, *, json_columns: Collection[str] = ()) -> BinaryRows:
        """Encode a table whose columns have the names of the target's columns.

        The target's types must be exactly those that :func:`include.stream.storage.binary_copy.encode` writes;
        ``json_columns`` names text columns that go into ``jsonb``.
        """
        return cls(table.column_names, list(encode(table, json_columns)))


def copy_rows(cursor: Any, target: str, rows: BinaryRows, *, schema: str = "shop") -> None:
    """Append rows to ``schema.target``."""
    _copy(cursor, schema, target, rows.columns, _Reader([HEADER, *rows.pieces, TRAILER]), "binary")


def copy_text(cursor: Any, target: str, table: pa.Table, *, schema: str = "shop") -> None:
    """Append a table of texts and numbers, which PostgreSQL parses as the types of the target's columns.

    Null becomes NULL and an empty text stays empty: pyarrow quotes texts and leaves nulls bare, which is how COPY's CSV
    format tells the two apart.
    """
    if table.num_rows == 0:
        return
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False))
    buffer.seek(0)
    _copy(cursor, schema, target, table.column_names, buffer, "csv")


def _copy(cursor: Any, schema: str, target: str, columns: Sequence[str], source: Any, form: str) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(schema, target), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )
    cursor.copy_expert(statement, source, _READ_BYTES)


class _Reader:
    """Read a sequence of buffers as one file without joining them first."""

    def __init__(self, buffers: Iterable[pa.Buffer | bytes]) -> None:
        self._views = [memoryview(one) for one in buffers]
        self._views.reverse()

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``; empty only at the end."""
        while self._views:
            view = self._views.pop()
            if len(view) > size:
                self._views.append(view[size:])
                return bytes(view[:size])
            if len(view):
                return bytes(view)
        return b""
