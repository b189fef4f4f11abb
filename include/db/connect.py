"""Connect to the analytics database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from include.db.queries import load_queries
from include.errors import PlatformError

# Errors that mean that the server cannot be reached, or went away during a query.
AWAY = (PlatformError, psycopg2.OperationalError, psycopg2.InterfaceError)

_SQL = load_queries("connect")


def connect(dsn: str, *, autocommit: bool = False, **options: Any) -> Connection:
    """Open a connection with UTC as its time zone.

    Parameters
    ----------
    dsn:
        A libpq connection string or URI, usually ``Settings.dsn(role)``.
    autocommit:
        Whether each statement is its own transaction.
    options:
        Further libpq parameters, for example ``connect_timeout=5`` (seconds).

    Raises
    ------
    PlatformError
        When the server cannot be reached; the driver's error is its cause.
    """
    try:
        connection = psycopg2.connect(dsn, **{"connect_timeout": 10, "options": "-c timezone=UTC", **options})
    except psycopg2.OperationalError as error:
        raise PlatformError(
            f"PostgreSQL cannot be reached: {str(error).strip()}",
            "See `make status`; `make up` starts what is down",
        ) from error
    connection.autocommit = autocommit
    return connection


@contextmanager
def transaction(dsn: str, **options: Any) -> Iterator[Any]:
    """Yield a cursor of a new connection: commit at the end, roll back on an error, and always close."""
    connection = connect(dsn, **options)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def limit_time(cursor: Any, seconds: float) -> None:
    """Limit each further statement of this transaction to this many seconds; 0 sets no limit."""
    cursor.execute(_SQL["limit_time"], {"milliseconds": str(round(seconds * 1000))})


def one_row(cursor: Any) -> tuple[Any, ...]:
    """Return the next row of a statement that always returns one."""
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise LookupError(f"{cursor.query!r} returned no row")
    return row
