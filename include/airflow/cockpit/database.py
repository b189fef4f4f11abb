"""Access the analytics database for the cockpit: few connections, short statements, and readers that cannot write."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy.exc
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor
from sqlalchemy.pool import QueuePool

from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.db import connect, load_queries
from include.errors import PlatformError

Row = dict[str, Any]

_READERS = 4
_TIMEOUT_SECONDS = 3
# Client-side limit: a hung server does not enforce its statement timeout, and a proxy may acknowledge packets that the
# server never answers.
_ANSWER_SECONDS = 5.0
# These let TCP itself detect a machine that is gone.
_TCP_LIMITS: dict[str, Any] = {
    "tcp_user_timeout": 1000 * _TIMEOUT_SECONDS,
    "keepalives_idle": _TIMEOUT_SECONDS,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
# JIT compilation of these statements takes longer than running them.
_OPTIONS = f"-c timezone=UTC -c jit=off -c statement_timeout={_TIMEOUT_SECONDS}s -c lock_timeout={_TIMEOUT_SECONDS}s"


class Queries:
    """Named statements from files in ``include/sql/queries``, run on the process's own connections."""

    def __init__(self, *modules: str) -> None:
        self._sql = {name: text for module in modules for name, text in load_queries(module).items()}

    def rows(self, name: str, **parameters: Any) -> list[Row]:
        """Return all rows of a reading statement, which runs in its own read-only transaction.

        Raises
        ------
        PlatformError
            When Postgres cannot be reached or does not answer within 5 s, or every connection stays busy for 3 s.
        psycopg2.errors.QueryCanceled
            When the statement takes longer than 3 s.
        """
        return _readers.rows(self._sql[name], parameters)

    def row(self, name: str, **parameters: Any) -> Row | None:
        """Return the first row, or None."""
        return next(iter(self.rows(name, **parameters)), None)

    def one(self, name: str, **parameters: Any) -> Row:
        """Return the row of a statement that always returns one."""
        return self.rows(name, **parameters)[0]

    def composed(self, statement: sql.Composed, **parameters: Any) -> list[Row]:
        """Do the same as ``rows`` for a composed statement, whose relations depend on the request."""
        return _readers.rows(statement, parameters)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Open a transaction that may write. It commits on exit and rolls back on an error."""
        connection = _open(OPS_CONN_ID)
        try:
            with _Deadline(connection), connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
                yield Change(self._sql, cursor)
        finally:
            connection.close()


class Change:
    """The statements of one transaction."""

    def __init__(self, sql: Mapping[str, str], cursor: Any) -> None:
        self._sql = sql
        self._cursor = cursor

    @property
    def cursor(self) -> Any:
        """The cursor, for callers that run their own statements in the same transaction."""
        return self._cursor

    def run(self, name: str, **parameters: Any) -> Row | None:
        """Run a statement and return its first row, if it has one."""
        self._cursor.execute(self._sql[name], parameters)
        return self._cursor.fetchone() if self._cursor.description else None


class _Readers:
    """A pool of ``_READERS`` connections, which are opened when they are needed and kept."""

    def __init__(self) -> None:
        self._pool = QueuePool(
            _open_reader,
            pool_size=_READERS,
            max_overflow=0,
            timeout=_TIMEOUT_SECONDS,
            use_lifo=True,
            # The connections commit by themselves, so there is nothing to roll back.
            reset_on_return=None,
        )

    def rows(self, statement: str | sql.Composed, parameters: Mapping[str, Any]) -> list[Row]:
        found = self._try(statement, parameters)
        # None means that the server was restarted since: a statement that fails with a new connection, too, fails.
        return found if found is not None else self._try(statement, parameters, is_last=True) or []

    def _try(
        self, statement: str | sql.Composed, parameters: Mapping[str, Any], *, is_last: bool = False
    ) -> list[Row] | None:
        try:
            pooled = self._pool.connect()
        except sqlalchemy.exc.TimeoutError as error:
            raise PlatformError("every connection to PostgreSQL is busy", "Ask again in a moment") from error
        is_new = pooled.record_info is not None and not pooled.record_info.setdefault("was_used", False)
        if pooled.record_info is not None:
            pooled.record_info["was_used"] = True
        connection: Any = pooled.driver_connection
        try:
            with _Deadline(connection), connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor]
        except psycopg2.Error:
            if is_new or is_last or not connection.closed:
                raise
            return None
        finally:
            if connection.closed:
                pooled.invalidate()
            pooled.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.dispose()
        self._pool = self._pool.recreate()


class _Deadline:
    """Cut a connection when the server has not answered within ``_ANSWER_SECONDS``.

    psycopg2 waits for an answer without limit. Shutting down the socket ends the wait with an error.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._is_over = False
        self._has_cut = False
        self._timer = threading.Timer(_ANSWER_SECONDS, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._lock:
            self._is_over = True
        self._timer.cancel()
        if self._has_cut and isinstance(error, psycopg2.Error):
            raise PlatformError(
                f"PostgreSQL has not answered within {_ANSWER_SECONDS:.0f} s",
                "Run `make status`, and try again in a moment",
            ) from error

    def _cut(self) -> None:
        with self._lock:
            # After the context has ended, the file descriptor may belong to another socket.
            if self._is_over or self._connection.closed:
                return
            self._has_cut = True
            with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)


def _open(conn_id: str) -> Connection:
    return connect(dsn_of(conn_id), connect_timeout=_TIMEOUT_SECONDS, options=_OPTIONS, **_TCP_LIMITS)


def _open_reader() -> Any:
    connection = _open(QUALITY_CONN_ID)
    connection.set_session(readonly=True, autocommit=True)
    return connection


_readers = _Readers()
close_readers = _readers.close
