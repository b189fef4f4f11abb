"""PostgreSQL: connections, the named queries of ``include/sql/queries``, migrations and views."""

from include.db.connect import AWAY, connect, limit_time, one_row, transaction
from include.db.queries import load_queries

__all__ = ["AWAY", "connect", "limit_time", "load_queries", "one_row", "transaction"]
