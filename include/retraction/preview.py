"""Preview what a retraction will change, by doing it in a transaction that is rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from include.db import connect, limit_time, load_queries, one_row
from include.db.facts import advance_facts
from include.db.views import view_names
from include.retraction.facts import add_reassigned, take_from_facts
from include.retraction.retract import Brought, begin, exchange_events, gather, reassign, with_successors
from include.retraction.selection import Selection

_SQL = load_queries("retraction_preview")


@dataclass(frozen=True)
class Change:
    """A row of a published view that will change.

    Parameters
    ----------
    view_name:
        The view, without its schema.
    key:
        The values of the columns of the view's unique index, which identify the row.
    before, after:
        The figures that differ, by column, as texts; None when the row does not exist.
    """

    view_name: str
    key: dict[str, Any]
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None


@dataclass(frozen=True)
class Preview:
    """The data that the deliveries brought, and the changes of the published figures."""

    brought: Brought
    changes: tuple[Change, ...]


def preview(owner_dsn: str, selection: Selection, *, timeout_seconds: float = 0) -> Preview:
    """Compute what :func:`include.retraction.retract` would change, without changes and without blocking the stream.

    Raises
    ------
    RetractionError
        As ``retract`` does.
    """
    # Advance the aggregates first, so that the figures contain every event of the deliveries.
    advance_facts(owner_dsn, timeout_seconds=timeout_seconds)
    connection = connect(owner_dsn)
    try:
        with connection.cursor() as cursor:
            limit_time(cursor, timeout_seconds)
            progress = begin(cursor)
            brought = gather(cursor, selection)
            keys = {name: _key_of(cursor, name) for name in view_names()}
            for name in keys:
                _run(cursor, "before", name)
            take_from_facts(cursor, brought.file_ids, progress)
            brought = with_successors(cursor, brought)
            if brought.reassigned:
                reassign(cursor, progress)
                exchange_events(cursor)
                add_reassigned(cursor)
            changes = tuple(change for name, key in keys.items() for change in _changes(cursor, name, key))
    finally:
        connection.rollback()
        connection.close()
    return Preview(brought, changes)


def _run(cursor: Any, statement: str, name: str, **parameters: Any) -> None:
    query = sql.Identifier("shop_next", f"{name}_query")
    before = sql.Identifier(f"before_{name}")
    cursor.execute(sql.SQL(_SQL[statement]).format(query=query, before=before), parameters)


def _key_of(cursor: Any, name: str) -> list[str]:
    cursor.execute(_SQL["key"], {"view": f"shop.{name}"})
    (key,) = one_row(cursor)
    return list(key)


def _changes(cursor: Any, name: str, key: list[str]) -> list[Change]:
    _run(cursor, "changes", name, key=key)
    return [Change(name, *row) for row in cursor.fetchall()]
