"""Tests that only this user can connect to the port on which Spark's JVM calls the functions of a batch."""

from __future__ import annotations

import socket

from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from jobs.callbacks import is_of_this_user
from tests.support.users import knock, knock_oneself, needs_a_second_user


def callback_port(spark: SparkSession) -> int:
    """Return the callback port of this process, opened as ``foreachBatch`` opens it."""
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    ensure_callback_server_started(gateway)
    port: int = gateway.get_callback_server().get_listening_port()
    return port


def test_the_same_user_is_served(spark: SparkSession) -> None:
    assert knock_oneself("callback", callback_port(spark)) == "in"


@needs_a_second_user
def test_another_user_cannot_call_the_functions_of_a_batch(spark: SparkSession) -> None:
    port = callback_port(spark)
    assert knock("callback", port) != "in"
    # The refused call does not end the server either.
    assert knock_oneself("callback", port) == "in"


def test_a_connection_closed_by_its_peer_belongs_to_no_user() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            assert is_of_this_user(accepted)
            client.close()
            assert not is_of_this_user(accepted)
