"""Airflow connections become libpq connection strings that connect."""

from __future__ import annotations

import json

import pytest
from psycopg2.extensions import parse_dsn

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.db import transaction
from include.errors import PlatformError
from include.settings import Settings


def test_the_platforms_connection_reaches_the_database_by_its_socket(airflow: Settings) -> None:
    with transaction(dsn_of(OPS_CONN_ID)) as cursor:
        cursor.execute("SELECT session_user, current_database()")
        assert cursor.fetchone() == ("shop_ops", airflow.database_name)


def test_every_part_of_a_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "postgres",
        "host": "db.example.org",
        "port": 6432,
        "login": "o'neill",
        "password": "p@ss word\\",
        "schema": "shop",
        "extra": {"sslmode": "verify-full", "passfile": "/a b/pgpass", "application_name": "mine"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_TEST", json.dumps(connection))
    assert parse_dsn(dsn_of("shop_test")) == {
        "host": "db.example.org",
        "port": "6432",
        "user": "o'neill",
        "password": "p@ss word\\",
        "dbname": "shop",
        "sslmode": "verify-full",
        "passfile": "/a b/pgpass",
        "application_name": "mine",
    }


@pytest.mark.parametrize("extra", ['{"sslmod": "require"}', "sslmode=require", '["require"]'])
def test_an_extra_that_libpq_would_ignore_is_refused(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_TEST", json.dumps({"conn_type": "postgres", "host": "h", "extra": extra}))
    with pytest.raises(PlatformError, match="the extra of the Airflow connection shop_test is not a set of libpq"):
        dsn_of("shop_test")
