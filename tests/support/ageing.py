"""Make everything in a shop's database older, as if time had passed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from psycopg2 import sql

from include.db import transaction
from include.db.queries import parse_queries
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.settings import Settings

_SQL = parse_queries(Path(__file__).with_suffix(".sql"))


def age_all(settings: Settings, by: timedelta) -> None:
    """Move everything that is recorded into the past, events included; then derive and publish the figures again."""
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(_SQL["times"])
        for table, columns in cursor.fetchall():
            earlier = [sql.SQL("{0} = {0} - {1}").format(sql.Identifier(one), sql.Literal(by)) for one in columns]
            cursor.execute(sql.SQL("UPDATE shop.{} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(earlier)))
        cursor.execute(_SQL["derived"])
        derived = [sql.Identifier("shop", name) for (name,) in cursor.fetchall()]
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(derived)))
        cursor.execute(_SQL["begin_facts"])
        cursor.execute(_SQL["add_rollups"])
    for name in view_names():
        refresh_view(settings.dsn("ops"), name)
