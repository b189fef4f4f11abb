"""Log restatements: every change of a published figure of a closed day.

A day (UTC) is closed for a view once a candidate built after the end of the day is published. From then on users may
have reported its figures, so each change is recorded: the old value, the new value, the time and the cause.
``shop.as_of`` reads the log backwards and returns a view as it was published at an earlier time.
"""

from __future__ import annotations

import json
from typing import Any

from psycopg2 import sql

from include.db.connect import one_row
from include.db.queries import load_queries

_SQL = load_queries("restatements")
_ANY_ROW = sql.SQL("true")
# The SQL of a row's day, by the column of its grain that contains it.
DAYS = {"day": "day", "hour": "(hour AT TIME ZONE 'UTC')::date"}


def record_restatements(cursor: Any, view_name: str, refresh_id: int, is_changed: sql.Composable = _ANY_ROW) -> int:
    """Compare a candidate with the published rows, in the transaction that is about to publish it.

    Parameters
    ----------
    is_changed:
        A condition that holds for every row that may differ, as returned by ``changed_since``.

    Returns
    -------
    int
        The number of rows of closed days that change; 0 for a view without days or hours.
    """
    cursor.execute(_SQL["grain"], {"view": f"shop.{view_name}"})
    (grain,) = one_row(cursor)
    column = next((one for one in grain or () if one in DAYS), None)
    if column is None:
        return 0
    parts = {
        "published": sql.Identifier("shop", view_name),
        "candidate": sql.Identifier("shop_next", view_name),
        "is_changed": is_changed,
        "day": sql.SQL(DAYS[column]),
        "column": sql.Identifier(column),
        "first": sql.Identifier(grain[0]),
        "grain": sql.SQL(", ").join(map(sql.Identifier, grain)),
        "pairs": sql.SQL(", ").join(sql.SQL("{}, {}").format(sql.Literal(one), sql.Identifier(one)) for one in grain),
    }
    values: dict[str, Any] = {"view_name": view_name, "refresh_id": refresh_id, "grain": grain}
    cursor.execute(_SQL["cause"], values)
    cause, detail = one_row(cursor)
    cursor.execute(sql.SQL(_SQL["record"]).format(**parts), {**values, "cause": cause, "detail": json.dumps(detail)})
    restated: int = cursor.rowcount
    cursor.execute(sql.SQL(_SQL["close_days"]).format(**parts), values)
    return restated
