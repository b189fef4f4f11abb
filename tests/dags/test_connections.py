"""Test the conversion of Airflow connections to libpq strings, and the platform's own connections and pools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.models import Connection
from airflow.models.pool import Pool
from psycopg2.extensions import parse_dsn
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from include.airflow.bootstrap import bring_connections, make_pools
from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.db import transaction
from include.errors import PlatformError
from include.platform.services.connections import airflow_connections
from include.platform.services.pools import POOLS
from include.settings import Settings


def test_the_platforms_connection_opens_the_database_through_its_socket(airflow: Settings) -> None:
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


@pytest.fixture
def session(metadata: Path, tmp_path: Path) -> Iterator[Session]:
    """Yield a session with its own metadata database."""
    copy = tmp_path / "airflow.db"
    copy.write_bytes(metadata.read_bytes())
    with Session(create_engine(f"sqlite:///{copy}")) as session:
        yield session


def fields_of(session: Session, conn_id: str) -> dict[str, Any]:
    found = session.query(Connection).filter_by(conn_id=conn_id).one()
    return {name: getattr(found, name) for name in ("host", "port", "login", "password", "extra")}


def test_unedited_connections_follow_the_settings(session: Session, database: Settings, tmp_path: Path) -> None:
    record = tmp_path / "written.json"
    assert bring_connections(session, airflow_connections(database), record) == []
    moved = database.model_copy(update={"database_host": "db.example.org", "database_port": 6432})
    assert bring_connections(session, airflow_connections(moved), record) == []
    found = fields_of(session, "shop_ops")
    assert (found["host"], found["port"]) == ("db.example.org", 6432)
    assert record.stat().st_mode & 0o777 == 0o600
    assert found["password"] not in record.read_text()


def test_an_edited_connection_is_kept_and_reported(session: Session, database: Settings, tmp_path: Path) -> None:
    record = tmp_path / "written.json"
    bring_connections(session, airflow_connections(database), record)
    spark = session.query(Connection).filter_by(conn_id="spark_cluster").one()
    spark.host, spark.extra = "k8s://https://cluster.example.org", '{"deploy-mode": "cluster", "namespace": "shop"}'
    session.flush()
    edited = fields_of(session, "spark_cluster")
    for _ in range(2):
        (line,) = bring_connections(session, airflow_connections(database), record)
        assert line.startswith(
            "The connection spark_cluster was edited and is kept; it differs from the settings in host, extra."
        )
        assert fields_of(session, "spark_cluster") == edited
    session.delete(spark)
    session.flush()
    assert bring_connections(session, airflow_connections(database), record) == []
    assert fields_of(session, "spark_cluster")["host"].startswith("spark://")


def test_without_a_record_of_earlier_values_nothing_is_overwritten(
    session: Session, database: Settings, tmp_path: Path
) -> None:
    record = tmp_path / "written.json"
    bring_connections(session, airflow_connections(database), record)
    record.unlink()
    assert bring_connections(session, airflow_connections(database), record) == [], "nothing differs"
    record.write_text("cut of")
    moved = database.model_copy(update={"database_host": "db.example.org"})
    lines = bring_connections(session, airflow_connections(moved), record)
    assert [line.split()[2] for line in lines] == ["shop_owner", "shop_ops", "shop_quality"]


def test_a_password_that_the_platform_changed_is_written_to_the_connection(
    session: Session, database: Settings, tmp_path: Path
) -> None:
    record = tmp_path / "written.json"
    connections = airflow_connections(database)
    bring_connections(session, connections, record)
    changed = [{**row, "password": "new"} if row["conn_id"] == "shop_ops" else row for row in connections]
    assert bring_connections(session, changed, record) == []
    assert fields_of(session, "shop_ops")["password"] == "new"


def test_pools_are_created_and_keep_an_edited_size(session: Session) -> None:
    make_pools(session)
    session.query(Pool).filter_by(pool="heavy").one().slots = 3
    make_pools(session)
    found = {pool.pool: pool.slots for pool in session.query(Pool).filter(Pool.pool.in_(POOLS))}
    assert found == {"feed": 2, "heavy": 3, "decisions": 1}
