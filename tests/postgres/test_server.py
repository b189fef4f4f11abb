"""Tests of the embedded server: access, configuration, a second start, and its status."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import psycopg2
import pytest

from include.db import connect, transaction
from include.errors import PlatformError
from include.platform.commands.status import platform_status
from include.platform.services import postgres
from include.settings import ROLES, Settings
from tests.support.postgres import temporary_home


def as_superuser(cluster: Settings, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query that ``postgres`` runs."""
    connection = postgres.connect_superuser(cluster)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def test_no_authentication_method_is_trust(cluster: Settings) -> None:
    rules = as_superuser(cluster, "SELECT type, user_name, auth_method FROM pg_hba_file_rules ORDER BY rule_number")
    assert rules == [
        ("local", ["postgres"], "peer"),
        ("local", ["postgres"], "peer"),
        ("local", ["all"], "scram-sha-256"),
    ]


def test_the_server_listens_only_on_its_socket(cluster: Settings) -> None:
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


def test_passwords_are_in_a_private_file(cluster: Settings) -> None:
    assert stat.S_IMODE(cluster.passfile.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.secrets_dir.stat().st_mode) == 0o700


def test_both_databases_belong_to_their_owners(cluster: Settings) -> None:
    rows = as_superuser(
        cluster,
        "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocale FROM pg_database "
        "WHERE datname IN ('shop', 'airflow') ORDER BY datname",
    )
    assert rows == [("airflow", "shop_airflow", "UTF8", "C.UTF-8"), ("shop", "shop_owner", "UTF8", "C.UTF-8")]


def test_a_second_start_repairs_a_role(cluster: Settings) -> None:
    as_superuser(cluster, "ALTER ROLE shop_analyst NOLOGIN PASSWORD NULL; SELECT 1")
    assert not postgres.initialize(cluster, is_durable=False)
    postgres.provision(cluster)
    connect(cluster.dsn("analyst")).close()


def test_the_real_configuration_is_durable() -> None:
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


def test_the_size_of_the_wal_follows_the_free_disk_space(monkeypatch: pytest.MonkeyPatch) -> None:
    def size_with_free(gib: float) -> int:
        monkeypatch.setattr(
            postgres.shutil, "disk_usage", lambda path: disk._replace(free=int(gib * 2**30) - held(path))
        )
        postgres.initialize(settings, is_durable=False)
        command = [str(postgres.BINARIES / "postgres"), "-C", "max_wal_size", "-D", str(postgres.data_dir(settings))]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def held(log: Path) -> int:
        return sum(file.stat().st_size for file in log.iterdir() if file.is_file())

    with temporary_home() as home:
        settings = Settings(home=home)
        disk = shutil.disk_usage(home)
        assert postgres.initialize(settings, is_durable=False)
        assert [size_with_free(gib) for gib in (1, 3, 16, 500)] == [512, 768, 4096, 8192]


@pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT RUN: only root's server runs as another user, who must be given access"
)
def test_directories_that_are_opened_for_the_user_of_the_server_are_named() -> None:
    with temporary_home() as home:
        settings = Settings(home=home / "closed" / "instance")
        settings.root.mkdir(parents=True)
        for path in (settings.root, settings.root.parent):
            path.chmod(0o700)
        assert set(postgres.let_server_through(settings)) >= {settings.root, settings.root.parent}
        # Other users can pass through the directories but not list them.
        assert {stat.S_IMODE(path.stat().st_mode) for path in (settings.root, settings.root.parent)} == {0o701}
        assert not {settings.root, settings.root.parent} & set(postgres.let_server_through(settings))


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
