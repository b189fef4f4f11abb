"""The analytics database as the cockpit uses it: a few connections, short statements, readers that cannot write."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from include.airflow.connections import OPS_CONN_ID, QUALITY_CONN_ID, dsn_of
from include.db import connect, load_queries
from include.errors import PlatformError

Row = dict[str, Any]

_READERS = 4
_PATIENCE_SECONDS = 3
# Compiling these statements takes longer than running them.
_OPTIONS = f"-c timezone=UTC -c jit=off -c statement_timeout={_PATIENCE_SECONDS}s -c lock_timeout={_PATIENCE_SECONDS}s"


class Queries:
    """The named statements of some files of ``include/sql/queries``, run with the connections of the process."""

    def __init__(self, *modules: str) -> None:
        self._sql = {name: text for module in modules for name, text in load_queries(module).items()}

    def rows(self, name: str, **parameters: Any) -> list[Row]:
        """Every row of a statement that reads, in a read-only transaction of its own.

        Raises
        ------
        PlatformError
            When Postgres cannot be reached, or every connection is busy for some seconds.
        psycopg2.errors.QueryCanceled
            When the statement takes longer than that.
        """
        return _readers.rows(self._sql[name], parameters)

    def row(self, name: str, **parameters: Any) -> Row | None:
        """The first row, or None."""
        return next(iter(self.rows(name, **parameters)), None)

    def one(self, name: str, **parameters: Any) -> Row:
        """The row of a statement that cannot but return one."""
        return self.rows(name, **parameters)[0]

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A transaction that may write: committed on leaving, rolled back on an error."""
        connection = _open(OPS_CONN_ID)
        try:
            with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
                yield Change(self._sql, cursor)
        finally:
            connection.close()


class Change:
    """The statements of one transaction."""

    def __init__(self, sql: Mapping[str, str], cursor: Any) -> None:
        self._sql = sql
        self._cursor = cursor

    def run(self, name: str, **parameters: Any) -> Row | None:
        """Run a statement; returns its first row, if it has one."""
        self._cursor.execute(self._sql[name], parameters)
        return self._cursor.fetchone() if self._cursor.description else None


class _Readers:
    """A pool: connections are opened when they are needed, ``_READERS`` at most, and kept."""

    def __init__(self) -> None:
        self._idle: LifoQueue[Connection] = LifoQueue()
        self._permits = threading.Semaphore(_READERS)

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        if not self._permits.acquire(timeout=_PATIENCE_SECONDS):
            raise PlatformError("every connection to PostgreSQL is busy", "Ask again in a moment")
        try:
            kept = self._kept()
            try:
                return self._run(kept or _open(QUALITY_CONN_ID, is_reader=True), sql, parameters)
            except psycopg2.Error:
                if kept is None or not kept.closed:
                    raise
            # The server was restarted since: what fails with a new connection, too, fails.
            return self._run(_open(QUALITY_CONN_ID, is_reader=True), sql, parameters)
        finally:
            self._permits.release()

    def _run(self, connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        try:
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(sql, parameters)
                return [dict(row) for row in cursor]
        finally:
            if not connection.closed:
                self._idle.put(connection)

    def _kept(self) -> Connection | None:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (connection := self._kept()) is not None:
            connection.close()


def _open(conn_id: str, *, is_reader: bool = False) -> Connection:
    connection = connect(dsn_of(conn_id), connect_timeout=_PATIENCE_SECONDS, options=_OPTIONS)
    if is_reader:
        connection.set_session(readonly=True, autocommit=True)
    return connection


_readers = _Readers()
close_readers = _readers.close
