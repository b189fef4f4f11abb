"""A reconnecting connection, kept between transactions and reopened after it was lost."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from include.db.connect import connect


@dataclass
class ReconnectingConnection:
    """A connection for one thread that runs many short transactions.

    Parameters
    ----------
    dsn:
        Where to connect, on first use.
    autocommit:
        Whether each statement is its own transaction.
    """

    dsn: str
    autocommit: bool = False
    _connection: Connection | None = None

    def get(self) -> Connection:
        """Return the connection, open as far as the client knows.

        Raises
        ------
        PlatformError
            When the server cannot be reached.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.dsn, autocommit=self.autocommit)
        return self._connection

    def close(self) -> None:
        """Close the connection, even right after an error; the next ``get`` opens a new one."""
        if self._connection is not None:
            self._connection.close()
