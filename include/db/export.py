"""Implement ``make export``: write a table or view of the schema ``shop`` as CSV that is safe to open in a spreadsheet.

Text that customers typed is stored unchanged. A spreadsheet runs a cell that begins like a formula, so the export puts
an apostrophe before such texts, as OWASP advises against CSV injection. Numbers, times and JSON stay as they are.
"""

from __future__ import annotations

import difflib
from typing import IO

from psycopg2 import sql

from include.db.connect import transaction
from include.db.queries import load_queries
from include.errors import ExportError

_SQL = load_queries("export")


def export(dsn: str, table: str, target: IO[bytes]) -> list[str]:
    """Write all rows of a table or view, as of one moment, with a header.

    Parameters
    ----------
    dsn:
        A connection of the role whose privileges decide which columns are written.
    table:
        Its name in the schema ``shop``.
    target:
        Receives the CSV in UTF-8; NULL is an empty field and an empty text is ``""``.

    Returns
    -------
    list of str
        The columns that were left out because the role may not read them.

    Raises
    ------
    ExportError
        When the role can see no such table.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["relations"])
        relations = [name for (name,) in cursor.fetchall()]
        if table not in relations:
            near = difflib.get_close_matches(table, relations, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(relations)}"
            raise ExportError(f"{table!r} is not a table or view of the schema shop that this role may read", remedy)
        cursor.execute(_SQL["columns"], {"table": table})
        columns = cursor.fetchall()
        cells = [_cell(name, is_text) for name, is_text, is_readable in columns if is_readable]
        statement = sql.SQL(_SQL["copy"]).format(cells=sql.SQL(", ").join(cells), table=sql.Identifier("shop", table))
        cursor.copy_expert(statement, target)
    return [name for name, _, is_readable in columns if not is_readable]


def _cell(name: str, is_text: bool) -> sql.Composable:
    column = sql.Identifier(name)
    if not is_text:
        return column
    return sql.SQL("{} AS {}").format(sql.SQL(_SQL["neutral"]).format(column=column), column)
