"""Tests of the chaos harness's proxy before a real server: clients notice it only when it injects a fault."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from include.settings import Settings
from tests.programs.chaos.proxy import Point, Proxy
from tests.support.waiting import wait_until


def ask(connection: Any, number: int) -> int:
    """Send a number to the server and return its answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [number])
        (answer,) = cursor.fetchone()
    return int(answer)


def test_a_connection_outlives_the_proxy_unless_it_is_cut(cluster: Settings, database: Settings) -> None:
    dsn = database.dsn("ingest")
    with Proxy(cluster) as proxy:
        with closing(psycopg2.connect(dsn)) as cut:
            assert ask(cut, 1) == 1
            assert proxy.cut_all() == 1
            with pytest.raises(psycopg2.OperationalError):
                ask(cut, 2)
        lasting = psycopg2.connect(dsn)
        assert ask(lasting, 3) == 3
    with closing(lasting):
        assert ask(lasting, 4) == 4
    with closing(psycopg2.connect(dsn)) as direct:
        assert ask(direct, 5) == 5


def test_only_connections_of_the_stream_are_affected(cluster: Settings, database: Settings) -> None:
    with Proxy(cluster) as proxy, closing(psycopg2.connect(database.dsn("owner"))) as other:
        assert ask(other, 1) == 1
        assert proxy.cut_all() == 0
        proxy.hang()
        assert ask(other, 2) == 2
        proxy.resume()


def test_a_commit_whose_answer_is_lost_is_stored(cluster: Settings, database: Settings) -> None:
    with Proxy(cluster) as proxy, closing(psycopg2.connect(database.dsn("ingest"))) as stream:

        def cut(link: Any) -> bool:
            link.cut()
            return False

        striking = threading.Thread(target=proxy.strike, args=(Point.UNKNOWN_COMMIT, cut), kwargs={"seconds": 10})
        with stream.cursor() as cursor:
            cursor.execute(
                "INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected,"
                " started_at) VALUES ('events', 1, 7, 0, 0, 0, 0, 0, now())"
            )
        striking.start()
        wait_until(lambda: proxy.is_armed, seconds=5, what="the proxy to be armed")
        with pytest.raises(psycopg2.OperationalError):
            stream.commit()
        striking.join()
    with closing(psycopg2.connect(database.dsn("owner"))) as owner, owner.cursor() as cursor:
        cursor.execute("SELECT spark_batch_id FROM shop.batches")
        assert cursor.fetchall() == [(7,)]
