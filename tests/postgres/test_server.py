"""The embedded server: who gets in, and what a second start finds."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import psycopg2
import pytest

from include.db import connect, transaction
from include.errors import PlatformError
from include.platform import postgres
from include.platform.status import platform_status
from include.settings import ROLES, Settings
from tests.support.postgres import temporary_home


def as_superuser(cluster: Settings, query: str) -> list[tuple[object, ...]]:
    """The rows of a query asked by ``postgres``."""
    connection = postgres.connect_superuser(cluster)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def test_no_method_trusts(cluster: Settings) -> None:
    rules = as_superuser(cluster, "SELECT type, user_name, auth_method FROM pg_hba_file_rules ORDER BY rule_number")
    assert rules == [
        ("local", ["postgres"], "peer"),
        ("local", ["postgres"], "peer"),
        ("local", ["all"], "scram-sha-256"),
    ]


def test_it_listens_on_its_socket_only(cluster: Settings) -> None:
    assert as_superuser(cluster, "SHOW listen_addresses") == [("",)]
    assert stat.S_IMODE(cluster.socket_dir.stat().st_mode) == 0o700


def test_a_query_leaves_cores_to_the_stream(cluster: Settings) -> None:
    ((workers,),) = as_superuser(cluster, "SHOW max_parallel_workers_per_gather")
    assert int(str(workers)) + 1 <= max(1, (os.cpu_count() or 1) / 2)


def test_every_role_needs_its_own_password(cluster: Settings, tmp_path: Path) -> None:
    passwords = postgres.ensure_passwords(cluster.passfile)
    assert set(passwords) == {f"shop_{role}" for role in ROLES}
    assert len(set(passwords.values())) == len(ROLES)
    stranger = Settings(home=tmp_path, database_host=str(cluster.socket_dir))
    for role in ROLES:
        with pytest.raises(PlatformError, match="no password supplied"):
            connect(stranger.dsn(role))
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(stranger.dsn(role), password="wrong")


def test_passwords_are_in_a_closed_file(cluster: Settings) -> None:
    assert stat.S_IMODE(cluster.passfile.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.secrets_dir.stat().st_mode) == 0o700


def test_both_databases_belong_to_their_owners(cluster: Settings) -> None:
    rows = as_superuser(
        cluster,
        "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocale FROM pg_database "
        "WHERE datname IN ('shop', 'airflow') ORDER BY datname",
    )
    assert rows == [("airflow", "shop_airflow", "UTF8", "C.UTF-8"), ("shop", "shop_owner", "UTF8", "C.UTF-8")]


def test_a_second_start_finds_all_and_repairs_what_is_missing(cluster: Settings) -> None:
    as_superuser(cluster, "ALTER ROLE shop_analyst NOLOGIN PASSWORD NULL; SELECT 1")
    assert not postgres.initialize(cluster, is_durable=False)
    postgres.provision(cluster)
    connect(cluster.dsn("analyst")).close()


def test_the_real_configuration_keeps_what_it_acknowledged() -> None:
    with temporary_home() as home:
        settings = Settings(home=home)
        assert postgres.initialize(settings)
        text = (postgres.data_dir(settings) / "shopstream.conf").read_text()
        control = subprocess.run(
            [postgres.BINARIES / "pg_controldata", postgres.data_dir(settings)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert re.search(r"Data page checksum version: +1\b", control)
    assert "synchronous_commit = on" in text
    assert "fsync" not in text
    assert "full_page_writes" not in text


def test_status_of_a_platform_that_is_down(tmp_path: Path) -> None:
    status = platform_status(Settings(home=tmp_path / "nothing here"))
    assert not status.is_up
    assert not status.is_complete
    assert status.stream is None
    assert "PostgreSQL cannot be reached" in str(status.database_error)
    assert {process.state for process in status.processes} == {"DOWN"}


def test_status_reads_a_database_without_any_batch(database: Settings) -> None:
    status = platform_status(database)
    assert status.database_error is None
    assert status.totals["read"] == 0
    assert status.stream is not None
    assert not status.to_dict()["stream"]["is_alive"]


def test_status_sums_the_ledger(database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.batches "
            "(query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at) "
            "SELECT 'events', 1, n, 1, 10, 7, 1, 2, now() FROM generate_series(1, 3) AS n"
        )
    totals = platform_status(database).totals
    assert (totals["read"], totals["accepted"], totals["duplicate"], totals["rejected"]) == (30, 21, 3, 6)
