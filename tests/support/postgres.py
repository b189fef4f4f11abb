"""A real PostgreSQL for tests: one cluster, with a template database that is cloned for each test.

``python -m tests.support.postgres COMMAND…`` runs a command with one cluster for all pytest sessions that it starts.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from include.db.migrate import migrate
from include.db.views import apply_views
from include.platform.instance.home import make_directories
from include.platform.services import postgres
from include.settings import Settings
from tests.support.waiting import wait_until

_TEMPLATE = "test_template"
# The home of the cluster that the sessions below share.
_SHARED = "TEST_CLUSTER_HOME"
_numbers = itertools.count(1)


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yield a short directory that another system user may traverse; pytest's own are closed and long."""
    home = Path(tempfile.mkdtemp(prefix="shopstream-test-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running_cluster(is_durable: bool = False) -> Iterator[Settings]:
    """Yield a cluster with all roles and a migrated template; nothing is flushed to disk unless it is durable."""
    with temporary_home() as home:
        settings = Settings(home=home)
        postgres.let_server_through(settings)
        postgres.initialize(settings, is_durable=is_durable)
        with _running_server(settings, home / "postgres.log"):
            postgres.provision(settings)
            postgres.ensure_database(settings, _TEMPLATE, owner="shop_owner")
            template_dsn = settings.dsn("owner", _TEMPLATE)
            migrate(template_dsn)
            apply_views(template_dsn)
            yield settings


@contextmanager
def shared_cluster() -> Iterator[Settings]:
    """Yield the cluster that the command above this session started; without one, a cluster of this session.

    A worker of xdist has its own cluster, because some tests use up the connections of a role.
    """
    home = os.environ.get(_SHARED)
    if home and "PYTEST_XDIST_WORKER" not in os.environ:
        yield Settings(home=Path(home))
        return
    with running_cluster() as settings:
        yield settings


@contextmanager
def _running_server(settings: Settings, log: Path) -> Iterator[None]:
    user = postgres.server_user()
    with log.open("ab") as output:
        process = subprocess.Popen(
            postgres.server_command(settings),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C goes to pytest only, which then stops the server.
            start_new_session=True,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    try:
        wait_until(lambda: postgres.is_ready(settings), seconds=60, what="PostgreSQL to accept connections")
        yield
    finally:
        # Stop at once: a test's cluster needs no checkpoint.
        process.send_signal(signal.SIGQUIT)
        process.wait(30)


@contextmanager
def cloned_database(cluster: Settings, home: Path) -> Iterator[Settings]:
    """Yield settings of a new clone of the template, with its own directories below ``home``."""
    settings = Settings(
        home=home,
        database_host=str(cluster.socket_dir),
        database_port=cluster.database_port,
        database_name=f"test_{os.getpid()}_{next(_numbers)}",
    )
    make_directories(settings)
    shutil.copy(cluster.passfile, settings.passfile)
    postgres.ensure_database(cluster, settings.database_name, owner="shop_owner", template=_TEMPLATE)
    try:
        yield settings
    finally:
        postgres.drop_database(cluster, settings.database_name)


def cut_connections(settings: Settings, role: str) -> None:
    """End a role's connections to the database, as a crash of their backends would."""
    with superuser(settings) as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
            [settings.database_name, role],
        )


@contextmanager
def database_away(settings: Settings) -> Iterator[None]:
    """Refuse connections to the database and end existing ones, until the end of the block."""
    change = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    database = sql.Identifier(settings.database_name)
    with superuser(settings) as cursor:
        cursor.execute(change.format(database, sql.SQL("false")))
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [settings.database_name]
        )
    try:
        yield
    finally:
        with superuser(settings) as cursor:
            cursor.execute(change.format(database, sql.SQL("true")))


@contextmanager
def superuser(settings: Settings) -> Iterator[Cursor]:
    """Yield a superuser's cursor in autocommit mode, for statements that no role of the platform may run."""
    connection = psycopg2.connect(
        host=settings.database_host, port=settings.database_port, user="postgres", dbname="postgres"
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def main(command: list[str]) -> int:
    """Run a command while a cluster runs that its test sessions share, and return its exit status."""
    # Stop the server also when this process is terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with running_cluster() as settings:
        return subprocess.run(command, env={**os.environ, _SHARED: str(settings.root)}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
