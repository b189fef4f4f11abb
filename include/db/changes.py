"""Select the rows of a view that may have changed: those of days that changed in its sources.

Triggers record in ``shop.changed_days`` which days of these tables changed, whoever changed them. A view whose file
says that it changes by day or by hour is recomputed and published for those days only, so the cost of a refresh follows
the new data and not the stored data.
"""

from __future__ import annotations

from psycopg2 import sql

from include.db.queries import load_queries
from include.db.views import View

_SQL = load_queries("changes")


def changed_since(view: View, change_id: int | None) -> sql.Composable:
    """Return a condition that holds for the rows of the view that a later change may have touched.

    Parameters
    ----------
    view:
        Its rows must have the column by which it changes.
    change_id:
        The newest change that the rows contain. None when it is unknown, in which case any row may differ.
    """
    if view.changes_by is None or change_id is None:
        return sql.SQL("true")
    return sql.SQL(_SQL[f"changed_by_{view.changes_by}"]).format(
        sources=sql.Literal(sorted(view.sources)), change_id=sql.Literal(change_id)
    )
