"""PostgreSQL: connections, the named queries of ``include/sql/queries``, migrations and views."""

from include.db.connect import connect, one_row, transaction
from include.db.queries import load_queries

__all__ = ["connect", "load_queries", "one_row", "transaction"]
