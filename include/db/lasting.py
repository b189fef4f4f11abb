"""A connection that is kept between transactions, and made anew when it was lost."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from include.db.connect import connect


@dataclass
class LastingConnection:
    """For one thread that has many short transactions.

    Parameters
    ----------
    dsn:
        Where to connect, when it is first asked for.
    autocommit:
        Whether each statement is its own transaction.
    """

    dsn: str
    autocommit: bool = False
    _connection: Connection | None = None

    def get(self) -> Connection:
        """The connection, open as far as this side knows.

        Raises
        ------
        PlatformError
            When the server cannot be reached.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.dsn, autocommit=self.autocommit)
        return self._connection

    def close(self) -> None:
        """Close it; whoever asks next gets a new one. Right after an error too, whatever its state is then."""
        if self._connection is not None:
            self._connection.close()
