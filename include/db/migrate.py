"""Apply numbered, append-only migrations with checksums.

Each ``include/sql/migrations/NNNN_name.sql`` is applied once, in the order of the numbers, in its own transaction.
Migration is refused when an applied file has changed, a number is missing, or the database is newer than the checkout.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from include.db.connect import connect
from include.db.queries import SQL_DIR, load_queries
from include.errors import MigrationError

MIGRATIONS_DIR = SQL_DIR / "migrations"

_FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
# The value is arbitrary, but all migrating processes must use the same one.
_ADVISORY_LOCK = 5_340_001


@dataclass(frozen=True)
class Migration:
    """One file of DDL: its number, file name, text and SHA-256."""

    number: int
    name: str
    sql: str
    checksum: str


def read_migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Read the migrations of a directory in order.

    Raises
    ------
    MigrationError
        When a file name is not ``NNNN_name.sql`` or a number is missing or used twice.
    """
    migrations = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if not match:
            raise MigrationError(f"{path.name} is not named NNNN_name.sql", "Rename it, for example 0007_orders.sql")
        text = path.read_bytes()
        migrations.append(Migration(int(match[1]), path.name, text.decode("utf-8"), hashlib.sha256(text).hexdigest()))
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationError(
                f"{migration.name} should have number {expected:04d}", "Number the migrations without gaps or repeats"
            )
    return migrations


def migrate(owner_dsn: str, directory: Path = MIGRATIONS_DIR) -> list[str]:
    """Apply the missing migrations, as the owner of the schema.

    Returns
    -------
    list of str
        The names of the migrations applied by this call.

    Raises
    ------
    MigrationError
        When an applied file has changed, or the database has a migration that this checkout lacks.
    """
    migrations = read_migrations(directory)
    queries = load_queries("migrations")
    connection = connect(owner_dsn)
    applied_now = []
    try:
        with connection, connection.cursor() as cursor:
            # Held until the session ends: a second migrating process waits, and then finds nothing to do.
            cursor.execute(queries["lock"], {"key": _ADVISORY_LOCK})
        with connection, connection.cursor() as cursor:
            cursor.execute(queries["create_ledger"])
            cursor.execute(queries["applied"])
            applied = {number: (name, checksum) for number, name, checksum in cursor}
        _check(migrations, applied)
        for migration in migrations[len(applied) :]:
            with connection, connection.cursor() as cursor:
                cursor.execute(migration.sql)
                cursor.execute(
                    queries["record"],
                    {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
                )
            applied_now.append(migration.name)
    finally:
        connection.close()
    return applied_now


def _check(migrations: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    if len(applied) > len(migrations):
        newest = applied[max(applied)][0]
        raise MigrationError(
            f"the database has {newest}, which this checkout does not know", "Update the checkout, then start again"
        )
    for migration in migrations[: len(applied)]:
        name, checksum = applied[migration.number]
        if (name, checksum) != (migration.name, migration.checksum):
            raise MigrationError(
                f"{migration.name} is not what was applied to this database as {name}",
                "Restore the original file and put the change into a new migration",
            )
