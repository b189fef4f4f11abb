"""Tests that readers cannot take the connections that the stream, Airflow and the checks need."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from include.db import connect, transaction
from include.errors import PlatformError
from include.settings import Settings

LIMIT = 40


def test_analysts_at_their_limit_leave_connections_to_others(database: Settings) -> None:
    with ExitStack() as stack:
        for _ in range(LIMIT):
            stack.callback(connect(database.dsn("analyst")).close)
        with pytest.raises(PlatformError, match='too many connections for role "shop_analyst"'):
            connect(database.dsn("analyst"))
        for role in ("ingest", "ops", "quality", "owner"):
            with transaction(database.dsn(role)) as cursor:
                cursor.execute("SELECT 1")
    connect(database.dsn("analyst")).close()


def test_an_idle_transaction_of_an_analyst_has_a_timeout(database: Settings) -> None:
    with transaction(database.dsn("analyst")) as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("10min",)
