"""Tests of migrations on a real database, and of the rights of each role in the migrated schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import psycopg2
import psycopg2.errors
import pytest

from include.db import connect, transaction
from include.db.migrate import MIGRATIONS_DIR, migrate, read_migrations
from include.errors import MigrationError
from include.platform.services import postgres
from include.settings import ROLES, Role, Settings

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes migrations into a directory and returns the directory."""
    directory = tmp_path / "migrations"
    directory.mkdir()

    def write_files(**files: str) -> Path:
        for name, text in files.items():
            (directory / f"{name.removeprefix('m')}.sql").write_text(text)
        return directory

    return write_files


@pytest.fixture
def empty_dsn(cluster: Settings) -> Iterator[str]:
    """Yield the owner's connection string of an empty database."""
    name = "empty_migrations"
    postgres.ensure_database(cluster, name, owner="shop_owner")
    yield cluster.dsn("owner", name)
    postgres.drop_database(cluster, name)


def test_migrations_of_the_checkout_are_applied_once(empty_dsn: str) -> None:
    names = [path.name for path in sorted(MIGRATIONS_DIR.glob("*.sql"))]
    assert migrate(empty_dsn) == names
    assert migrate(empty_dsn) == []


def test_concurrent_processes_migrate_once(empty_dsn: str) -> None:
    applied: list[list[str]] = []
    threads = [Thread(target=lambda: applied.append(migrate(empty_dsn))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, applied)) == [0, len(read_migrations())]


def test_only_new_migrations_are_applied(empty_dsn: str, write: Write) -> None:
    directory = write(m0001_one="CREATE TABLE one ()")
    assert migrate(empty_dsn, directory) == ["0001_one.sql"]
    write(m0002_two="CREATE TABLE two ()")
    assert migrate(empty_dsn, directory) == ["0002_two.sql"]


def test_failing_migration_leaves_nothing(empty_dsn: str, write: Write) -> None:
    directory = write(m0001_one="CREATE TABLE one ()", m0002_two="CREATE TABLE two (); SELECT 1 / 0")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        migrate(empty_dsn, directory)
    with transaction(empty_dsn) as cursor:
        cursor.execute("SELECT to_regclass('one') IS NOT NULL, to_regclass('two') IS NOT NULL")
        assert cursor.fetchone() == (True, False)


def test_changed_migration_is_refused(empty_dsn: str, write: Write) -> None:
    migrate(empty_dsn, write(m0001_one="CREATE TABLE one ()"))
    with pytest.raises(MigrationError, match=r"0001_one\.sql is not what was applied"):
        migrate(empty_dsn, write(m0001_one="CREATE TABLE one (x int)"))


def test_database_newer_than_the_checkout_is_refused(empty_dsn: str, write: Write) -> None:
    directory = write(m0001_one="CREATE TABLE one ()", m0002_two="CREATE TABLE two ()")
    migrate(empty_dsn, directory)
    (directory / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_two\.sql, which this checkout does not know"):
        migrate(empty_dsn, directory)


def test_gap_and_wrong_name_are_refused(write: Write) -> None:
    directory = write(m0001_one="SELECT 1", m0003_three="SELECT 1")
    with pytest.raises(MigrationError, match=r"0003_three\.sql should have number 0002"):
        read_migrations(directory)
    write(m2_two="SELECT 1")
    with pytest.raises(MigrationError, match=r"2_two\.sql is not named NNNN_name\.sql"):
        read_migrations(directory)


def refused(database: Settings, role: Role, statement: str) -> type[BaseException] | None:
    """Return the type of error that a role gets for a statement; None if the statement is allowed."""
    try:
        with transaction(database.dsn(role)) as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        return type(error)
    return None


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_an_unneeded_attribute(database: Settings, role: Role) -> None:
    connection = postgres.connect_superuser(database_of_cluster(database))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, "
            "rolpassword LIKE 'SCRAM-SHA-256$%%' FROM pg_authid WHERE rolname = %s",
            [f"shop_{role}"],
        )
        assert cursor.fetchone() == (False, False, False, False, False, True)
    connection.close()


def database_of_cluster(database: Settings) -> Settings:
    """Return settings whose socket directory is that of the server behind ``database``."""
    assert database.database_host is not None
    return Settings(home=Path(database.database_host).parent)


def test_analysts_see_events_but_no_personal_columns(database: Settings) -> None:
    assert refused(database, "analyst", "SELECT event_id, event_time, unit_price, country FROM shop.events") is None
    denied = psycopg2.errors.InsufficientPrivilege
    assert refused(database, "analyst", "SELECT user_id FROM shop.events") is denied
    assert refused(database, "analyst", "SELECT city FROM shop.events") is denied
    assert refused(database, "analyst", "SELECT * FROM shop.events") is denied
    assert refused(database, "analyst", "SELECT raw FROM shop.rejects") is denied


@pytest.mark.parametrize("role", ["analyst", "quality"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM shop.events",
        "INSERT INTO shop.stream_control (query, desired_state) VALUES ('events', 'stop')",
        "CREATE TABLE shop.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE TEMPORARY TABLE mine ()",
    ],
)
def test_readers_cannot_write_even_when_they_try(database: Settings, role: Role, statement: str) -> None:
    assert refused(database, role, statement) is psycopg2.errors.ReadOnlySqlTransaction
    escaped = f"SET TRANSACTION READ WRITE; {statement}"
    assert refused(database, role, escaped) is psycopg2.errors.InsufficientPrivilege


def test_quality_reads_everything_within_its_statement_timeout(database: Settings) -> None:
    with transaction(database.dsn("quality")) as cursor:
        cursor.execute("SELECT user_id FROM shop.events")
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("5min",)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "DELETE FROM shop.events"),
        ("ingest", "UPDATE shop.events SET quantity = 1"),
        ("ingest", "DROP TABLE shop.rejects"),
        ("ingest", "INSERT INTO shop.stream_control (query, desired_state) VALUES ('events', 'run')"),
        ("ops", "INSERT INTO shop.writer (query, epoch) VALUES ('events', 1)"),
        ("ops", "DELETE FROM shop.events"),
        ("ops", "SELECT shop.ensure_event_partitions('{}')"),
    ],
)
def test_each_writer_keeps_to_its_own_tables(database: Settings, role: Role, statement: str) -> None:
    assert refused(database, role, statement) is psycopg2.errors.InsufficientPrivilege


def test_airflow_cannot_enter_the_analytics_database(database: Settings) -> None:
    with pytest.raises(Exception, match="permission denied for database"):
        connect(database.dsn("airflow"))
